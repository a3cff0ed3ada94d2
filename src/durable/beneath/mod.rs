//! Opens what is below an open directory without following links, so that nothing outside of it is reached, whatever is
//! swapped for a link meanwhile.

mod anchor;
mod removal;
mod steps;

pub(super) use anchor::{Anchor, Place, open_at};
pub(super) use removal::{NotRemoved, Removal};
pub(super) use steps::open_beneath;
#[cfg(test)]
pub(super) use steps::open_step_by_step;
