//! Faults of migration files, and where they are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::lexer::Unclosed;
use crate::migration::Error;

/// A file that is not a valid migration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", at(file, *line))]
pub struct ScriptError {
    /// The path of the file.
    pub file: PathBuf,
    /// The line, counted from 1; 0 for the whole file.
    pub line: u64,
    /// The offset in the text, in bytes, without a byte order mark and with LF for CR LF.
    pub offset: u64,
    /// The fault.
    pub fault: ScriptFault,
}

impl ScriptError {
    /// Returns true if a comment looks like a section marker, so that parts of the file may have run together.
    pub fn is_about_marker(&self) -> bool {
        matches!(self.fault, ScriptFault::UnreadMarker(_) | ScriptFault::Liquibase(_))
    }
}

fn at(file: &Path, line: u64) -> String {
    if line == 0 { file.display().to_string() } else { format!("{}:{line}", file.display()) }
}

/// A fault of a migration file (docs/source-sql.md, "File names" and "Sections").
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScriptFault {
    /// The name has no version.
    #[error("the name does not begin with a version")]
    NoVersion,
    /// The version is not one whole number.
    #[error("the version `{0}` is not a whole number")]
    VersionNotWhole(String),
    /// Two files have the same version.
    #[error("version {version} is also that of {}", other.display())]
    DuplicateVersion {
        /// The version.
        version: String,
        /// The other file.
        other: PathBuf,
    },
    /// Two files without a version have the same name.
    #[error("its name is also that of {}", .0.display())]
    DuplicateName(PathBuf),
    /// A file without a version that cannot run in one transaction.
    #[error("a file without a version runs in one transaction, and this one asks for something else")]
    NotOneTransaction,
    /// A Down file has no Up file.
    #[error("there is no Up file for this Down file")]
    DownWithoutUp,
    /// The file is too long.
    #[error("the file is longer than {0} bytes")]
    TooLong(u64),
    /// There are too many files.
    #[error("there are more than {0} migration files")]
    TooMany(usize),
    /// The file is not text.
    #[error("the file is not UTF-8")]
    NotUtf8,
    /// The file contains a zero byte, at which SQLite would stop reading.
    #[error("the file contains a zero byte")]
    ZeroByte,
    /// The Up section has no statement.
    #[error("the {0} section has no statement")]
    EmptySection(&'static str),
    /// A Down section has no Up section before it.
    #[error("a Down section without an Up section before it")]
    DownBeforeUp,
    /// A marker occurs twice.
    #[error("the {0} marker is repeated")]
    RepeatedMarker(&'static str),
    /// The file has markers of several tools.
    #[error("markers of different kinds in one file")]
    MixedMarkers,
    /// A marker in a file whose name says which section it is.
    #[error("a section marker in a file whose name already says the section")]
    MarkerInPair,
    /// A statement is in no section.
    #[error("a statement before the Up marker")]
    StatementBeforeUp,
    /// A comment that is meant as a section marker, and that haul does not read.
    #[error("`{0}` looks like a section marker, and haul does not read it as one")]
    UnreadMarker(String),
    /// A file in the format of Liquibase.
    #[error("`{0}` is a line of Liquibase, whose changesets, contexts and rollbacks haul does not follow")]
    Liquibase(String),
    /// A `StatementBegin` without an end, or an end without a beginning.
    #[error("StatementBegin and StatementEnd do not match")]
    UnmatchedStatementMarkers,
    /// The annotation is unknown.
    #[error("unknown annotation `{0}`")]
    UnknownAnnotation(String),
    /// The directive is unknown.
    #[error("unknown directive `{0}`")]
    UnknownDirective(String),
    /// The value of a directive is invalid.
    #[error("directive `{name}`: {what}")]
    DirectiveValue {
        /// The directive.
        name: &'static str,
        /// The expected value.
        what: &'static str,
    },
    /// A directive after the first statement, which would have no effect.
    #[error("a directive after the first statement")]
    LateDirective,
    /// A literal, name or comment has no end.
    #[error("{} is not closed", match .0 { Unclosed::Literal => "a string literal", Unclosed::Name => "a quoted name", Unclosed::Comment => "a comment", Unclosed::Data => "the data of COPY" })]
    Unclosed(Unclosed),
    /// A command of a shell instead of SQL.
    #[error("`{0}` is a command of the {1} shell, not SQL")]
    ShellCommand(String, &'static str),
    /// A setting that changes where strings end.
    #[error("with standard_conforming_strings off, the server ends strings elsewhere than haul does")]
    StringSyntax,
    /// A placeholder of another tool.
    #[error("`{0}` is a placeholder, and nothing fills it in")]
    Placeholder(String),
    /// A placeholder without a value.
    #[error("`{0}` is a placeholder, and it has no value")]
    UnknownPlaceholder(String),
    /// A value that could change the statement.
    #[error("the value of `{0}` cannot stand here: {1}")]
    PlaceholderValue(String, &'static str),
    /// A file whose ending is not `.sql` in lower case.
    #[error("its name ends in `{0}`, so it would not be read")]
    OtherEnding(String),
    /// A folder with migrations, which would not be read.
    #[error("the folder has migration files, such as {}, and folders are not read", .0.display())]
    Folder(PathBuf),
    /// A transfer of data through the client.
    #[error("COPY through the client needs its data in the lines behind it, and has none")]
    ClientCopy,
    /// A statement that would end or nest the runner's transaction.
    #[error("{0} would end or nest the transaction of haul")]
    TransactionControl(String),
    /// A savepoint in the runner's transaction.
    #[error("{0} has no use here: the first error ends the migration, and all of the section is rolled back")]
    Savepoint(String),
    /// A `SET TRANSACTION` in the runner's transaction.
    #[error("SET TRANSACTION comes too late: haul has begun the transaction of the section")]
    SetTransaction,
    /// A statement that the engine refuses in a transaction.
    #[error("{0} does not work inside a transaction")]
    RefusedInTransaction(&'static str),
    /// A statement that would release the lock of the run.
    #[error("{0} would release the lock of the run")]
    ReleasesLock(&'static str),
    /// A DO block that changes a setting, in a section of several transactions.
    #[error("a DO block changes a setting, which a run that continues after it could not repeat")]
    HiddenSetting,
    /// A temporary table that outlives its transaction, in a section of several transactions.
    #[error("the temporary `{table}` is used again on line {line}, where a run that continues would not have it")]
    TemporaryLost {
        /// Its name, or that of a database in memory.
        table: String,
        /// The line of the use.
        line: u64,
    },
    /// A squashed file whose version is not that of the last file which it replaces.
    #[error("its version is not that of the last migration that it replaces")]
    ReplacesAnother,
    /// A file that a squashed file replaces, with another text.
    #[error("its text is not the one that {} replaces", .0.display())]
    ReplacedChanged(PathBuf),
    /// A query of a batch that cannot be paged.
    #[error("a batch needs {0}")]
    BatchQuery(&'static str),
    /// A batch without statements.
    #[error("the batch has no statement")]
    EmptyBatch,
    /// A batch whose statements do not refer to its keys.
    #[error("no statement of the batch refers to haul_batch")]
    BatchUnused,
    /// A batch in a section without a transaction.
    #[error("a batch in a section without a transaction")]
    BatchWithoutTransaction,
    /// The limit for locks is not below the limit for the section.
    #[error("the lock timeout of {} ms is not below the timeout of {} ms", lock.as_millis(), whole.as_millis())]
    LockTimeout {
        /// The limit for each wait for a lock.
        lock: Duration,
        /// The limit for the whole section.
        whole: Duration,
    },
}

impl ScriptFault {
    /// Changes the parts of statements that the fault quotes.
    pub(super) fn quoting(self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Self::UnreadMarker(text) => Self::UnreadMarker(change(&text)),
            Self::ShellCommand(text, shell) => Self::ShellCommand(change(&text), shell),
            Self::TransactionControl(text) => Self::TransactionControl(change(&text)),
            Self::Savepoint(text) => Self::Savepoint(change(&text)),
            Self::TemporaryLost { table, line } => Self::TemporaryLost { table: change(&table), line },
            other => other,
        }
    }

    /// Returns the name of the lint rule that the fault breaks.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::NoVersion
            | Self::VersionNotWhole(_)
            | Self::DuplicateVersion { .. }
            | Self::DuplicateName(_)
            | Self::OtherEnding(_)
            | Self::Folder(_) => "version",
            Self::Placeholder(_) | Self::UnknownPlaceholder(_) | Self::PlaceholderValue(..) => "placeholder",
            Self::DownWithoutUp
            | Self::EmptySection(_)
            | Self::DownBeforeUp
            | Self::RepeatedMarker(_)
            | Self::MixedMarkers
            | Self::MarkerInPair
            | Self::StatementBeforeUp
            | Self::UnreadMarker(_)
            | Self::Liquibase(_)
            | Self::UnmatchedStatementMarkers => "sections",
            Self::TooLong(_) | Self::TooMany(_) | Self::NotUtf8 | Self::ZeroByte | Self::Unclosed(_) => "text",
            Self::UnknownAnnotation(_)
            | Self::UnknownDirective(_)
            | Self::DirectiveValue { .. }
            | Self::LateDirective
            | Self::ReplacesAnother
            | Self::ReplacedChanged(_)
            | Self::LockTimeout { .. } => "directive",
            Self::ShellCommand(..) | Self::ClientCopy | Self::StringSyntax => "not-sql",
            Self::TransactionControl(_) | Self::Savepoint(_) | Self::SetTransaction => "transaction-control",
            Self::RefusedInTransaction(_) => "non-transactional-statement",
            Self::NotOneTransaction => "directive",
            Self::ReleasesLock(_) => "releases-lock",
            Self::HiddenSetting | Self::TemporaryLost { .. } => "session-state",
            Self::BatchQuery(_) | Self::EmptyBatch | Self::BatchUnused | Self::BatchWithoutTransaction => "batch",
        }
    }

    /// Returns what to do about it.
    pub fn next(&self) -> &'static str {
        match self {
            Self::NoVersion | Self::VersionNotWhole(_) => {
                "name it VERSION_name.sql with a whole number in front, or move it out of the directory"
            }
            Self::DuplicateVersion { .. } => "give one of the two files another version",
            Self::OtherEnding(_) => "let it end in `.sql`, or move it out of the directory",
            Self::Folder(_) => {
                "read it with --recursive or `recursive = true` in haul.toml, or move it out of the directory"
            }
            Self::Placeholder(_) => {
                "give it a value with --set NAME=VALUE or in [db.placeholders] of haul.toml; if the text is meant as it is, add \
                 `-- haul: no-placeholders` at the top"
            }
            Self::UnknownPlaceholder(_) => {
                "correct the name, or give it a value: --set NAME=VALUE, [db.placeholders] in haul.toml, or placeholders_env \
                 for variables of the environment"
            }
            Self::PlaceholderValue(..) => {
                "put it in quotes in the file, where any value can stand; or give it another value"
            }
            Self::DuplicateName(_) => "give one of the two files another name",
            Self::NotOneTransaction => "write it as a migration with a version",
            Self::DownWithoutUp => "add the Up file, or remove this one",
            Self::TooLong(_) | Self::TooMany(_) => "load data with the database's own tools, and split the rest",
            Self::NotUtf8 | Self::ZeroByte => "save the file as UTF-8 text",
            Self::EmptySection(_) => "write its statements, or remove the file",
            Self::DownBeforeUp | Self::StatementBeforeUp | Self::RepeatedMarker(_) | Self::MixedMarkers => {
                "write one `-- Up` line, the statements, then at most one `-- Down` line and its statements"
            }
            Self::UnreadMarker(_) => {
                "write `-- Up` or `-- Down` there, alone on the line; if it is only a remark, make it a sentence"
            }
            Self::Liquibase(_) => {
                "write one file for each changeset, with `-- Up`, the statements, `-- Down` and the rollback"
            }
            Self::MarkerInPair => "remove the marker, or give the file a name without `.up`, `.down`, `V` or `U`",
            Self::UnmatchedStatementMarkers => "close each StatementBegin with a StatementEnd",
            Self::UnknownAnnotation(_) => "remove it; haul does not support it",
            Self::UnknownDirective(_) | Self::DirectiveValue { .. } => {
                "directives are: no-transaction, timeout=30s, lock-timeout=5s, foreign-keys=on, batch-rows=500, no-placeholders"
            }
            Self::ReplacesAnother => "give it back the name that `haul db squash` gave it",
            Self::ReplacedChanged(_) => "restore it; or remove it, if all databases have it as it was",
            Self::LateDirective => "move it above the first statement of its section",
            Self::Unclosed(Unclosed::Data) => "end the data with a line that has only `\\.`",
            Self::Unclosed(_) => "close it; the rest of the file counts as a part of it",
            Self::StringSyntax => "leave it on, and write E'…' for a string with escapes",
            Self::ShellCommand(..) => "write what it does as SQL, or run it in that shell",
            Self::ClientCopy => {
                "write the rows in the lines below COPY … FROM STDIN, ended by a line `\\.`; COPY … TO STDOUT is for psql"
            }
            Self::TransactionControl(_) => {
                "remove it: haul runs the section in one transaction; to run it without one, add `-- haul: no-transaction`"
            }
            Self::Savepoint(_) => {
                "remove SAVEPOINT, RELEASE and ROLLBACK TO; they do not end the transaction, and nothing goes back to them"
            }
            Self::SetTransaction => {
                "remove it; or begin the transaction in the file: `-- haul: no-transaction`, BEGIN ISOLATION LEVEL …, COMMIT"
            }
            Self::RefusedInTransaction("PRAGMA foreign_keys") => {
                "remove it: haul runs the section with foreign keys off and checks them before the commit; \
                 `-- haul: foreign-keys=on` enforces them at once"
            }
            Self::RefusedInTransaction(_) => {
                "move it to a file of its own with the line `-- haul: no-transaction` at the top"
            }
            Self::ReleasesLock(_) => {
                "remove it: haul resets the session after each file; within a file, use DISCARD TEMP or pg_advisory_unlock(KEY)"
            }
            Self::HiddenSetting => "write SET as a statement of its own before it, or SET LOCAL within the block",
            Self::TemporaryLost { .. } => {
                "use it in one transaction, between BEGIN and COMMIT; or use an ordinary table, and drop it at the end"
            }
            Self::BatchQuery(_) => {
                "write one SELECT of the key columns after `-- Batch:`; haul adds the order and the limit of each page"
            }
            Self::EmptyBatch => "write the statements for each page, or remove the marker",
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
