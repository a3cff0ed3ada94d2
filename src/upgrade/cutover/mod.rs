//! Phase 5: makes all new files live at once.

pub mod exclusive;
pub mod opened;
pub mod set;
pub mod side_files;
pub mod switch;
#[cfg(test)]
mod switch_tests;
