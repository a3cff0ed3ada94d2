//! Records of objects: the sidecar `<key>.meta`, and the same bytes as a line of `index.ndjson`
//! (docs/source-requiem.md, "Sidecars").

mod fault;
mod fields;
mod hint;
mod object_record;
mod parse;

pub use fault::{Field, RECORD_BYTES_MAX, RecordFault};
pub use hint::{Hint, parse_hint};
pub use object_record::ObjectRecord;
pub use parse::{Parsed, parse};

#[cfg(test)]
mod tests;
