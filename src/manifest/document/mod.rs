//! One manifest: its JSON, its fields, its history and its checksum.

pub mod checksum;
pub mod edit;
pub mod error_codes;
pub mod fields;
pub(crate) mod header;
pub mod history;
pub mod inputs;
pub mod inputs_hash;
pub(crate) mod job_id;
pub mod json;
#[cfg_attr(not(feature = "json-schema"), path = "json_schema_absent.rs")]
pub(crate) mod json_schema;
pub mod key_path;
pub mod options;
pub mod value_types;
pub mod verdict;
pub mod version;
