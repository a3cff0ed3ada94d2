//! `haul upgrade` with the real binary.

mod place;
mod python;
mod second_example;
