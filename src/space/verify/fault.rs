//! The error of a store that is not what it says it is.

use std::path::PathBuf;

use crate::migration::Error;

pub(super) fn wrong(path: PathBuf, what: &str) -> Error {
    Error::Verification {
        what: format!("{}: {what}", path.display()),
        next: "the log is untouched: run `haul space rollback`, then migrate again with --restart".into(),
    }
}
