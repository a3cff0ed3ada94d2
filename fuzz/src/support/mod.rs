//! What the targets make their inputs with.

pub mod edits;
// What the tests try too, without a fuzzer.
#[path = "../../../tests/crash/forged.rs"]
pub mod forged;
pub mod key_map;
pub mod log;
