//! Recovery after a crash. A replacement that the crashed run had begun is finished if its new file is complete, and
//! withdrawn if it is not (docs/source-sigilzero.md, D2).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::evaluate::MANIFEST_BYTES_MAX;
use super::ledger::{Ledger, LedgerEntry, LedgerLine, WrittenFile};
use crate::durable::{DiskError, ReadRoot};
use crate::manifest::document::checksum::hex;
use crate::manifest::tree::file_names::temporary_name;
use crate::manifest::tree::writable::WritableTree;
use crate::migration::Error;

/// Replacements that are in the ledger but not in the checkpoint, by number of line.
#[derive(Debug, Default)]
pub struct Unsettled(BTreeMap<u64, WrittenFile>);

impl Unsettled {
    /// Adds a line that comes after the checkpoint.
    pub fn take(&mut self, line: LedgerLine) {
        match line.entry {
            LedgerEntry::Written(written) => _ = self.0.insert(line.number, written),
            LedgerEntry::Withdrawn { line, .. } | LedgerEntry::Restored { line, .. } => _ = self.0.remove(&line),
            // A run begins only after everything before it was settled.
            LedgerEntry::Began { .. } => self.0.clear(),
            LedgerEntry::Removed { .. } | LedgerEntry::Ended { .. } | LedgerEntry::Verified => {}
        }
    }
}

/// The files that a crashed run has replaced.
#[derive(Debug, Default)]
pub struct Settled {
    /// The files, sorted.
    pub files: Vec<PathBuf>,
    /// Sum of their lengths, as an estimate of what was read.
    pub source_bytes: u64,
    /// Sum of their lengths.
    pub written_bytes: u64,
}

/// Finishes or withdraws each replacement that was begun, and makes the files durable. The caller syncs the ledger.
pub fn settle(tree: &WritableTree, unsettled: &Unsettled, ledger: &mut Ledger) -> Result<Settled, Error> {
    let mut settled = Settled::default();
    for (&line, written) in &unsettled.0 {
        let path = written.path().unwrap_or_default();
        match finish(tree, &path, written)? {
            Some(len_bytes) => {
                settled.written_bytes += len_bytes;
                settled.source_bytes += len_bytes;
                settled.files.push(path);
            }
            None => _ = ledger.append(LedgerEntry::Withdrawn { file: written.file.clone(), line })?,
        }
    }
    settled.files.sort_unstable();
    tree.sync()?;
    Ok(settled)
}

/// Finishes a replacement. Returns the length of the file if it has its new bytes now.
fn finish(tree: &WritableTree, path: &Path, written: &WrittenFile) -> Result<Option<u64>, DiskError> {
    let Some(name) = path.file_name() else { return Ok(None) };
    let Some((digest, len_bytes)) = digest_of(&*tree.root, path)? else { return Ok(None) };
    let directory = tree.directory_of(path)?;
    if digest == written.after {
        tree.sync_found(&*directory, name)?;
        tree.sync_names(&*directory)?;
        return Ok(Some(len_bytes));
    }
    // Another program has written to the file since: its bytes win.
    if digest != written.before {
        return Ok(None);
    }
    // The digest tells whether the new file is complete: without syncs, a crash may lose its bytes and keep the line.
    let temporary = temporary_name(name);
    match digest_of(&*tree.root, &path.with_file_name(&temporary))? {
        Some((digest, len_bytes)) if digest == written.after => {
            tree.sync_found(&*directory, &temporary)?;
            directory.rename(&temporary, name)?;
            tree.sync_names(&*directory)?;
            Ok(Some(len_bytes))
        }
        _ => Ok(None),
    }
}

/// Returns the SHA-256 and the length of a file, or `None` if there is no regular file.
pub fn digest_of(root: &(impl ReadRoot + ?Sized), path: &Path) -> Result<Option<(String, u64)>, DiskError> {
    let mut bytes = Vec::new();
    match root.read_file(path, MANIFEST_BYTES_MAX, &mut bytes) {
        Ok(_) => Ok(Some((hex(&Sha256::digest(&bytes).into()), bytes.len() as u64))),
        Err(error) if is_no_file(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_no_file(error: &DiskError) -> bool {
    use ErrorKind::{InvalidData, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), InvalidData | InvalidInput | NotADirectory | NotFound)
}
