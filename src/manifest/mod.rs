//! Trees of versioned JSON manifests, and their migration in place (docs/source-sigilzero.md).
//!
//! The document side ([`document`], [`steps`], [`transform`]) is a pure function of bytes and options:
//! [`Transformer::transform`] takes the bytes of a file and returns a verdict. It uses no clock and no disk. Steps read
//! other files of the manifest's directory through [`DocumentInputs`].
//!
//! The tree side ([`tree`], [`migrate`] and the modules that use them) finds the files, reads each of them once, and
//! replaces each as a whole.

pub mod document;
pub mod read;
pub mod steps;
pub mod transform;
pub mod tree;
pub mod write;

pub mod accept;
pub mod clean;
pub mod file_history;
pub mod generate;
pub mod index;
pub mod leftovers;
pub mod migrate;
mod nothing_found;
pub mod outcome;
pub mod rollback;
pub mod run_options;
pub mod runs;
pub mod selection;
pub mod status;
mod still_whole;
pub mod validate;
pub mod validate_tree;
pub mod verify;
pub mod version_survey;

pub use document::checksum::Checksum;
pub use document::error_codes::ErrorCode;
pub use document::inputs::{DocumentInputs, NoInputs};
pub use document::key_path::KeyPath;
pub use document::options::{DeriveJobId, Mode, TransformOptions};
pub use document::verdict::{Current, Migrated, Notice, Refusal, Skip, Verdict};
pub use document::version::Version;
pub use migrate::evaluate::MANIFEST_BYTES_MAX;
pub use read::{read_and_write_back, read_migrated, read_whole};
pub use steps::inverse::check_inverse;
pub use steps::registry::Registry;
pub use steps::step::{Step, Touch};
pub use transform::Transformer;
pub use transform::proven_registry::ProvenRegistry;
pub use transform::step_check::prove;
pub use validate::{validate, validate_file};
pub use write::write_manifest;
