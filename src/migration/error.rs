//! What can end a migration, with the exit code it maps to and the next step for the operator.

use std::path::PathBuf;

use super::units::bytes_text;
use crate::durable::{DiskError, FaultClass, SourceChange, WindowError};
use crate::pipeline::NoThread;

/// Exit codes of the binary (docs/design.md, "Exit codes"). Stable: scripts rely on them.
pub mod exit {
    /// Done, or nothing to do.
    pub const OK: u8 = 0;
    /// Failed.
    pub const FAILED: u8 = 1;
    /// Arguments, or a plan that does not fit.
    pub const USAGE: u8 = 2;
    /// Finished, but some records were refused; the report names each.
    pub const REFUSED_RECORDS: u8 = 3;
    /// Corrupt source, verification failed, units missing.
    pub const BAD_DATA: u8 = 65;
    /// Same unit, different digest.
    pub const CONFLICT: u8 = 70;
    /// Stopped or temporary: run the same command again.
    pub const TEMPORARY: u8 = 75;
    /// A newer attempt owns this unit.
    pub const FENCED: u8 = 76;
}

/// An error that another one was found by.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call does not fit what it is about: change the arguments or the options.
    Usage,
    /// Data are damaged, changed, or refused by the rules: look at them before you continue.
    Data,
    /// A name already stands for something else, which is kept.
    Conflict,
    /// Stopped, in use, out of space or out of reach: the same call may succeed later.
    Retry,
    /// The system or another program failed.
    System,
    /// haul contradicts itself: report it.
    Internal,
}

/// Why a migration ended without reaching its goal. No forward migration touches its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An effect on a disk failed.
    #[error(transparent)]
    Disk(DiskError),
    /// Arguments that do not fit each other or the plan.
    #[error("{what}")]
    Usage {
        /// What does not fit.
        what: String,
        /// What to do.
        next: String,
    },
    /// Bytes on disk that are not what their format says.
    #[error("{}: {what} at offset {offset}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong.
        what: String,
        /// What to do.
        next: String,
        /// What it was found by, if that is an error of its own.
        source: Option<Cause>,
    },
    /// The source holds records that the policies do not let pass; each is in the report.
    #[error("{count} findings under policy fail; nothing was published (each is listed in {})", report.display())]
    Findings {
        /// How many findings.
        count: u64,
        /// The report that lists them.
        report: PathBuf,
        /// What to do.
        next: String,
    },
    /// A source file is not what it was when the plan was made.
    #[error("{}: source changed during the run: {what}", path.display())]
    SourceChanged {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: String,
    },
    /// The target is not what its manifest says.
    #[error("verification failed: {what}")]
    Verification {
        /// What differs, with its file and offset.
        what: String,
        /// What to do.
        next: String,
        /// What it was found by, if that is an error of its own.
        source: Option<Cause>,
    },
    /// A name already stands for something else, which is kept.
    #[error("{}: {what}", path.display())]
    Conflict {
        /// What has the name.
        path: PathBuf,
        /// How it differs.
        what: String,
        /// What to do.
        next: String,
    },
    /// The state of a run cannot be continued.
    #[error("{}: {what}", path.display())]
    State {
        /// The file that holds the state.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        next: String,
        /// True if the file is damaged, false if it belongs to another plan or version.
        damaged: bool,
        /// What it was found by, if that is an error of its own.
        source: Option<Cause>,
    },
    /// Another run holds the lock.
    #[error("another run is active: {owner}")]
    Locked {
        /// Who holds it, as the lock file tells.
        owner: String,
    },
    /// The file system has less space left than the plan needs.
    #[error(
        "{}: not enough space: {} needed ({needed_bytes} bytes), {} available ({available_bytes} bytes)",
        path.display(), bytes_text(*needed_bytes), bytes_text(*available_bytes)
    )]
    NoSpace {
        /// A directory on the file system.
        path: PathBuf,
        /// What the plan needs.
        needed_bytes: u64,
        /// What this user may still write.
        available_bytes: u64,
    },
    /// The file system may hold fewer further files and directories than the plan needs.
    #[error("{}: not enough inodes: {needed} needed, {available} available", path.display())]
    NoInodes {
        /// A directory on the file system.
        path: PathBuf,
        /// What the plan needs.
        needed: u64,
        /// How many this user may still create.
        available: u64,
    },
    /// The operator asked the run to stop; it can be resumed.
    #[error("stopped on request; everything up to the last checkpoint is kept")]
    Stopped {
        /// The command that continues.
        next: String,
    },
    /// Another program did not do what it was asked to.
    #[error("{what}")]
    Program {
        /// Which one, and what it did.
        what: String,
        /// What to do.
        next: String,
        /// True if it was ended before its time: asking again may do.
        temporary: bool,
    },
    /// A database did not do what it was asked to.
    #[error("{what}")]
    Database {
        /// What was asked, of which database, and what it answered; without any secret.
        what: String,
        /// What to do.
        next: String,
        /// True if asking again may do: the database is in use, or out of reach.
        temporary: bool,
        /// What it was found by, if that is an error of its own.
        source: Option<Cause>,
    },
    /// Numbers that must agree do not: a defect in haul or a source that changed unseen.
    #[error("counts do not add up: {what}")]
    Accounting {
        /// The two sums.
        what: String,
    },
}

