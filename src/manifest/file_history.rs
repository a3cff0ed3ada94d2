//! The history of one file: its own records and the lines of the ledger.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::document::fields::HISTORY;
use super::document::json::{Document, Kind, ReadOptions, push_compact};
use super::migrate::crash_recovery::digest_of;
use super::migrate::document_reader::{DocumentReader, NotRead};
use super::migrate::ledger::{LedgerEntry, LedgerLine, file_text, for_each_line};
use super::migrate::run_directory;
use super::read::corrupt;
use super::runs::began_at;
use crate::durable::Disk;
use crate::migration::{Error, RunOptions};

/// The deepest nesting of arrays and objects.
const DEPTH_MAX: usize = 1000;

/// The history of one file.
#[derive(Debug, Clone, Serialize)]
pub struct FileHistory {
    /// The file, relative to the root.
    pub file: String,
    /// SHA-256 of its current bytes, or `None` if it does not exist.
    pub sha256: Option<String>,
    /// The records in the file; empty if it has none that can be read.
    pub records: Vec<Value>,
    /// The lines of the ledger that name the file.
    pub ledger: Vec<LedgerLine>,
}

/// Something that has happened to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When, as RFC 3339 in UTC: for a line of the ledger when its run began.
    pub at: Option<String>,
    /// The number of the line of the ledger and its run; `None` for a record in the file itself.
    pub line: Option<(u64, String)>,
    /// What was done.
    pub what: String,
    /// The changes that a record names.
    pub changes: Vec<String>,
}

impl FileHistory {
    /// Returns what has happened: what the file says of itself, then what the ledger says of it.
    pub fn moments(&self) -> impl Iterator<Item = Moment> {
        self.records.iter().map(Moment::of_record).chain(self.ledger.iter().filter_map(Moment::of_line))
    }
}

impl Moment {
    fn of_record(record: &Value) -> Self {
        let field = |key: &str| record[key].as_str().unwrap_or("?");
        let changes = record["changes"].as_array().into_iter().flatten().flat_map(|hop| hop.as_array());
        Self {
            at: Some(field("applied_at").to_owned()),
            line: None,
            what: format!("{} → {}", field("from_version"), field("to_version")),
            changes: changes.flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    fn of_line(line: &LedgerLine) -> Option<Self> {
        let what = match &line.entry {
            LedgerEntry::Written(written) => {
                let (from, to, backup) = (&written.from, &written.to, &written.backup);
                format!("written, {from} → {to}, backup {backup}")
            }
            LedgerEntry::Withdrawn { line, .. } => format!("line {line} was not carried out"),
            LedgerEntry::Restored { line, .. } => format!("line {line} rolled back"),
            LedgerEntry::Removed { line, .. } => format!("backup of line {line} removed"),
            LedgerEntry::Accepted { .. } => "accepted as it was".to_owned(),
            LedgerEntry::Began { .. } | LedgerEntry::Ended { .. } | LedgerEntry::Verified { .. } => return None,
        };
        let at = began_at(&line.run).map(|at| at.to_string());
        Some(Self { at, line: Some((line.number, line.run.clone())), what, changes: Vec::new() })
    }
}

/// Collects the history of one file. A file that neither exists nor is in the ledger is an error.
pub fn file_history(disk: &dyn Disk, root: &Path, file: &Path) -> Result<FileHistory, Error> {
    let name = file_text(file);
    let mut ledger = Vec::new();
    for_each_line(disk, run_directory(root).path(), |line| {
        if named_in(&line.entry) == Some(&*name) {
            ledger.push(line);
        }
        Ok(())
    })?;
    let tree = disk.root(root)?;
    if ledger.is_empty() && tree.file_state(file)?.is_none() {
        return Err(Error::Usage {
            what: format!("{} does not exist, and no run has written it", root.join(file).display()),
            next: "give the path of a manifest below the root".into(),
        });
    }
    let sha256 = digest_of(&*tree, file)?.map(|(digest, _)| digest);
    let records = match sha256 {
        Some(_) => {
            let read = |max_bytes, buffer: &mut Vec<u8>| tree.read_file(file, max_bytes, buffer);
            let reader = DocumentReader::of_budget(RunOptions::default().memory_budget_bytes, DEPTH_MAX);
            let records = reader.read(&mut Vec::new(), read, |bytes, _| records(bytes));
            records.map_err(|not_read| match not_read {
                NotRead::TooLarge(refusal) => corrupt(&root.join(file), &refusal),
                NotRead::Item(error) | NotRead::Failed(error) => error.into(),
            })?
        }
        None => Vec::new(),
    };
    Ok(FileHistory { file: name, sha256, records, ledger })
}

/// Returns the history records of a document, which need not be a valid manifest.
fn records(bytes: &[u8]) -> Vec<Value> {
    // The most generous options: a file that a migration would refuse can still have a history.
    let options = ReadOptions { bom_strip: true, last_member_wins: true, ..ReadOptions::default() };
    let Ok(document) = Document::parse(bytes, &options) else { return Vec::new() };
    let Some(history) = document.root().get(HISTORY).filter(|history| history.kind() == Kind::Array) else {
        return Vec::new();
    };
    let mut text = Vec::new();
    push_compact(&mut text, history);
    serde_json::from_slice(&text).unwrap_or_default()
}

fn named_in(entry: &LedgerEntry) -> Option<&str> {
    match entry {
        LedgerEntry::Written(written) => Some(&written.file),
        LedgerEntry::Withdrawn { file, .. }
        | LedgerEntry::Restored { file, .. }
        | LedgerEntry::Removed { file, .. }
        | LedgerEntry::Accepted { file, .. } => Some(file),
        LedgerEntry::Began { .. } | LedgerEntry::Ended { .. } | LedgerEntry::Verified { .. } => None,
    }
}
