//! Trees of versioned JSON manifests: what a manifest is, how one version becomes the next, and how a tree of them is
//! migrated in place (spec/sigilzero.md).
//!
//! The document side is a pure function of bytes and options: [`Transformer::transform`] takes the bytes of one file and
//! says what becomes of it. It reads no clock and no disk; what a step may ask of the manifest's directory comes in
//! through [`DocumentInputs`].
//!
//! The tree side finds the files, reads each once, and replaces each whole: [`scan`] and what is built on it.

mod built_in;
pub mod checksum;
pub mod code;
mod declared;
mod declared_file;
pub mod edit;
pub mod fields;
mod head;
pub mod history;
pub mod inputs;
pub mod inputs_hash;
pub mod inverse;
mod job_id;
pub mod json;
mod json_schema;
pub mod options;
pub mod path;
pub mod post_conditions;
pub mod read;
pub mod registry;
pub mod route;
mod samples;
pub mod shape;
pub mod step;
pub mod step_check;
pub mod target_schema;
pub mod transform;
pub mod verdict;
pub mod version;
pub mod write;

mod already_done;
mod assess;
mod backup;
mod beside;
mod by_file;
pub mod clean;
pub mod dry_run;
mod examine;
pub mod generate;
mod group;
pub mod history_of;
pub mod index;
pub mod index_text;
pub mod ledger;
pub mod migrate;
pub mod names;
pub mod outcome;
pub mod prepare;
mod reader;
pub mod reindex;
pub mod rollback;
pub mod run_options;
pub mod scan;
mod settle;
pub mod state;
pub mod status;
pub mod survey;
pub mod verify;
mod verify_ledger;

pub use assess::MANIFEST_BYTES_MAX;
pub use checksum::Checksum;
pub use code::{Code, Place, Status};
pub use inputs::{DocumentInputs, NoInputs};
pub use inverse::check_inverse;
pub use options::{DeriveJobId, Mode, TransformOptions};
pub use path::KeyPath;
pub use read::{read_and_write_back, read_migrated};
pub use registry::Registry;
pub use step::{Step, Touch};
pub use transform::Transformer;
pub use verdict::{Current, Inspection, Migrated, Notice, Refusal, Skip, Verdict};
pub use version::Version;
pub use write::{validate, write_manifest};
