//! A single manifest: its JSON, its members, its history, its checksum, and the result of migrating it.

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
#[cfg_attr(not(feature = "json-schema"), path = "json_schema_absent.rs")]
pub(super) mod json_schema;
pub mod key_path;
pub mod options;
pub mod value_types;
pub mod verdict;
pub mod version;
