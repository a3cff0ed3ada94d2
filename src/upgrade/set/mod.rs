//! The files of a set: which there are, and which tier and shape each has.

mod assemble;
mod classify;
mod discover;
mod member;
mod refused;
#[cfg(test)]
mod test_definition;

pub use assemble::{Classified, assemble};
pub use classify::{Recognised, classify, tables_text};
pub use discover::{Candidate, Discovered, SetRequest, discover};
pub use member::Member;
pub use refused::Refused;
