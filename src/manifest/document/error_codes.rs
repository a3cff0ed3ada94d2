//! The codes of refusals, which reports and scripts rely on, and positions in a document (docs/source-sigilzero.md,
//! "Order of checks").

use std::fmt;

/// The reason why a document is refused, as reports and `--json` name it. The checks run in this order; the first check
/// that fails decides the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// The file takes more memory than a document may.
    TooLarge,
    /// The file is empty or blank.
    Empty,
    /// The file begins with a byte order mark.
    Bom,
    /// The file is not UTF-8.
    Encoding,
    /// The file is not JSON.
    Json,
    /// Arrays and objects are nested too deep.
    Depth,
    /// An object has two members of one name.
    DuplicateKey,
    /// A number is `NaN` or `Infinity`, or (compat mode) does not fit into a binary64.
    Nonfinite,
    /// A string has half of a surrogate pair, which UTF-8 cannot express.
    Surrogate,
    /// Compat mode only: the readers of the original cannot read an integer.
    Number,
    /// The root is not an object.
    Root,
    /// The members that every manifest has are missing.
    NotAManifest,
    /// `schema_version` is missing.
    Unversioned,
    /// `schema_version` is not a string.
    VersionType,
    /// No steps lead from `schema_version` to the target.
    VersionUnknown,
    /// The version is above all known versions.
    VersionFuture,
    /// The version is above the target.
    Downgrade,
    /// `migration_history` is not an array.
    HistoryType,
    /// A member has a type that its version does not allow.
    FieldType,
    /// A member that the target requires is missing.
    RequiredField,
    /// A snapshot file that a step derives a value from is missing, or differs from what the manifest says.
    Snapshot,
    /// The JSON Schema of the target version does not allow the result.
    Schema,
    /// `input_snapshots` changed.
    InputSnapshots,
    /// `run_id` changed.
    RunId,
    /// `job_id` or `job_ref` changed.
    JobId,
    /// `doctrine` changed.
    Doctrine,
    /// The index would decide instead of the files.
    Authority,
    /// A member changed that no step declares.
    Drift,
    /// The output, with the steps undone, is not the input.
    Compatibility,
    /// The file has several names (hard links).
    Hardlink,
    /// The file changed after it was read.
    Changed,
    /// An operation on the disk failed.
    Io,
}

impl ErrorCode {
    /// Returns the code as reports show it: `E_…`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLarge => "E_TOO_LARGE",
            Self::Empty => "E_EMPTY",
            Self::Bom => "E_BOM",
            Self::Encoding => "E_ENCODING",
            Self::Json => "E_JSON",
            Self::Depth => "E_DEPTH",
            Self::DuplicateKey => "E_DUPLICATE_KEY",
            Self::Nonfinite => "E_NONFINITE",
            Self::Surrogate => "E_SURROGATE",
            Self::Number => "E_NUMBER",
            Self::Root => "E_ROOT",
            Self::NotAManifest => "E_NOT_A_MANIFEST",
            Self::Unversioned => "E_UNVERSIONED",
            Self::VersionType => "E_VERSION_TYPE",
            Self::VersionUnknown => "E_VERSION_UNKNOWN",
            Self::VersionFuture => "E_VERSION_FUTURE",
            Self::Downgrade => "E_DOWNGRADE",
            Self::HistoryType => "E_HISTORY_TYPE",
            Self::FieldType => "E_FIELD_TYPE",
            Self::RequiredField => "E_REQUIRED_FIELD",
            Self::Snapshot => "E_SNAPSHOT",
            Self::Schema => "E_SCHEMA",
            Self::InputSnapshots => "E_INVARIANT_1",
            Self::RunId => "E_INVARIANT_2",
            Self::JobId => "E_INVARIANT_3",
            Self::Doctrine => "E_INVARIANT_4",
            Self::Authority => "E_INVARIANT_5",
            Self::Drift => "E_INVARIANT_6",
            Self::Compatibility => "E_INVARIANT_7",
            Self::Hardlink => "E_HARDLINK",
            Self::Changed => "E_CHANGED",
            Self::Io => "E_IO",
        }
    }

    /// Returns the status of a document that is refused with this code.
    pub const fn status(self) -> DocumentStatus {
        match self {
            Self::Empty
            | Self::Bom
            | Self::Encoding
            | Self::Json
            | Self::Depth
            | Self::DuplicateKey
            | Self::Nonfinite
            | Self::Surrogate
            | Self::Number => DocumentStatus::Corrupt,
            Self::Root | Self::NotAManifest => DocumentStatus::NotAManifest,
            Self::Unversioned => DocumentStatus::Unversioned,
            Self::VersionType | Self::VersionUnknown => DocumentStatus::Unknown,
            Self::VersionFuture | Self::Downgrade => DocumentStatus::Future,
            Self::HistoryType | Self::FieldType | Self::RequiredField | Self::Snapshot | Self::Schema => {
                DocumentStatus::NeedsAttention
            }
            Self::InputSnapshots
            | Self::RunId
            | Self::JobId
            | Self::Doctrine
            | Self::Authority
            | Self::Drift
            | Self::Compatibility
            | Self::Hardlink
            | Self::Changed
            | Self::TooLarge
            | Self::Io => DocumentStatus::Failed,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The status of a document with regard to the target version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentStatus {
    /// The document is at the target version.
    Current,
    /// Steps lead from its version to the target.
    Pending,
    /// Its members do not fit its version or the target.
    NeedsAttention,
    /// It has no version.
    Unversioned,
    /// Its version is unknown.
    Unknown,
    /// Its version is above the target.
    Future,
    /// It is JSON, but not a manifest.
    NotAManifest,
    /// It is not JSON.
    Corrupt,
    /// Its migration failed.
    Failed,
}

impl DocumentStatus {
    /// Returns the status as reports show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Pending => "pending",
            Self::NeedsAttention => "needs_attention",
            Self::Unversioned => "unversioned",
            Self::Unknown => "unknown",
            Self::Future => "future",
            Self::NotAManifest => "not_a_manifest",
            Self::Corrupt => "corrupt",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for DocumentStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A position in the text of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPosition {
    /// Number of bytes before the position.
    pub offset: u64,
    /// Line, from 1. Lines end with LF.
    pub line: u64,
    /// Column in characters, from 1. A byte that is not part of UTF-8 counts as one.
    pub column: u64,
}
