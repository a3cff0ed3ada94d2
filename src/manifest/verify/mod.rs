//! Verification of a tree: reads every manifest, snapshot and backup again and compares them with the history records
//! and the ledger (docs/source-sigilzero.md, "Verification and index").

pub(super) mod file;
mod ledger;
pub mod report;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use self::file::verify_file;
use self::ledger::{Coverage, Tree, verify_ledger};
use self::report::{FaultyFiles, VerifiedFiles, VerifyEnd};
use super::accept::Accepted;
use super::document::checksum::hex;
use super::migrate::document_reader::DocumentReader;
use super::migrate::evaluate::{NotReplaced, disk_refusal, finding};
use super::migrate::ledger::{Ledger, LedgerEntry, LedgerPosition};
use super::migrate::selector::Selector;
use super::migrate::share::PathShare;
use super::migrate::state::{CHECKPOINT_KIND, name_ledger_end};
use super::migrate::{disk_of_tree, run_directory};
use super::nothing_found::check_found;
use super::run_options::MigrateOptions;
use super::steps::registry::Registry;
use super::tree::file_faults::concerns_one_file;
use super::tree::reader::EntryReader;
use super::tree::scan::{Found, ScanEntry, SkipReason};
use super::tree::siblings::SiblingFiles;
use crate::durable::{Disk, FileState, ReadRoot};
use crate::migration::{Error, LockedRun, Sample, Severity, SortDirectory, Subset, check_stop, clock, stopped_inside};
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, StopToken, pass};

/// What is verified: the selected manifests, or a share of them.
#[derive(Debug, Clone, Copy)]
pub struct VerifyRequest {
    /// A share by the paths of the manifests.
    pub subset: Subset,
    /// A sample of that share.
    pub sample: Option<Sample>,
}

/// Verifies the tree at `root`. The runs that have ended are marked as verified in the ledger, except for the files in
/// which something is wrong, provided that this user may write to it. If not all of the tree is verified, only runs are
/// marked whose files were all verified; other marks stay as they are for the files that were not.
pub fn verify(
    disk: Arc<dyn Disk>,
    root: &Path,
    request: &VerifyRequest,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VerifyEnd, Error> {
    let disk = disk_of_tree(&disk, root)?;
    let tree: Arc<dyn ReadRoot> = disk.root(root)?;
    let sorts = SortDirectory::temporary(&disk)?;
    let mut sums = VerifyEnd::default();
    if check_found(&tree, options, control.stop)? == Ended::Stopped {
        sums.stopped = true;
        return Ok(sums);
    }
    let share = PathShare::find((request.subset, request.sample), &tree, options, (&sorts, control.stop))?;
    let Some(share) = share else {
        sums.stopped = true;
        return Ok(sums);
    };
    let documents = Arc::new(DocumentReader::new(&options.run, options.transform.depth_max));
    let selector = Selector::of_command(&tree, options, &documents, (share, clock::now_or_nearest()));
    let reader = EntryReader::new(tree.clone(), (options.layout, None), Vec::new(), options.run.batch_records)?
        .selecting(selector);
    let accepted = Accepted::read(&*disk, run_directory(root).path())?;
    let mut coverage = Coverage::new(share, !options.selection.is_all(), &sorts)?;
    let verifier = FileVerifier {
        root: &*tree,
        registry: &options.registry,
        accepted: &accepted,
        documents,
        names_files: coverage.is_by_file(),
        stop: control.stop,
    };
    let mut faulty = FaultyFiles::default();
    let mut runs = BTreeMap::new();
    let ended = control.phase(Phase::Verify, Expected::UNKNOWN, || {
        let ended = pass(reader, &verifier, &options.run.engine(), control, |verified: VerifiedFiles| {
            faulty.take(&verified.findings);
            coverage.take(&verified.files)?;
            sums.add(verified);
            Ok::<_, Error>(())
        });
        if stopped_inside(ended)? == Ended::Stopped {
            return Ok(Ended::Stopped);
        }
        let tree = Tree { disk: &disk, root, files: &*tree, stop: control.stop };
        let verified = verify_ledger(&tree, (&accepted, faulty), coverage, &mut sums);
        stopped_inside(verified.map(|found| {
            runs = found;
            Ended::Complete
        }))
    })?;
    sums.stopped = ended == Ended::Stopped;
    sums.covered = sums.covered_text(request.subset, request.sample, !options.selection.is_all());
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
        let siblings = SiblingFiles { root: self.root, manifest: path, stop: Some(self.stop) };
        let before = verified.findings.len();
        let doctrine_max_bytes = self.documents.small_max_bytes();
        verify_file(bytes, path, &siblings, (self.registry, doctrine_max_bytes), verified);
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
    documents: Arc<DocumentReader>,
    /// Whether the ledger must know the files one by one.
    names_files: bool,
    stop: &'a StopToken,
}

impl Converter for FileVerifier<'_> {
    type Batch = Vec<ScanEntry>;
    type Output = VerifiedFiles;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<ScanEntry>) -> Result<VerifiedFiles, Error> {
        let mut verified = VerifiedFiles::default();
        for ScanEntry { path, found } in entries {
            let refusal = match found {
                Found::Skipped(SkipReason::NotSelected) => {
                    verified.not_selected += 1;
                    continue;
                }
                Found::Skipped(_) | Found::Leftover => continue,
                Found::Unreadable(error) if concerns_one_file(&error) => disk_refusal(&error),
                Found::Unreadable(error) => return Err(error.into()),
                Found::Manifest => {
                    verified.files.extend(self.names_files.then(|| path.clone()));
                    let read = |max_bytes, bytes: &mut Vec<u8>| self.root.read_file(&path, max_bytes, bytes);
                    let verify = |bytes: &[u8], _: &FileState| self.verify(bytes, &path, &mut verified);
                    match self.documents.read(scratch, read, verify).map_err(NotReplaced::from) {
                        Ok(()) => continue,
                        Err(NotReplaced::Refused(refusal)) => refusal,
                        Err(NotReplaced::Failed(error)) => return Err(error.into()),
                    }
                }
            };
            verified.findings.push(finding(Severity::Fatal, &path, refusal.code.name(), refusal.text));
        }
        // What a stop has cut short is no fault of the file.
        check_stop(self.stop)?;
        Ok(verified)
    }
}
