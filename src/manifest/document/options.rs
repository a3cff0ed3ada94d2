//! How documents are read, checked and written.

use crate::manifest::document::version::Version;

/// Whose rules hold where the original and haul differ (docs/source-sigilzero.md, "Two modes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every defect of the original is fixed; numbers keep their lexemes.
    #[default]
    Strict,
    /// Byte-identical to the original wherever the original is right.
    Compat,
}

impl Mode {
    /// As settings begin with it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Compat => "compat",
        }
    }

    /// Returns the mode of a run with these settings; `None` if they do not begin with the name of one.
    pub fn of_settings(settings: &str) -> Option<Self> {
        let name = settings.split(' ').next();
        [Self::Strict, Self::Compat].into_iter().find(|mode| name == Some(mode.name()))
    }
}

/// Where a missing `job_id` comes from (docs/source-sigilzero.md, D6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeriveJobId {
    /// From `inputs/brief.resolved.json`, else `inputs/brief.yaml`.
    Brief,
    /// The name of the job's directory.
    Directory,
}

/// What the operator may choose for each document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformOptions {
    /// Whose rules hold.
    pub mode: Mode,
    /// Take objects without the fields of a manifest for manifests (`--shape any`).
    pub shape_any: bool,
    /// Write what the target schema does not allow, and say so (`--accept-incomplete`).
    pub accept_incomplete: bool,
    /// The version of documents that name none; in compat it is 1.0.0 if this is `None`.
    pub assume_version: Option<Version>,
    /// Take a document that begins with a byte order mark, without it (`--bom strip`).
    pub bom_strip: bool,
    /// Arrays and objects in each other, at most.
    pub depth_max: usize,
    /// Whether the output ends in a newline; `None` is the mode's own rule.
    pub final_newline: Option<bool>,
    /// Give current documents the fields that the steps up to their version would have added (docs/source-sigilzero.md,
    /// D8).
    pub repair: bool,
    /// The file was named by the operator: one that is no manifest is refused, not skipped.
    pub named: bool,
    /// Where a missing `job_id` comes from.
    pub derive_job_id: Option<DeriveJobId>,
}

impl Default for TransformOptions {
    fn default() -> Self {
        Self {
            mode: Mode::Strict,
            shape_any: false,
            accept_incomplete: false,
            assume_version: None,
            bom_strip: false,
            depth_max: 1000,
            final_newline: None,
            repair: false,
            named: false,
            derive_job_id: None,
        }
    }
}
