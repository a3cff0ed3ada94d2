//! What keeps an upgrade from beginning.

use std::path::Path;

use super::model::Block;
use crate::migration::{Error, exit};
use crate::upgrade::set::Refused;

/// How the message of an error of SQLite ends if another connection has locked the file.
const LOCKED: [&str; 2] = ["(SQLITE_BUSY)", "(SQLITE_LOCKED)"];
/// How it ends if the file is damaged.
const DAMAGED: [&str; 2] = ["(SQLITE_CORRUPT)", "(SQLITE_NOTADB)"];
/// How it ends if the file or its directory cannot be used as it has to be.
const UNREADABLE: [&str; 2] = ["(SQLITE_CANTOPEN)", "(SQLITE_READONLY)"];

impl Block {
    /// Creates a block of the file at `path`.
    pub(super) fn new(code: &str, path: &Path, what: impl Into<String>, next: &str, exit_code: u8) -> Self {
        let file = Some(path.display().to_string());
        Self { code: code.into(), file, what: what.into(), next: next.into(), exit_code }
    }

    /// A file that cannot be a database of the set.
    pub(super) fn of_refused(refused: Refused) -> Self {
        Self::new(refused.code, &refused.path, refused.what, &refused.next, exit::USAGE)
    }

    /// What an error about the database at `path` means for the plan. One that is not about that database stays an
    /// error.
    pub(super) fn of_error(path: &Path, error: Error) -> Result<Self, Error> {
        let Error::Database { what, .. } = &error else { return Err(error) };
        let is = |ends: [&str; 2]| ends.iter().any(|end| what.contains(end));
        if is(LOCKED) {
            let next = "end the program that keeps it locked, then run `haul upgrade plan` again";
            return Ok(Self::new("locked", path, reason(what, path), next, exit::TEMPORARY));
        }
        if is(DAMAGED) {
            return Ok(Self::corrupt(path, reason(what, path)));
        }
        if is(UNREADABLE) {
            let next = "let this user read the file, and write to its directory, then run `haul upgrade plan` again";
            return Ok(Self::new("unreadable", path, reason(what, path), next, exit::BAD_DATA));
        }
        Err(error)
    }

    /// A database that is damaged.
    pub(super) fn corrupt(path: &Path, what: impl Into<String>) -> Self {
        let next =
            "restore it from a backup, or rescue its rows with `sqlite3 FILE .recover`, or leave it out with --exclude";
        Self::new("corrupt", path, what, next, exit::BAD_DATA)
    }

    /// What a failed rehearsal means for the plan: what is wrong with the data or the definition blocks, anything else
    /// is an error.
    pub(super) fn of_rehearsal(code: &str, path: &Path, error: Error) -> Result<Self, Error> {
        let exit_code = error.exit_code();
        if matches!(error, Error::Stopped { .. }) || ![exit::USAGE, exit::BAD_DATA].contains(&exit_code) {
            return Err(error);
        }
        let next = error.next_step().unwrap_or_else(|| "run `haul upgrade plan` again".into());
        Ok(Self::new(code, path, error.to_string(), &next, exit_code))
    }
}

/// Returns the message without the name of the database before it: a block has the file in a field of its own.
fn reason(what: &str, path: &Path) -> String {
    let place = crate::db::sqlite::connect::place(path);
    what.strip_prefix(&place).map_or(what, |rest| rest.trim_start_matches([':', ' '])).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_of_the_database_become_blocks() {
        let path = Path::new("a.db");
        let database =
            |what: &str, temporary| Error::Database { what: what.into(), next: String::new(), temporary, source: None };
        let code = |error| Block::of_error(path, error).map(|block| (block.code, block.what, block.exit_code));
        let cases = [
            (database("sqlite:a.db: it is locked (SQLITE_BUSY)", true), ("locked", "it is locked (SQLITE_BUSY)", 75)),
            (database("sqlite:a.db: malformed (SQLITE_CORRUPT)", false), ("corrupt", "malformed (SQLITE_CORRUPT)", 65)),
            (database("sqlite:a.db: no (SQLITE_CANTOPEN)", false), ("unreadable", "no (SQLITE_CANTOPEN)", 65)),
        ];
        for (error, (expected, what, exit_code)) in cases {
            assert_eq!(code(error).unwrap(), (expected.to_owned(), what.to_owned(), exit_code));
        }
        let no_space = database("sqlite:a.db: there is no space for a private copy of it", true);
        for error in [Error::stopped(), no_space, database("sqlite:a.db: disk I/O error (SQLITE_IOERR)", false)] {
            assert!(code(error).is_err());
        }
        let usage = Error::Usage { what: "w".into(), next: "n".into() };
        assert_eq!(Block::of_rehearsal("rehearsal", path, usage).unwrap().exit_code, 2);
        assert!(Block::of_rehearsal("rehearsal", path, Error::stopped()).is_err());
    }
}
