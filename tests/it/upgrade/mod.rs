//! `haul upgrade` with the real binary.

pub mod place;
mod python;
pub mod second_example;
