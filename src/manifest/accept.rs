//! Files that the operator accepts as they are: an application that goes on may rewrite or remove what a run has
//! migrated, and that must not keep the rest of the tree from being verified and cleaned up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::migrate::crash_recovery::digest_of;
use super::migrate::ledger::{Ledger, LedgerEntry, LedgerLine, LedgerPosition, file_text, for_each_line};
use super::migrate::run_directory;
use super::migrate::state::{CHECKPOINT_KIND, name_ledger_end};
use crate::durable::Disk;
use crate::migration::{Error, LockedRun};

/// A file that was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AcceptedFile {
    /// The file, relative to the root.
    pub file: String,
    /// SHA-256 of its bytes, or `None` if it does not exist.
    pub sha256: Option<String>,
}

/// Accepts files as they are now: a verification then asks for these bytes and for none of their backups so far, until
/// the files change again.
///
/// # Errors
/// A file that no run has written is a usage error; then none is accepted.
pub fn accept(disk: &Arc<dyn Disk>, root: &Path, files: &[PathBuf]) -> Result<Vec<AcceptedFile>, Error> {
    let directory = run_directory(root);
    let mut missing: BTreeSet<String> = files.iter().map(|file| file_text(file)).collect();
    let unknown = |file: &str| Error::Usage {
        what: format!("{file}: no run has written this file"),
        next: "give a file that `haul manifest verify` names".into(),
    };
    let first = missing.first().cloned().unwrap_or_default();
    let held = LockedRun::open(disk, &directory, CHECKPOINT_KIND)?.ok_or_else(|| unknown(&first))?;
    let disk = &held.guarded(disk);
    let mut ledger = Ledger::open(&**disk, directory.path(), "", LedgerPosition::START, |line| {
        if let LedgerEntry::Written(written) = line.entry {
            missing.remove(&written.file);
        }
        Ok(())
    })?;
    if let Some(file) = missing.first() {
        return Err(unknown(file));
    }
    let tree = disk.root(root)?;
    let mut accepted = Vec::new();
    for file in files {
        let sha256 = digest_of(&*tree, file)?.map(|(digest, _)| digest);
        let file = file_text(file);
        ledger.append(LedgerEntry::Accepted { file: file.clone(), sha256: sha256.clone() })?;
        accepted.push(AcceptedFile { file, sha256 });
    }
    name_ledger_end(&**disk, &held, ledger.sync()?)?;
    held.note(None, "accepted", json!({ "files": accepted.len() }))?;
    Ok(accepted)
}

/// What the ledger says of accepted files. They are named one by one, so they are few.
#[derive(Debug, Default)]
pub struct Accepted(BTreeMap<String, (u64, Option<String>)>);

impl Accepted {
    /// Reads the ledger.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Self, Error> {
        let mut accepted = Self::default();
        for_each_line(disk, directory, |line| {
            accepted.take(&line);
            Ok(())
        })?;
        Ok(accepted)
    }

    /// Takes a line of the ledger.
    pub fn take(&mut self, line: &LedgerLine) {
        if let LedgerEntry::Accepted { file, sha256 } = &line.entry {
            self.0.insert(file.clone(), (line.number, sha256.clone()));
        }
    }

    /// Returns true if the file was accepted with these bytes.
    pub fn has(&self, file: &Path, sha256: impl FnOnce() -> String) -> bool {
        self.0.get(&file_text(file)).is_some_and(|(_, accepted)| accepted.as_ref().is_some_and(|it| *it == sha256()))
    }

    /// Returns true if the file was accepted after this line of the ledger.
    pub fn is_after(&self, file: &str, line: u64) -> bool {
        self.0.get(file).is_some_and(|(accepted, _)| *accepted > line)
    }
}
