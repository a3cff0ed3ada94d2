//! JSON as text: where each value of a document stands, so that it can be read as the reference reads it, and edited
//! while every other byte stays (spec/requiem.md A11).
//!
//! The grammar is RFC 8259 with two differences that come from the reference: control characters may stand in strings
//! as they are, for it writes most of them so, and bytes need not be UTF-8, for it passes on what a command printed.
//! An object that names a member twice is refused, as it does.

mod edit;
mod scan;
mod string;
mod value;

pub use edit::{append_member, remove_member};
pub use scan::JsonError;
pub use string::Reading;
pub use value::{Json, Member};

#[cfg(test)]
mod tests;
