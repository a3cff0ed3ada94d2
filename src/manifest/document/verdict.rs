//! The result of evaluating one document.

use std::sync::Arc;

use super::error_codes::{DocumentStatus, ErrorCode, TextPosition};
use super::json::JsonFault;
use crate::manifest::document::checksum::Checksum;
use crate::manifest::document::version::Version;

/// The result of evaluating one document. Any bytes get exactly one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The document is to be replaced by other bytes.
    Migrated(Migrated),
    /// The document is at the target. Nothing is to be written.
    Current(Current),
    /// The document is not a manifest, and the operator did not name it.
    Skipped(Skip),
    /// The document stays unchanged because something is wrong with it.
    Refused(Refusal),
}

/// The new bytes of a document and the content of its new history record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The whole new file.
    pub bytes: Vec<u8>,
    /// Version before. It is equal to `to` if a document at the target was repaired (`--repair`).
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// The steps in their order, such as `1.0.0 → 1.2.0`.
    pub applied: Arc<[String]>,
    /// The changes of each step, as in the history record.
    pub changes: Vec<Vec<String>>,
    /// Checksum of the document before.
    pub checksum_before: Checksum,
    /// Checksum of the document after, without its new history record.
    pub checksum_after: Checksum,
    /// `W_HISTORY`, and the faults that `--accept-incomplete` accepts.
    pub notices: Vec<Notice>,
}

/// A document at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its version.
    pub version: Version,
    /// Members that are missing or wrong: `E_REQUIRED_FIELD`, `E_FIELD_TYPE`, `W_SHAPE`, `W_HISTORY`
    /// (docs/source-sigilzero.md, D8).
    pub findings: Vec<Notice>,
}

impl Current {
    /// Returns [`DocumentStatus::NeedsAttention`] if a required member is missing or wrong, else
    /// [`DocumentStatus::Current`].
    pub fn status(&self) -> DocumentStatus {
        if self.findings.iter().any(|finding| finding.code.starts_with("E_")) {
            DocumentStatus::NeedsAttention
        } else {
            DocumentStatus::Current
        }
    }
}

/// A warning about a document that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `W_HISTORY`, `W_SHAPE`, or the code of a refusal that an option prevented.
    pub code: &'static str,
    /// What is wrong, and where.
    pub text: String,
}

/// A document that is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// [`ErrorCode::Root`] or [`ErrorCode::NotAManifest`].
    pub code: ErrorCode,
    /// The reason in words.
    pub text: String,
}

/// The reason why a document stays unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The first check that failed.
    pub code: ErrorCode,
    /// What is wrong, as a lower-case text fragment without the name of the file.
    pub text: String,
    /// Its position, if it has one.
    pub at: Option<TextPosition>,
    /// The version of the document, if it is known.
    pub from: Option<Version>,
}

impl Refusal {
    /// Makes a refusal without a position.
    pub fn new(code: ErrorCode, text: String) -> Self {
        Self { code, text, at: None, from: None }
    }

    /// Makes a refusal from a fault in `bytes`, the whole file.
    pub(in crate::manifest) fn of_fault(fault: &JsonFault, bytes: &[u8]) -> Self {
        Self { at: Some(fault.position(bytes)), ..Self::from(*fault) }
    }

    /// Returns the status of the document in reports.
    pub fn status(&self) -> DocumentStatus {
        self.code.status()
    }
}

/// Drops the offset: it belongs to a text that is not the input, such as a value that a step sets.
impl From<JsonFault> for Refusal {
    fn from(fault: JsonFault) -> Self {
        Self::new(fault.code, fault.what.into())
    }
}

/// The status of a document, found without migrating it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The status with regard to the target.
    pub status: DocumentStatus,
    /// Its version, or the version that is assumed (compat mode, `--assume-version`).
    pub version: Option<Version>,
    /// The text of a `schema_version` that is not a version.
    pub version_text: Option<String>,
    /// The reason why it would be refused or skipped, as far as it is known without migrating it.
    pub refusal: Option<Refusal>,
}
