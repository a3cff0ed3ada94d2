//! What becomes of one document.

use std::sync::Arc;

use super::error_codes::{DocumentStatus, ErrorCode, TextPosition};
use super::json::JsonFault;
use crate::manifest::document::checksum::Checksum;
use crate::manifest::document::version::Version;

/// What becomes of one document. Exactly one of these, for any bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is to be replaced by other bytes.
    Migrated(Migrated),
    /// It is at the target; nothing is to be written.
    Current(Current),
    /// It is no manifest, and nobody named it.
    Skipped(Skip),
    /// It stays as it is.
    Refused(Refusal),
}

/// The new bytes of a document, and what its history record says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Version before; equal to `to` if a current document was repaired (`--repair`).
    pub from: Version,
    /// Version after.
    pub to: Version,
    /// The steps in their order: `1.0.0 → 1.2.0`.
    pub applied: Arc<[String]>,
    /// What each step did, as the history record has it.
    pub changes: Vec<Vec<String>>,
    /// Of the document before (docs/source-sigilzero.md, "Canonical text and checksums").
    pub checksum_before: Checksum,
    /// Of the document after, without its new history record.
    pub checksum_after: Checksum,
    /// `W_HISTORY`, and what `--accept-incomplete` let pass.
    pub notices: Vec<Notice>,
}

/// A document at the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its version.
    pub version: Version,
    /// Shape findings (docs/source-sigilzero.md, D8): `E_REQUIRED_FIELD`, `E_FIELD_TYPE`, `W_SHAPE`, `W_HISTORY`.
    pub findings: Vec<Notice>,
}

impl Current {
    /// [`DocumentStatus::NeedsAttention`] if a required field is missing or wrong, else [`DocumentStatus::Current`].
    pub fn status(&self) -> DocumentStatus {
        if self.findings.iter().any(|finding| finding.code.starts_with("E_")) {
            DocumentStatus::NeedsAttention
        } else {
            DocumentStatus::Current
        }
    }
}

/// Something worth saying of a document that is not refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `W_HISTORY`, `W_SHAPE`, or the code that would have refused it.
    pub code: &'static str,
    /// What and where.
    pub text: String,
}

/// A document that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// What it lacks: [`ErrorCode::Root`] or [`ErrorCode::NotAManifest`].
    pub code: ErrorCode,
    /// The same for people.
    pub text: String,
}

/// Why a document stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The first check that failed.
    pub code: ErrorCode,
    /// What and why, a lower-case fragment without the file's name.
    pub text: String,
    /// Where, if it is at one place.
    pub at: Option<TextPosition>,
    /// The version before, where it is known.
    pub from: Option<Version>,
}

impl Refusal {
    /// Without a place.
    pub fn new(code: ErrorCode, text: String) -> Self {
        Self { code, text, at: None, from: None }
    }

    /// What is wrong with `bytes`, the whole file.
    pub(in crate::manifest) fn of_fault(fault: &JsonFault, bytes: &[u8]) -> Self {
        Self { at: Some(fault.position(bytes)), ..Self::from(*fault) }
    }

    /// What the document is, in reports.
    pub fn status(&self) -> DocumentStatus {
        self.code.status()
    }
}

/// Without a place: the fault is in a text that the document does not have, or no longer.
impl From<JsonFault> for Refusal {
    fn from(fault: JsonFault) -> Self {
        Self::new(fault.code, fault.what.into())
    }
}

/// What one look at a document tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What it is, seen from the target.
    pub status: DocumentStatus,
    /// Its version, or the one it is taken for (compat, `--assume-version`).
    pub version: Option<Version>,
    /// The text of a `schema_version` that is no version.
    pub version_text: Option<String>,
    /// Why it would be refused or skipped, as far as the first look tells.
    pub refusal: Option<Refusal>,
}
