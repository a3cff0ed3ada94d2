//! A pass that evaluates the files of a tree as a migration does, with a writer that has no disk.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::backup::Original;
use super::document_reader::DocumentReader;
use super::evaluate::{NotReplaced, Tally, evaluate};
use super::space_needed::{FileSystemNeeds, SpaceNeeded, bytes_needed_and_available};
use super::stage_file::{NamedFile, hardlink_refusal, other_links};
use crate::durable::{DiskError, FileState, ReadRoot};
use crate::manifest::document::error_codes::ErrorCode;
use crate::manifest::outcome::Counts;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::tree::file_names::backup_name;
use crate::manifest::tree::scan::{Found, ScanEntry};
use crate::manifest::{Refusal, Transformer, Version};
use crate::migration::{Error, FirstFindings, OutcomeCounts};
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, Reader, pass};

/// The longest name that file systems of Linux take.
const NAME_BYTES_MAX: usize = 255;

/// What a migration would do.
#[derive(Debug, Clone, Serialize)]
pub struct DryRunEnd {
    /// The version that files would be taken to.
    pub target_version: String,
    /// Everything found.
    pub records: u64,
    /// Files that were looked into.
    pub manifests: u64,
    /// Outcomes of everything found.
    pub counts: Counts,
    /// Bytes of manifests that were read.
    pub source_bytes: u64,
    /// Space for new files; a backup is the old file under another name and takes none.
    pub space_needed_bytes: u64,
    /// Space that this user has left: on the file system where the least remains, if there are several.
    pub space_available_bytes: u64,
    /// The space by file system, one for each that new files are written to.
    pub file_systems: Vec<FileSystemNeeds>,
    /// True if the run was asked to stop.
    pub stopped: bool,
    /// The first findings on single files.
    #[serde(skip)]
    pub findings: FirstFindings,
    /// What would be done to the file that the operator named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub named: Option<NamedFile>,
}

/// Judges what a reader gives. The reader is made with a flag that is set once a file is found that a run would migrate.
pub(super) fn go_through<R: Reader<Batch = Vec<ScanEntry>, Error = Error>>(
    root: &Arc<dyn ReadRoot>,
    transformer: Transformer,
    reader: impl FnOnce(Arc<AtomicBool>) -> R,
    options: &MigrateOptions,
    (documents, phase, control): (&Arc<DocumentReader>, Phase, &Control<'_>),
) -> Result<DryRunEnd, Error> {
    let evaluator = Evaluator::new(root.clone(), transformer, documents.clone(), options);
    let reader = reader(evaluator.has_work.clone());
    let mut sums = Sums::default();
    let ended = control.phase(phase, Expected::UNKNOWN, || {
        pass(reader, &evaluator, &options.run.engine(), control, |evaluated| {
            sums.take(evaluated);
            Ok(())
        })
    })?;
    sums.tally.counts.check_sum(sums.records)?;
    let file_systems = sums.space_needed.measure(&**root)?;
    let (space_needed_bytes, space_available_bytes) = bytes_needed_and_available(&file_systems, &**root)?;
    Ok(DryRunEnd {
        target_version: options.target().to_string(),
        records: sums.records,
        manifests: sums.tally.counts.manifests(),
        counts: sums.tally.counts,
        source_bytes: sums.tally.source_bytes,
        space_needed_bytes,
        space_available_bytes,
        file_systems,
        stopped: ended == Ended::Stopped,
        findings: sums.findings,
        named: evaluator.named.map(Mutex::into_inner),
    })
}

/// Evaluates files as a migration does.
pub(super) struct Evaluator {
    root: Arc<dyn ReadRoot>,
    transformer: Transformer,
    break_links: bool,
    named: Option<Mutex<NamedFile>>,
    has_work: Arc<AtomicBool>,
    documents: Arc<DocumentReader>,
}

/// What a batch of files came to.
#[derive(Default)]
pub(super) struct EvaluatedBatch {
    /// Outcomes and findings.
    pub(super) tally: Tally,
    records: u64,
    /// What the files need that a run would replace.
    pub(super) space_needed: SpaceNeeded,
}

impl Converter for Evaluator {
    type Batch = Vec<ScanEntry>;
    type Output = EvaluatedBatch;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<ScanEntry>) -> Result<EvaluatedBatch, Error> {
        let mut evaluated = EvaluatedBatch { records: entries.len() as u64, ..EvaluatedBatch::default() };
        for entry in entries {
            match entry.found {
                Found::Skipped(reason) => evaluated.tally.skip(&entry.path, reason),
                Found::Unreadable(error) => evaluated.tally.refuse_unread(&entry.path, error)?,
                Found::Manifest | Found::Leftover => match self.evaluate_file(&entry.path, scratch, &mut evaluated) {
                    Ok(()) => {}
                    Err(NotReplaced::Refused(refusal)) => evaluated.tally.refuse(&entry.path, &refusal),
                    Err(NotReplaced::Failed(error)) => return Err(error.into()),
                },
            }
        }
        Ok(evaluated)
    }
}

