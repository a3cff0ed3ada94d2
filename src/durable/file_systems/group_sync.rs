//! What a sync of a whole file system does for the files on it.

use std::fmt;

/// What a sync of a whole file system does for the files on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupSync {
    /// It makes them durable, and reports what was lost.
    Reaches,
    /// It makes them durable, but the kernel does not report what was lost.
    HidesLosses,
    /// It need not reach the medium. The name of the kind of file system, if the mount table has one.
    StaysHere(Option<String>),
}

/// Says why each file is synced by itself; empty if that is not needed.
impl fmt::Display for GroupSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reaches => Ok(()),
            Self::HidesLosses => f.write_str("this kernel does not report failed writes of a whole file system"),
            Self::StaysHere(kind) => {
                let kind = kind.as_deref().unwrap_or("this kind of file system");
                write!(f, "a sync of the whole file system need not reach the medium on {kind}")
            }
        }
    }
}
