//! JSON as text: where each value of a document is, so that it can be read as the reference reads it and edited without
//! changing any other byte (docs/source-requiem.md, "Canonical JSON").
//!
//! The grammar is RFC 8259 with two differences that come from the reference. Control characters may occur in strings
//! without an escape, because it writes most of them so. Bytes need not be UTF-8, because it passes on what a command
//! printed. An object that repeats a member is refused, as the reference refuses it.

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