impl From<DiskError> for Error {
    fn from(error: DiskError) -> Self {
        if error.is_stop() {
            return Self::stopped();
        }
        match error.lock_taken_over_by() {
            Some(owner) => Self::Locked { owner: owner.to_owned() },
            None => Self::Disk(error),
        }
    }
}

impl From<SourceChange> for Error {
    fn from(change: SourceChange) -> Self {
        Self::SourceChanged { path: change.path, what: change.what }
    }
}

impl From<NoThread> for Error {
    fn from(error: NoThread) -> Self {
        Self::Program {
            what: format!("{error}: {}", error.source),
            next:
                "raise the limit on processes (`ulimit -u`) or wait until others end, then run the same command again"
                    .into(),
            temporary: true,
        }
    }
}

impl From<WindowError> for Error {
    fn from(error: WindowError) -> Self {
        match error {
            WindowError::Disk(error) => error.into(),
            WindowError::Changed(change) => change.into(),
        }
    }
}

/// Returns what helps against an error of the process or the device.
fn remedy(error: &DiskError) -> &'static str {
    match error.source.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => "allow more open files, for example with `ulimit -n`",
        Some(libc::ENOMEM | libc::EAGAIN) => "give the process more memory and threads",
        Some(libc::EFBIG) => "raise the limit for the size of files",
        _ => "see that the file system is mounted and its device works",
    }
}

impl Error {
    /// Returns what a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            // What the process or the device lacks may be there later.
            Self::Disk(error) if error.fault_class() == FaultClass::Run => ErrorKind::Retry,
            Self::Disk(_) => ErrorKind::System,
            Self::Usage { .. } | Self::State { damaged: false, .. } => ErrorKind::Usage,
            Self::Corrupt { .. }
            | Self::Findings { .. }
            | Self::SourceChanged { .. }
            | Self::Verification { .. }
            | Self::State { damaged: true, .. } => ErrorKind::Data,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Locked { .. }
            | Self::NoSpace { .. }
            | Self::NoInodes { .. }
            | Self::Stopped { .. }
            | Self::Program { temporary: true, .. }
            | Self::Database { temporary: true, .. } => ErrorKind::Retry,
            Self::Program { .. } | Self::Database { .. } => ErrorKind::System,
            Self::Accounting { .. } => ErrorKind::Internal,
        }
    }

    /// Returns the error of work that was asked to stop and is done again from its last checkpoint on.
    pub fn stopped() -> Self {
        Self::Stopped { next: "run the same command again".into() }
    }

    /// Returns the result, or `None` if it is the error of a stop.
    pub fn unless_stopped<T>(result: Result<T, Self>) -> Result<Option<T>, Self> {
        match result {
            Err(Self::Stopped { .. }) => Ok(None),
            result => result.map(Some),
        }
    }

    /// Returns the exit code of a command that ends so.
    pub fn exit_code(&self) -> u8 {
        match self.kind() {
            ErrorKind::Usage => exit::USAGE,
            ErrorKind::Data => exit::BAD_DATA,
            ErrorKind::Conflict => exit::CONFLICT,
            ErrorKind::Retry => exit::TEMPORARY,
            ErrorKind::System | ErrorKind::Internal => exit::FAILED,
        }
    }

    /// What the operator does next, where there is one thing to do.
    pub fn next_step(&self) -> Option<String> {
        use std::io::ErrorKind;
        match self {
            Self::Disk(e) => match e.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(
                    "free space, or inodes, on that file system, then run the same command again: it resumes".into(),
                ),
                ErrorKind::FileTooLarge => {
                    Some("raise the limit on the size of files (`ulimit -f`), then run the same command again".into())
                }
                _ if e.is_out_of_descriptors() => {
                    Some("raise the limit on open files (`ulimit -n`), then run the same command again".into())
                }
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                    Some("give this user access to that path, then run the same command again".into())
                }
                ErrorKind::NotFound => Some("check the path".into()),
                ErrorKind::InvalidInput | ErrorKind::IsADirectory if e.operation.starts_with("open file") => {
                    Some("find out what is in its place and move it away, then run the same command again".into())
                }
                _ => match e.fault_class() {
                    FaultClass::Item => None,
                    FaultClass::Medium => {
                        Some("check the device, for example with `dmesg`, then run the same command again".into())
                    }
                    FaultClass::Run => Some(format!("{}, then run the same command again", remedy(e))),
                },
            },
            Self::Usage { next, .. }
            | Self::Corrupt { next, .. }
            | Self::Findings { next, .. }
            | Self::Verification { next, .. }
            | Self::Conflict { next, .. }
            | Self::State { next, .. }
            | Self::Program { next, .. }
            | Self::Database { next, .. }
            | Self::Stopped { next } => Some(next.clone()),
            Self::SourceChanged { .. } => {
                Some("stop whatever writes to the source, then start over with --restart".into())
            }
            Self::Locked { .. } => Some("wait for that run to end, then run the same command again".into()),
            Self::NoSpace { .. } => {
                Some("free space on that file system, or take another target, then run the same command again".into())
            }
            Self::NoInodes { .. } => {
                Some("take another target, or a file system with more inodes, then run the same command again".into())
            }
            Self::Accounting { .. } => Some("keep the migration directory and report this as a defect".into()),
        }
    }
}
