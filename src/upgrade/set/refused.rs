//! Why a file cannot be a database of a set.

use std::path::PathBuf;

/// A file that cannot be a database of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where it is.
    pub path: PathBuf,
    /// A stable word for what is wrong.
    pub code: &'static str,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub next: String,
}
