//! Files that the operator accepts as they are: an application that goes on may rewrite or remove what a run has
//! migrated, and that must not keep the rest of the tree from being verified and cleaned up.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::document::json::{Document, ReadOptions};
use super::migrate::crash_recovery::digest_of;
use super::migrate::document_reader::{DocumentReader, NotRead};
use super::migrate::ledger::{Ledger, LedgerEntry, LedgerLine, LedgerPosition, file_text, for_each_line};
use super::migrate::state::{CHECKPOINT_KIND, name_ledger_end};
use super::migrate::{disk_of_tree, run_directory};
use crate::durable::{Disk, FileState, ReadRoot};
use crate::migration::{Error, LockedRun, RunOptions};

/// The most generous options of a migration.
const READ: ReadOptions =
    ReadOptions { depth_max: 1000, bom_strip: true, last_member_wins: true, compat_numbers: false };

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
/// A file that no run has written is a usage error, and one that is not a whole document is [`Error::Corrupt`]; then none
/// is accepted.
pub fn accept(disk: &Arc<dyn Disk>, root: &Path, files: &[PathBuf]) -> Result<Vec<AcceptedFile>, Error> {
    let disk = &disk_of_tree(disk, root)?;
    let directory = run_directory(root);
    let mut missing: BTreeSet<String> = files.iter().map(|file| file_text(file)).collect();
    let unknown = |file: &str| Error::Usage {
        what: format!("{file}: no run has written this file"),
        next: "give a file that `haul manifest verify` names".into(),
    };
    let first = missing.first().cloned().unwrap_or_default();
    let held = LockedRun::open(disk, &directory, CHECKPOINT_KIND)?.ok_or_else(|| unknown(&first))?;
    let disk = &held.disk;
    let named = missing.clone();
    let mut backups = BTreeMap::new();
    let mut ledger = Ledger::open(&**disk, directory.path(), "", LedgerPosition::START, |line| {
        if let LedgerEntry::Written(written) = line.entry
            && named.contains(&written.file)
        {
            missing.remove(&written.file);
            backups.insert(written.path().unwrap_or_default(), written.backup_path().unwrap_or_default());
        }
        Ok(())
    })?;
    if let Some(file) = missing.first() {
        return Err(unknown(file));
    }
    let tree = disk.root(root)?;
    for file in files {
        check_whole(&*tree, root, file, backups.get(file))?;
    }
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

/// Refuses a file that is no whole document: once it is accepted, a clean-up may remove its backup, the only whole copy.
fn check_whole(tree: &dyn ReadRoot, root: &Path, file: &Path, backup: Option<&PathBuf>) -> Result<(), Error> {
    if tree.file_state(file)?.is_none() {
        return check_gone(tree, root, file);
    }
    let read = |max_bytes, buffer: &mut Vec<u8>| tree.read_file(file, max_bytes, buffer);
    let parse = |bytes: &[u8], _: &FileState| Document::parse(bytes, &READ).map(|_| ());
    let reader = DocumentReader::of_budget(RunOptions::default().memory_budget_bytes, READ.depth_max);
    let fault = match reader.read(&mut Vec::new(), read, parse) {
        Ok(Err(fault)) => fault,
        Ok(Ok(())) | Err(NotRead::TooLarge(_)) => return Ok(()),
        Err(NotRead::Item(error) | NotRead::Failed(error)) => return Err(error.into()),
    };
    let path = root.join(file);
    let backup = backup.map_or_else(|| "a copy".to_owned(), |backup| format!("{}", root.join(backup).display()));
    Err(Error::Corrupt {
        path,
        offset: fault.offset as u64,
        what: format!("{}: it is not accepted, because it is not a whole document: {}", fault.code, fault.what),
        next: format!("restore it from {backup}, or remove it, then accept it"),
        source: None,
    })
}

/// Fails if something else has the name of the file: a link may lead to its bytes, so it is not gone.
fn check_gone(tree: &dyn ReadRoot, root: &Path, file: &Path) -> Result<(), Error> {
    let mut is_there = false;
    let listed = tree.names(file.parent().unwrap_or(file), &mut |name, _| is_there |= Some(name) == file.file_name());
    match listed {
        Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Err(error.into()),
        _ if !is_there => Ok(()),
        _ => Err(Error::Corrupt {
            path: root.join(file),
            offset: 0,
            what: "it is not accepted, because a link, a directory or a device has its name".into(),
            next: "put the file in its place, or remove what is there, then accept it".into(),
            source: None,
        }),
    }
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

    /// Returns true if the file was accepted as it is now: with these bytes, or as gone.
    pub fn is_as_accepted(&self, file: &str, sha256: Option<&str>) -> bool {
        self.0.get(file).is_some_and(|(_, accepted)| accepted.as_deref() == sha256)
    }

    /// Returns true if the file was accepted after this line of the ledger.
    pub fn is_after(&self, file: &str, line: u64) -> bool {
        self.0.get(file).is_some_and(|(accepted, _)| *accepted > line)
    }
}
