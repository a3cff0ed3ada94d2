//! Why a document is not migrated: stable codes, and where in the bytes (docs/source-sigilzero.md, "Order of checks").

use std::fmt;

/// A code of reports and of `--json`. The checks run in this order; the first that fails names the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    /// No bytes, or nothing but blanks.
    Empty,
    /// A byte order mark.
    Bom,
    /// Not UTF-8.
    Encoding,
    /// Not JSON, or more than 2 GiB of it.
    Json,
    /// Arrays and objects nested too deep.
    Depth,
    /// One object names a member twice.
    DuplicateKey,
    /// `NaN`, `Infinity`, or in compat a number that no binary64 holds.
    Nonfinite,
    /// Half of a surrogate pair: no UTF-8 text holds it.
    Surrogate,
    /// Compat only: an integer that the original's readers cannot read back.
    Number,
    /// The root is no object.
    Root,
    /// Without the fields that make a manifest.
    NotAManifest,
    /// No `schema_version`.
    Unversioned,
    /// `schema_version` is no string.
    VersionType,
    /// `schema_version` is none that steps know, or none from which they lead to the target.
    VersionUnknown,
    /// A version above all that are known.
    VersionFuture,
    /// A version above the target.
    Downgrade,
    /// `migration_history` is no array.
    HistoryType,
    /// A field has a type that its version does not allow.
    FieldType,
    /// A field is missing that the target requires.
    RequiredField,
    /// Snapshot files that a step derives from are missing or are not what the manifest says.
    Snapshot,
    /// The JSON Schema of the target's steps does not allow the result.
    Schema,
    /// `input_snapshots` changed.
    InputSnapshots,
    /// `run_id` changed.
    RunId,
    /// `job_id` or `job_ref` changed.
    JobId,
    /// `doctrine` changed.
    Doctrine,
    /// The files would not rule over the index.
    Authority,
    /// A key changed that no step declares.
    Drift,
    /// The output does not read as the input did.
    Compatibility,
    /// The file has more than one name.
    Hardlink,
    /// The file changed since it was read.
    Changed,
    /// The disk did not do it.
    Io,
}

impl ErrorCode {
    /// `E_…`, as reports show it.
    pub const fn name(self) -> &'static str {
        match self {
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

    /// What a document with this code is, in reports.
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
            | Self::Io => DocumentStatus::Failed,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a document is, seen from the target version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentStatus {
    /// At the target.
    Current,
    /// A path leads from it to the target.
    Pending,
    /// Its fields are not what its version or the target asks for.
    NeedsAttention,
    /// It names no version.
    Unversioned,
    /// Its version is none that is known.
    Unknown,
    /// Its version is above the target.
    Future,
    /// It is JSON and no manifest.
    NotAManifest,
    /// It is no JSON.
    Corrupt,
    /// The migration of this file failed.
    Failed,
}

impl DocumentStatus {
    /// As reports show it.
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

/// Where in the bytes of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextPosition {
    /// Bytes before it.
    pub offset: u64,
    /// From 1; lines end with LF.
    pub line: u64,
    /// From 1, in characters; bytes that are no UTF-8 count one each.
    pub column: u64,
}