impl Evaluator {
    /// Creates an evaluator of the files in `root`.
    pub fn new(
        root: Arc<dyn ReadRoot>,
        transformer: Transformer,
        documents: Arc<DocumentReader>,
        options: &MigrateOptions,
    ) -> Self {
        let named = options.manifest.as_ref().map(|_| Mutex::new(NamedFile::default()));
        let has_work = Arc::default();
        Self { root, transformer, break_links: options.break_links, named, has_work, documents }
    }

    /// Returns true if a migration would replace the file.
    pub fn would_replace(&self, file: &Path, buffer: &mut Vec<u8>) -> Result<bool, Error> {
        let mut evaluated = EvaluatedBatch::default();
        match self.evaluate_file(file, buffer, &mut evaluated) {
            Ok(()) => Ok(evaluated.tally.counts.migrated > 0),
            Err(NotReplaced::Refused(_)) => Ok(false),
            Err(NotReplaced::Failed(error)) => Err(error.into()),
        }
    }

    fn evaluate_file(
        &self,
        file: &Path,
        buffer: &mut Vec<u8>,
        evaluated: &mut EvaluatedBatch,
    ) -> Result<(), NotReplaced> {
        let read = |max_bytes, buffer: &mut Vec<u8>| self.root.read_file(file, max_bytes, buffer);
        self.documents.read(buffer, read, |bytes, state| self.evaluate_bytes(file, bytes, state, evaluated))?
    }

    fn evaluate_bytes(
        &self,
        file: &Path,
        bytes: &[u8],
        state: &FileState,
        evaluated: &mut EvaluatedBatch,
    ) -> Result<(), NotReplaced> {
        evaluated.tally.source_bytes += bytes.len() as u64;
        let verdict = evaluate(&*self.root, &self.transformer, file, bytes, state);
        let Some(migrated) = evaluated.tally.record(file, verdict) else { return Ok(()) };
        if let Some(refusal) = self.obstacle(file, bytes, state, migrated.from)? {
            evaluated.tally.refuse(file, &refusal);
            return Ok(());
        }
        evaluated.tally.counts.migrated += 1;
        self.has_work.store(true, Ordering::Relaxed);
        evaluated.space_needed.add(file, state.file_system, migrated.bytes.len() as u64, state.links > 1);
        if let Some(named) = &self.named {
            let from = Some(migrated.from.to_string());
            *named.lock() = NamedFile { from, applied: migrated.applied.to_vec(), backup: None };
        }
        Ok(())
    }

    /// What would keep the file from being replaced.
    fn obstacle(
        &self,
        file: &Path,
        bytes: &[u8],
        state: &FileState,
        version: Version,
    ) -> Result<Option<Refusal>, DiskError> {
        if state.links > 1 && !self.break_links {
            let name = file.file_name().unwrap_or_default();
            let original = Original { name, bytes, state, version, digest: Sha256::digest(bytes).into() };
            let links = other_links(&original, |name| self.root.file_state(&file.with_file_name(name)))?;
            if links > 1 {
                return Ok(Some(hardlink_refusal(links)));
            }
        }
        let refused = |text| Refusal { from: Some(version), ..Refusal::new(ErrorCode::Io, text) };
        if backup_name(file.file_name().unwrap_or_default(), version, &[0; 32]).len() > NAME_BYTES_MAX {
            return Ok(Some(refused("the name of its backup would be too long".to_owned())));
        }
        let obstacle = self.root.obstacle(file)?;
        Ok(obstacle.map(|obstacle| refused(obstacle.to_string())))
    }
}

#[derive(Default)]
struct Sums {
    tally: Tally,
    findings: FirstFindings,
    records: u64,
    space_needed: SpaceNeeded,
}

impl Sums {
    fn take(&mut self, evaluated: EvaluatedBatch) {
        self.tally.counts.merge(&evaluated.tally.counts);
        self.tally.source_bytes += evaluated.tally.source_bytes;
        evaluated.tally.findings.into_iter().for_each(|finding| self.findings.push(finding));
        self.records += evaluated.records;
        self.space_needed.merge(evaluated.space_needed);
    }
}
