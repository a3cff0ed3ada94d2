//! Recovery after a crash. A replacement that the crashed run had begun is finished if its new file is complete, and
//! withdrawn if it is not (docs/source-sigilzero.md, D2).

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::evaluate::NotReplaced;
use super::ledger::{Ledger, LedgerEntry, LedgerLine, WrittenFile};
use crate::durable::{DiskError, ReadRoot};
use crate::manifest::document::checksum::hex;
use crate::manifest::tree::file_faults::concerns_one_file;
use crate::manifest::tree::file_names::temporary_name;
use crate::manifest::tree::writable::WritableTree;
use crate::migration::{Error, check_stop};
use crate::pipeline::StopToken;

/// Replacements that are in the ledger but not in the checkpoint, by number of line.
#[derive(Debug, Default)]
pub struct Unsettled(BTreeMap<u64, WrittenFile>);

impl Unsettled {
    /// Adds a line that comes after the checkpoint.
    pub fn take(&mut self, line: LedgerLine) {
        match line.entry {
            LedgerEntry::Written(written) => _ = self.0.insert(line.number, written),
            LedgerEntry::Withdrawn { line, .. } | LedgerEntry::Restored { line, .. } => _ = self.0.remove(&line),
            // A run begins only after everything before it was settled, and ends only after all of its own.
            LedgerEntry::Began { .. } | LedgerEntry::Ended { .. } => self.0.clear(),
            LedgerEntry::Removed { .. } | LedgerEntry::Verified { .. } | LedgerEntry::Accepted { .. } => {}
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
///
/// A file that cannot be read now keeps its line: the line names its backup, whatever the file is. One that cannot be
/// replaced now stays as it is. The run comes to both again and refuses them.
pub fn settle(
    tree: &WritableTree,
    unsettled: &Unsettled,
    ledger: &mut Ledger,
    stop: &StopToken,
) -> Result<Settled, Error> {
    let mut settled = Settled::default();
    for (&line, written) in &unsettled.0 {
        // What was finished so far is found finished the next time.
        check_stop(stop)?;
        let path = written.path().unwrap_or_default();
        match finish(tree, &path, written)? {
            Finished::New(len_bytes) => {
                settled.written_bytes += len_bytes;
                settled.source_bytes += len_bytes;
                settled.files.push(path);
            }
            Finished::Old => _ = ledger.append(LedgerEntry::Withdrawn { file: written.file.clone(), line })?,
            Finished::Unknown => {}
        }
    }
    settled.files.sort_unstable();
    tree.sync()?;
    Ok(settled)
}

/// The state of a replacement that was begun.
enum Finished {
    /// The file has its new bytes. This is their length.
    New(u64),
    /// The file does not have them.
    Old,
    /// The file cannot be read.
    Unknown,
}

fn finish(tree: &WritableTree, path: &Path, written: &WrittenFile) -> Result<Finished, DiskError> {
    let Some(name) = path.file_name() else { return Ok(Finished::Old) };
    let (digest, len_bytes) = match digest_of(&*tree.root, path) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Finished::Old),
        Err(error) if concerns_one_file(&error) => return Ok(Finished::Unknown),
        Err(error) => return Err(error),
    };
    if digest == written.after {
        let directory = tree.directory_of(path)?;
        tree.sync_found(&*directory, name)?;
        directory.sync_names()?;
        return Ok(Finished::New(len_bytes));
    }
    // Another program has written to the file since: its bytes win.
    if digest != written.before {
        return Ok(Finished::Old);
    }
    match rename_new(tree, path, written) {
        Ok(Some(len_bytes)) => Ok(Finished::New(len_bytes)),
        Ok(None) => Ok(Finished::Old),
        Err(NotReplaced::Refused(_)) => Ok(Finished::Old),
        Err(NotReplaced::Failed(error)) => Err(error),
    }
}

/// Renames the new file over the old one, if it is complete. Returns its length.
fn rename_new(tree: &WritableTree, path: &Path, written: &WrittenFile) -> Result<Option<u64>, NotReplaced> {
    let name = path.file_name().unwrap_or_default();
    let directory = tree.directory_of(path)?;
    // The digest tells whether the new file is complete: without syncs, a crash may lose its bytes and keep the line.
    let temporary = temporary_name(name);
    match digest_of(&*tree.root, &path.with_file_name(&temporary))? {
        Some((digest, len_bytes)) if digest == written.after => {
            tree.sync_found(&*directory, &temporary).map_err(NotReplaced::Failed)?;
            directory.rename(&temporary, name)?;
            directory.sync_names().map_err(NotReplaced::Failed)?;
            Ok(Some(len_bytes))
        }
        _ => Ok(None),
    }
}

/// Returns the SHA-256 and the length of a file, or `None` if there is no regular file.
pub fn digest_of(root: &(impl ReadRoot + ?Sized), path: &Path) -> Result<Option<(String, u64)>, DiskError> {
    let (mut hasher, mut len_bytes) = (Sha256::new(), 0);
    let mut take = |piece: &[u8]| {
        hasher.update(piece);
        len_bytes += piece.len() as u64;
        ControlFlow::Continue(())
    };
    match root.read_pieces(path, &mut take) {
        Ok(()) => Ok(Some((hex(&hasher.finalize().into()), len_bytes))),
        Err(error) if is_no_file(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_no_file(error: &DiskError) -> bool {
    use ErrorKind::{InvalidData, InvalidInput, NotADirectory, NotFound};
    matches!(error.kind(), InvalidData | InvalidInput | NotADirectory | NotFound)
}
