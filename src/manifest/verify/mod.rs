//! A tree read again: checksums from the history, shapes, snapshots, run ids, doctrine, and every line of the ledger
//! (§11).

pub(crate) mod file;
pub(crate) mod ledger;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use self::file::examine;
use self::ledger::verify_ledger;
use super::Registry;
use super::migrate::evaluate::{MANIFEST_BYTES_MAX, disk_refusal, finding};
use super::migrate::ledger::{Entry, Ledger, Position};
use super::migrate::run_directory;
use super::migrate::state::CHECKPOINT_KIND;
use super::run_options::MigrateOptions;
use super::tree::reader::EntryReader;
use super::tree::scan::{Entry as Seen, Found};
use super::tree::siblings::Beside;
use crate::durable::{Disk, ReadRoot};
use crate::migration::{Error, Finding, FirstFindings, HeldRun, Severity};
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

/// What a verification found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VerifyEnd {
    /// Manifests that were read.
    pub manifests: u64,
    /// Of these, those whose last history record was recomputed and is right.
    pub checksums: u64,
    /// Those without snapshots, written before there were any: nothing is wrong with them (D11).
    pub legacy_no_snapshots: u64,
    /// Snapshot files that were hashed.
    pub snapshots: u64,
    /// Lines of the ledger.
    pub ledger_lines: u64,
    /// Files whose bytes are those that the ledger names.
    pub ledger_files: u64,
    /// Backups that are what the ledger says.
    pub backups: u64,
    /// Runs that are verified by this.
    pub verified_runs: u64,
    /// True if it was asked to stop.
    pub stopped: bool,
    /// Everything that is wrong.
    #[serde(skip)]
    pub findings: FirstFindings,
}

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
    let examiner = Examiner { root: &*tree, registry: &options.registry };
    let (ended, runs) = control.phase(Phase::Verify, Expected::UNKNOWN, || {
        let ended = pass(reader, &examiner, &options.engine(), control, |examined| {
            sums.add(examined);
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
    let Some(_held) = HeldRun::create_if_writable(disk, &directory, CHECKPOINT_KIND)? else { return Ok(0) };
    let mut ledger = Ledger::open(&**disk, directory.path(), "", Position::START, |_| Ok(()))?;
    for run in runs {
        ledger.begin_run(run);
        ledger.append(Entry::Verified)?;
    }
    ledger.sync()?;
    Ok(runs.len() as u64)
}

struct Examiner<'a> {
    root: &'a dyn ReadRoot,
    registry: &'a Registry,
}

/// What was found of some files.
#[derive(Debug, Default)]
pub struct Examined {
    /// See [`VerifyEnd::manifests`].
    pub manifests: u64,
    /// See [`VerifyEnd::checksums`].
    pub checksums: u64,
    /// See [`VerifyEnd::legacy_no_snapshots`].
    pub legacy_no_snapshots: u64,
    /// See [`VerifyEnd::snapshots`].
    pub snapshots: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

impl Converter for Examiner<'_> {
    type Batch = Vec<Seen>;
    type Output = Examined;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<Seen>) -> Result<Examined, Error> {
        let mut examined = Examined::default();
        for Seen { path, found } in entries {
            let error = match found {
                Found::PassedOver(_) | Found::Leftover => continue,
                Found::Unreadable(error) => error,
                Found::Manifest => match self.root.read_file(&path, MANIFEST_BYTES_MAX, scratch) {
                    Ok(_) => {
                        examined.manifests += 1;
                        let beside = Beside { root: self.root, manifest: &path };
                        examine(scratch, &path, &beside, self.registry, &mut examined);
                        continue;
                    }
                    Err(error) => error,
                },
            };
            let refusal = disk_refusal(&error);
            examined.findings.push(finding(Severity::Fatal, &path, refusal.code.name(), refusal.text));
        }
        Ok(examined)
    }
}

impl VerifyEnd {
    fn add(&mut self, examined: Examined) {
        self.manifests += examined.manifests;
        self.checksums += examined.checksums;
        self.legacy_no_snapshots += examined.legacy_no_snapshots;
        self.snapshots += examined.snapshots;
        examined.findings.into_iter().for_each(|finding| self.findings.push(finding));
    }
}
