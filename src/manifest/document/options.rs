//! Options for reading, checking and writing documents.

use crate::manifest::document::version::Version;

/// Decides between the rules of the original and those of haul where they differ (docs/source-sigilzero.md, "Two
/// modes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Fixes every defect of the original. Numbers keep their text.
    #[default]
    Strict,
    /// Writes the bytes of the original wherever the original is right.
    Compat,
}

impl Mode {
    /// Returns the name of the mode, which is the first word of the settings of a run.
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

/// The origin of a missing `job_id` (docs/source-sigilzero.md, D6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeriveJobId {
    /// From `inputs/brief.resolved.json`, else `inputs/brief.yaml`.
    Brief,
    /// From the name of the job's directory.
    Directory,
}

/// The options for each document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransformOptions {
    /// The rules of the original or those of haul.
    pub mode: Mode,
    /// Accept objects that lack the members of a manifest (`--shape any`).
    pub shape_any: bool,
    /// Accept results that do not fit the target schema, with a warning (`--accept-incomplete`).
    pub accept_incomplete: bool,
    /// The version of documents that have none. If this is `None`, it is 1.0.0 in compat mode.
    pub assume_version: Option<Version>,
    /// Accept a byte order mark at the beginning and drop it (`--bom strip`).
    pub bom_strip: bool,
    /// The deepest nesting of arrays and objects.
    pub depth_max: usize,
    /// Whether the output ends with a newline. `None` leaves it to the mode.
    pub final_newline: Option<bool>,
    /// Add members to documents at the target that the steps to their version would have added
    /// (docs/source-sigilzero.md, D8).
    pub repair: bool,
    /// The operator named the file: if it is not a manifest, it is refused instead of skipped.
    pub named: bool,
    /// The origin of a missing `job_id`; `None` if it stays missing.
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
