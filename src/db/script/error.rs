//! What is wrong with a migration file, and where.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lexer::Unclosed;
use crate::migration::Error;

/// A file that cannot be read as a migration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", at(file, *line))]
pub struct ScriptError {
    /// Name of the file.
    pub file: PathBuf,
    /// The line, counted from 1; 0 where the whole file is meant.
    pub line: u64,
    /// Where in the file, in bytes of its text without a byte order mark and with LF for CR LF.
    pub offset: u64,
    /// What is wrong there.
    pub fault: ScriptFault,
}

fn at(file: &Path, line: u64) -> String {
    if line == 0 { file.display().to_string() } else { format!("{}:{line}", file.display()) }
}

/// What can be wrong with a migration file (docs/source-sql.md, "File names" and "Sections").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptFault {
    /// The name has no version.
    #[error("the name does not begin with a version")]
    NoVersion,
    /// The version is not one whole number.
    #[error("the version `{0}` is not a whole number")]
    VersionNotWhole(String),
    /// Two files have one version.
    #[error("version {version} is also that of {}", other.display())]
    DuplicateVersion {
        /// The version.
        version: String,
        /// The other file.
        other: PathBuf,
    },
    /// A file that takes back has none that it takes back.
    #[error("there is no file that it takes back")]
    DownWithoutUp,
    /// It is longer than haul reads.
    #[error("the file is longer than {0} bytes")]
    TooLong(u64),
    /// There are more files than haul reads.
    #[error("there are more than {0} migration files")]
    TooMany(usize),
    /// Not text.
    #[error("the file is not UTF-8")]
    NotUtf8,
    /// SQLite would end the script there.
    #[error("the file holds a zero byte")]
    ZeroByte,
    /// Nothing to do.
    #[error("the {0} section has no statement")]
    EmptySection(&'static str),
    /// Down without Up.
    #[error("a Down section without an Up section before it")]
    DownBeforeUp,
    /// A marker that came before.
    #[error("the {0} marker is repeated")]
    RepeatedMarker(&'static str),
    /// Markers of different tools.
    #[error("markers of different kinds in one file")]
    MixedMarkers,
    /// A marker where the file's name says what it is.
    #[error("a section marker in a file that is one section by its name")]
    MarkerInPair,
    /// SQL that is in no section.
    #[error("a statement before the Up marker")]
    StatementBeforeUp,
    /// A `StatementBegin` without an end or the other way round.
    #[error("StatementBegin and StatementEnd do not match")]
    UnmatchedStatementMarkers,
    /// An annotation that is not known.
    #[error("unknown annotation `{0}`")]
    UnknownAnnotation(String),
    /// A directive that is not known.
    #[error("unknown directive `{0}`")]
    UnknownDirective(String),
    /// A directive's value that is not of its kind.
    #[error("directive `{name}`: {what}")]
    DirectiveValue {
        /// The directive.
        name: &'static str,
        /// What is wrong with the value.
        what: &'static str,
    },
    /// A directive that would have no effect.
    #[error("a directive after the first statement")]
    LateDirective,
    /// The end is missing.
    #[error("{} is not closed", match .0 { Unclosed::Literal => "a string literal", Unclosed::Name => "a quoted name", Unclosed::Comment => "a comment" })]
    Unclosed(Unclosed),
    /// A command of a shell.
    #[error("`{0}` is a command of the {1} shell, not SQL")]
    ShellCommand(String, &'static str),
    /// A transfer of data through the client.
    #[error("COPY through the client has no data in a migration")]
    ClientCopy,
    /// It would end or nest the runner's transaction.
    #[error("{0} would take the transaction out of haul's hands")]
    TransactionControl(String),
    /// The engine does not run it in a transaction.
    #[error("{0} does not work inside a transaction")]
    RefusedInTransaction(&'static str),
    /// The query of a batch that cannot be walked through.
    #[error("a batch needs {0}")]
    BatchQuery(&'static str),
    /// A batch that does nothing.
    #[error("the batch has no statement")]
    EmptyBatch,
    /// A batch whose statements do the same for each page.
    #[error("no statement of the batch refers to haul_batch")]
    BatchUnused,
    /// A batch in a section without a transaction.
    #[error("a batch in a section without a transaction")]
    BatchWithoutTransaction,
    /// A limit for locks that is not below the limit for the whole.
    #[error("the lock timeout of {} ms is not below the timeout of {} ms", lock.as_millis(), whole.as_millis())]
    LockTimeout {
        /// For waiting on a lock.
        lock: Duration,
        /// For the whole section.
        whole: Duration,
    },
}

impl ScriptFault {
    /// The rule that it breaks, as lint calls it.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::NoVersion | Self::VersionNotWhole(_) | Self::DuplicateVersion { .. } => "version",
            Self::DownWithoutUp
            | Self::EmptySection(_)
            | Self::DownBeforeUp
            | Self::RepeatedMarker(_)
            | Self::MixedMarkers
            | Self::MarkerInPair
            | Self::StatementBeforeUp
            | Self::UnmatchedStatementMarkers => "sections",
            Self::TooLong(_) | Self::TooMany(_) | Self::NotUtf8 | Self::ZeroByte | Self::Unclosed(_) => "text",
            Self::UnknownAnnotation(_)
            | Self::UnknownDirective(_)
            | Self::DirectiveValue { .. }
            | Self::LateDirective
            | Self::LockTimeout { .. } => "directive",
            Self::ShellCommand(..) | Self::ClientCopy => "not-sql",
            Self::TransactionControl(_) => "transaction-control",
            Self::RefusedInTransaction(_) => "non-transactional-statement",
            Self::BatchQuery(_) | Self::EmptyBatch | Self::BatchUnused | Self::BatchWithoutTransaction => "batch",
        }
    }

    /// What to do about it.
    pub fn next(&self) -> &'static str {
        match self {
            Self::NoVersion | Self::VersionNotWhole(_) => {
                "name it VERSION_name.sql with a whole number in front, or move it out of the directory"
            }
            Self::DuplicateVersion { .. } => "give one of the two files another version",
            Self::DownWithoutUp => "add the file that it takes back, or remove this one",
            Self::TooLong(_) | Self::TooMany(_) => "load data with the database's own tools, and split the rest",
            Self::NotUtf8 | Self::ZeroByte => "save the file as UTF-8 text",
            Self::EmptySection(_) => "write its statements, or remove the file",
            Self::DownBeforeUp | Self::StatementBeforeUp | Self::RepeatedMarker(_) | Self::MixedMarkers => {
                "write one `-- Up` line, the statements, then at most one `-- Down` line and its statements"
            }
            Self::MarkerInPair => "remove the marker, or give the file a name without `.up`, `.down`, `V` or `U`",
            Self::UnmatchedStatementMarkers => "close each StatementBegin with a StatementEnd",
            Self::UnknownAnnotation(_) => "remove it; haul does not do what it asks for",
            Self::UnknownDirective(_) | Self::DirectiveValue { .. } => {
                "directives are: no-transaction, timeout=30s, lock-timeout=5s, foreign-keys=on, batch-rows=500"
            }
            Self::LateDirective => "move it above the first statement of its section",
            Self::Unclosed(_) => "close it; everything after it is taken for a part of it",
            Self::ShellCommand(..) => "write what it does as SQL, or run it in that shell",
            Self::ClientCopy => "write INSERT statements, or load the data with psql",
            Self::TransactionControl(_) => {
                "remove it: haul runs the section in one transaction; if it must do without, add `-- haul: no-transaction`"
            }
            Self::RefusedInTransaction(_) => {
                "put it into a file of its own with the line `-- haul: no-transaction` on top"
            }
            Self::BatchQuery(_) => {
                "write one SELECT of the key columns behind `-- Batch:`; haul orders and limits it, page by page"
            }
            Self::EmptyBatch => "write what is to be done for each page, or remove the marker",
            Self::BatchUnused => {
                "restrict it to the page, as in WHERE id IN (SELECT id FROM haul_batch); it runs once for each page"
            }
            Self::BatchWithoutTransaction => "remove `no-transaction`: each page is a transaction of its own",
            Self::LockTimeout { .. } => "lower the lock timeout or raise the timeout",
        }
    }
}

impl From<ScriptError> for Error {
    fn from(error: ScriptError) -> Self {
        Error::Usage { next: error.fault.next().into(), what: error.to_string() }
    }
}
