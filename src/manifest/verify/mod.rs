//! A tree read again: checksums from the history, shapes, snapshots, run ids, doctrine, and every line of the ledger
//! (docs/source-sigilzero.md, "Verification and index").

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
use super::migrate::state::CHECKPOINT_KIND;
use super::run_options::MigrateOptions;
use super::steps::registry::Registry;
use super::tree::reader::EntryReader;
use super::tree::scan::{Found, ScanEntry};
use super::tree::siblings::SiblingFiles;
use crate::durable::{Disk, ReadRoot};
use crate::migration::{Error, LockedRun, Severity};
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

/// Reads every manifest, snapshot and backup of the tree again. A run of which nothing is wrong is marked as verified in
/// the ledger, where that can be written.
pub fn verify(
    disk: Arc<dyn Disk>,
    root: &Path,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    let tree: Arc<dyn ReadRoot> = disk.root(root)?;
    let reader = EntryReader::new(tree.clone(), (options.layout, None), Vec::new(), options.batch_records)?;
    let mut sums = VerifyEnd::default();
    let verifier = FileVerifier { root: &*tree, registry: &options.registry };
    let (ended, runs) = control.phase(Phase::Verify, Expected::UNKNOWN, || {
        let ended = pass(reader, &verifier, &options.engine(), control, |verified| {
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

/// Says in the ledger that the runs are verified, and of how many.
fn mark_verified(disk: &Arc<dyn Disk>, root: &Path, runs: &BTreeSet<String>) -> Result<u64, Error> {
    let directory = run_directory(root);
    let Some(_held) = LockedRun::create_if_writable(disk, &directory, CHECKPOINT_KIND)? else { return Ok(0) };
    let mut ledger = Ledger::open(&**disk, directory.path(), "", LedgerPosition::START, |_| Ok(()))?;
    for run in runs {
        ledger.begin_run(run);
        ledger.append(LedgerEntry::Verified)?;
    }
    ledger.sync()?;
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
                        let beside = SiblingFiles { root: self.root, manifest: &path };
                        verify_file(scratch, &path, &beside, self.registry, &mut verified);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            let refusal = disk_refusal(&error);
            verified.findings.push(finding(Severity::Fatal, &path, refusal.code.name(), refusal.text));
        }
        Ok(verified)
    }
}

impl VerifyEnd {
    fn add(&mut self, verified: VerifiedFiles) {
        self.manifests += verified.manifests;
        self.checksums += verified.checksums;
        self.legacy_no_snapshots += verified.legacy_no_snapshots;
        self.snapshots += verified.snapshots;
        verified.findings.into_iter().for_each(|finding| self.findings.push(finding));
    }
}
