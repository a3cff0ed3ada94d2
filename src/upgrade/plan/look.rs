//! Looks at one file: takes a private copy, and recognises what it is.

use std::path::Path;
use std::time::{Duration, Instant};

use super::model::Block;
use crate::db::sqlite::connect::{self, FileKind};
use crate::migration::{Error, exit};
use crate::pipeline::StopToken;
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::{FileState, Snapshot, failed_on_copy, side_files};
use crate::upgrade::set::{Candidate, Classified, Recognised, classify};

/// A file that is a database of the set.
pub(super) struct Looked {
    pub database: Classified,
    pub snapshot: Snapshot,
    /// What the file was like before the copy, with its headers.
    pub state: FileState,
    pub side_files: Vec<String>,
    pub copy_time: Duration,
}

/// Looks at a file. The inner error says why it cannot be part of the set.
pub(super) fn look(
    candidate: &Candidate,
    definition: &Definition,
    stop: &StopToken,
) -> Result<Result<Looked, Block>, Error> {
    let path = &candidate.path;
    if let Some(block) = no_database(path)? {
        return Ok(Err(block));
    }
    let side_files = side_files(path).into_iter().map(str::to_owned).collect();
    let state = FileState::with_headers(path)?;
    let started = Instant::now();
    let snapshot = match Snapshot::take(path, stop) {
        Ok(snapshot) => snapshot,
        Err(error) => return Block::of_error(path, error).map(Err),
    };
    let copy_time = started.elapsed();
    let recognised =
        classify(snapshot.connection(), definition, candidate.tier.as_deref()).map_err(failed_on_copy(path));
    let recognised = match recognised {
        Ok(recognised) => recognised,
        Err(error) => return Block::of_error(path, error).map(Err),
    };
    Ok(match recognised {
        Recognised::As { tier, shape } => {
            let database = Classified { path: path.clone(), tier, shape };
            Ok(Looked { database, snapshot, state, side_files, copy_time })
        }
        Recognised::Unknown(tables) => Err(unknown(path, &tables)),
        Recognised::Ambiguous(shapes) => Err(ambiguous(path, &shapes)),
    })
}

/// Says why a file is no database.
fn no_database(path: &Path) -> Result<Option<Block>, Error> {
    let block = |code: &str, what: &str, next: &str| Ok(Some(Block::new(code, path, what, next, exit::BAD_DATA)));
    match connect::inspect(path) {
        Ok(FileKind::Database) => Ok(None),
        Ok(FileKind::Nothing) => block("missing", "there is no such file", "check the path"),
        Ok(FileKind::Empty) => {
            let next = "restore it from a backup, or leave it out with --exclude";
            block("zero-bytes", "the file is empty: it is not a database that was ever written to", next)
        }
        Err(Error::Database { .. }) => {
            let next = "restore it from a backup, or leave it out with --exclude; an encrypted database cannot be read";
            block("not-a-database", "it is not a SQLite database that this haul can read", next)
        }
        Err(Error::Disk(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            block("unreadable", "this user may not read it", "let this user read it, or leave it out with --exclude")
        }
        Err(error) => Err(error),
    }
}

fn unknown(path: &Path, tables: &str) -> Block {
    let what = format!("unknown shape: {tables}");
    let next = "leave it out with --exclude, or add its shape to the definition of the upgrade";
    Block::new("unknown-shape", path, what, next, exit::BAD_DATA)
}

fn ambiguous(path: &Path, shapes: &[String]) -> Block {
    let what = format!("it has the columns of several shapes: {}", shapes.join(", "));
    let next = "name its tier with --db TIER=PATH, or leave it out with --exclude";
    Block::new("ambiguous-shape", path, what, next, exit::BAD_DATA)
}
