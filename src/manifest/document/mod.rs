//! One manifest: its JSON, its fields, its history and its checksum.

pub mod checksum;
pub mod edit;
pub mod error_codes;
pub mod fields;
pub(super) mod header;
pub mod history;
pub mod inputs;
pub mod inputs_hash;
pub(super) mod job_id;
pub mod json;
pub(super) mod json_schema;
pub mod key_path;
pub mod options;
pub mod value_types;
pub mod verdict;
pub mod version;
