//! Verification of a tree: reads every manifest, snapshot and backup again and compares them with the history records
//! and the ledger (docs/source-sigilzero.md, "Verification and index").

mod file;
mod ledger;
pub mod report;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use self::file::verify_file;
use self::ledger::verify_ledger;
use self::report::{VerifiedFiles, VerifyEnd};
use super::migrate::evaluate::{MANIFEST_BYTES_MAX, disk_refusal, finding};
use super::migrate::ledger::{Ledger, LedgerEntry, LedgerPosition};
use super::migrate::run_directory;
use super::migrate::state::{CHECKPOINT_KIND, name_ledger_end};
use super::run_options::MigrateOptions;
use super::steps::registry::Registry;
use super::tree::file_faults::concerns_one_file;
use super::tree::reader::EntryReader;
use super::tree::scan::{Found, ScanEntry};
use super::tree::siblings::SiblingFiles;
use crate::durable::{Disk, ReadRoot};
use crate::migration::{Error, LockedRun, Severity};
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

/// Verifies the tree at `root`. If nothing is wrong, the runs that have ended are marked as verified in the ledger,
/// provided that this user may write to it.
pub fn verify(
    disk: Arc<dyn Disk>,
    root: &Path,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    let tree: Arc<dyn ReadRoot> = disk.root(root)?;
    let reader = EntryReader::new(tree.clone(), (options.layout, None), Vec::new(), options.run.batch_records)?;
    let mut sums = VerifyEnd::default();
    let verifier = FileVerifier { root: &*tree, registry: &options.registry };
    let (ended, runs) = control.phase(Phase::Verify, Expected::UNKNOWN, || {
        let ended = pass(reader, &verifier, &options.run.engine(), control, |verified| {
            sums.add(verified);
            Ok::<_, Error>(())
        })?;
        Ok::<_, Error>((ended, verify_ledger(&disk, root, &*tree, &mut sums)?))
    })?;
    sums.stopped = ended == Ended::Stopped;
    if !sums.stopped && sums.findings.count.fatal == 0 && !runs.is_empty() {
        sums.verified_runs = mark_verified(&disk, root, &runs)?;
    }
    Ok(sums)
}

/// Marks the runs as verified in the ledger. Returns their number.
fn mark_verified(disk: &Arc<dyn Disk>, root: &Path, runs: &BTreeSet<String>) -> Result<u64, Error> {
    let directory = run_directory(root);
    // A tree on a read-only disk can be verified too; its ledger then stays as it is.
    let Some(held) = LockedRun::create_if_writable(disk, &directory, CHECKPOINT_KIND)? else { return Ok(0) };
    let mut ledger = Ledger::open(&**disk, directory.path(), "", LedgerPosition::START, |_| Ok(()))?;
    for run in runs {
        ledger.begin_run(run);
        ledger.append(LedgerEntry::Verified)?;
    }
    name_ledger_end(&**disk, &held, ledger.sync()?)?;
    Ok(runs.len() as u64)
}

struct FileVerifier<'a> {
    root: &'a dyn ReadRoot,
    registry: &'a Registry,
}

impl Converter for FileVerifier<'_> {
    type Batch = Vec<ScanEntry>;
    type Output = VerifiedFiles;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<ScanEntry>) -> Result<VerifiedFiles, Error> {
        let mut verified = VerifiedFiles::default();
        for ScanEntry { path, found } in entries {
            let error = match found {
                Found::Skipped(_) | Found::Leftover => continue,
                Found::Unreadable(error) => error,
                Found::Manifest => match self.root.read_file(&path, MANIFEST_BYTES_MAX, scratch) {
                    Ok(_) => {
                        verified.manifests += 1;
                        let siblings = SiblingFiles { root: self.root, manifest: &path };
                        verify_file(scratch, &path, &siblings, self.registry, &mut verified);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            if !concerns_one_file(&error) {
                return Err(error.into());
            }
            let refusal = disk_refusal(&error);
            verified.findings.push(finding(Severity::Fatal, &path, refusal.code.name(), refusal.text));
        }
        Ok(verified)
    }
}
