//! Verification of a tree: reads every manifest, snapshot and backup again and compares them with the history records
//! and the ledger (docs/source-sigilzero.md, "Verification and index").

mod file;
mod ledger;
pub mod report;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use self::file::verify_file;
use self::ledger::verify_ledger;
use self::report::{FaultyFiles, VerifiedFiles, VerifyEnd};
use super::accept::Accepted;
use super::document::checksum::hex;
use super::migrate::evaluate::{MANIFEST_BYTES_MAX, disk_refusal, finding};
use super::migrate::ledger::{Ledger, LedgerEntry, LedgerPosition};
use super::migrate::run_directory;
use super::migrate::state::{CHECKPOINT_KIND, name_ledger_end};
use super::run_options::MigrateOptions;
use super::steps::registry::Registry;
use super::tree::file_faults::{BadSpots, concerns_one_file};
use super::tree::reader::EntryReader;
use super::tree::scan::{Found, ScanEntry};
use super::tree::siblings::SiblingFiles;
use crate::durable::{Disk, ReadRoot};
use crate::migration::{Error, LockedRun, Severity};
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

/// Verifies the tree at `root`. The runs that have ended are marked as verified in the ledger, except for the files in
/// which something is wrong, provided that this user may write to it.
pub fn verify(
    disk: Arc<dyn Disk>,
    root: &Path,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    let tree: Arc<dyn ReadRoot> = disk.root(root)?;
    let reader = EntryReader::new(tree.clone(), (options.layout, None), Vec::new(), options.run.batch_records)?;
    let mut sums = VerifyEnd::default();
    let accepted = Accepted::read(&*disk, run_directory(root).path())?;
    let verifier =
        FileVerifier { root: &*tree, registry: &options.registry, accepted: &accepted, bad_spots: BadSpots::default() };
    let mut faulty = FaultyFiles::default();
    let (ended, runs) = control.phase(Phase::Verify, Expected::UNKNOWN, || {
        let ended = pass(reader, &verifier, &options.run.engine(), control, |verified| {
            faulty.take(&verified.findings);
            sums.add(verified);
            Ok::<_, Error>(())
        })?;
        Ok::<_, Error>((ended, verify_ledger(&disk, root, &*tree, (&accepted, faulty), &mut sums)?))
    })?;
    sums.stopped = ended == Ended::Stopped;
    if !sums.stopped && !runs.is_empty() && mark_verified(&disk, root, &runs)? {
        sums.verified_runs = runs.len() as u64;
        sums.excepted_files = runs.values().map(|except| except.len() as u64).sum();
    }
    Ok(sums)
}

/// Marks the runs as verified in the ledger, except for these lines. Returns false if it cannot be written.
fn mark_verified(disk: &Arc<dyn Disk>, root: &Path, runs: &BTreeMap<String, Vec<u64>>) -> Result<bool, Error> {
    let directory = run_directory(root);
    // A tree on a read-only disk can be verified too; its ledger then stays as it is.
    let Some(held) = LockedRun::create_if_writable(disk, &directory, CHECKPOINT_KIND)? else { return Ok(false) };
    let mut ledger = Ledger::open(&**disk, directory.path(), "", LedgerPosition::START, |_| Ok(()))?;
    for (run, except) in runs {
        ledger.begin_run(run);
        ledger.append(LedgerEntry::Verified { except: except.clone() })?;
    }
    name_ledger_end(&**disk, &held, ledger.sync()?)?;
    Ok(true)
}

impl FileVerifier<'_> {
    fn verify(&self, bytes: &[u8], path: &Path, verified: &mut VerifiedFiles) {
        verified.manifests += 1;
        let siblings = SiblingFiles { root: self.root, manifest: path };
        let before = verified.findings.len();
        verify_file(bytes, path, &siblings, self.registry, verified);
        let found = &mut verified.findings[before..];
        if !found.is_empty() && self.accepted.has(path, || hex(&Sha256::digest(bytes).into())) {
            found.iter_mut().for_each(|finding| finding.severity = Severity::Note);
        }
    }
}

struct FileVerifier<'a> {
    root: &'a dyn ReadRoot,
    registry: &'a Registry,
    accepted: &'a Accepted,
    bad_spots: BadSpots,
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
                Found::Unreadable(error) if concerns_one_file(&error) => error,
                Found::Unreadable(error) => return Err(error.into()),
                Found::Manifest => {
                    match self.bad_spots.read(|| self.root.read_file(&path, MANIFEST_BYTES_MAX, scratch))? {
                        Ok(_) => {
                            self.verify(scratch, &path, &mut verified);
                            continue;
                        }
                        Err(error) => error,
                    }
                }
            };
            let refusal = disk_refusal(&error);
            verified.findings.push(finding(Severity::Fatal, &path, refusal.code.name(), refusal.text));
        }
        Ok(verified)
    }
}
