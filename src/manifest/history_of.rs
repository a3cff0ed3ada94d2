//! What was done to one file: its own history, and the ledger's.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::ledger::{Entry, Line, file_text, for_each_line};
use super::migrate::run_directory;
use super::settle::digest_of;
use crate::durable::{Disk, read_file};
use crate::migration::Error;

/// The longest file of which the history is shown.
const SHOWN_BYTES_MAX: u64 = 256 << 20;

/// What was done to one file.
#[derive(Debug, Clone, Serialize)]
pub struct FileHistory {
    /// The file, relative to the root.
    pub file: String,
    /// SHA-256 of its bytes now; `None` if it is not there.
    pub sha256: Option<String>,
    /// Its own records, as they stand in it; empty where it has none that can be read.
    pub records: Vec<Value>,
    /// The lines of the ledger that name it.
    pub ledger: Vec<Line>,
}

/// Gathers what is known of one file.
pub fn history_of(disk: &dyn Disk, root: &Path, file: &Path) -> Result<FileHistory, Error> {
    let name = file_text(file);
    let mut ledger = Vec::new();
    for_each_line(disk, run_directory(root).path(), |line| {
        if named_in(&line.entry) == Some(&*name) {
            ledger.push(line);
        }
        Ok(())
    })?;
    let sha256 = digest_of(&*disk.root(root)?, file)?.map(|(digest, _)| digest);
    let document = match sha256 {
        Some(_) => serde_json::from_slice(&read_file(disk, &root.join(file), SHOWN_BYTES_MAX)?).unwrap_or(Value::Null),
        None => Value::Null,
    };
    let records = document["migration_history"].as_array().cloned().unwrap_or_default();
    Ok(FileHistory { file: name, sha256, records, ledger })
}

fn named_in(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::Written(written) => Some(&written.file),
        Entry::Withdrawn { file, .. } | Entry::Restored { file, .. } | Entry::Removed { file, .. } => Some(file),
        Entry::Began { .. } | Entry::Ended { .. } | Entry::Verified => None,
    }
}
