//! `haul upgrade` with the real binary.

mod place;
mod python;
