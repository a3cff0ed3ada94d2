//! Validates every manifest of a tree. Reads only.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::document::error_codes::DocumentStatus;
use super::document::verdict::Refusal;
use super::document::version::Version;
use super::migrate::document_reader::{DocumentReader, NotRead};
use super::migrate::evaluate::{Tally, disk_refusal, finding};
use super::migrate::selector::Selector;
use super::migrate::share::PathShare;
use super::nothing_found::check_found;
use super::run_options::MigrateOptions;
use super::steps::registry::Registry;
use super::transform::step_check::prove;
use super::tree::file_faults::concerns_one_file;
use super::tree::reader::EntryReader;
use super::tree::scan::{Found, ScanEntry, SkipReason};
use super::validate::{Valid, check_readers, validate_as};
use crate::durable::ReadRoot;
use crate::migration::{Error, FirstFindings, Severity, clock};
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

/// The result of validating a tree.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ValidateEnd {
    /// The version whose readers must be able to read the manifests; `None`: that of each manifest.
    pub readers: Option<String>,
    /// Number of manifests that were read, or that should have been.
    pub manifests: u64,
    /// Number of those that are valid.
    pub valid: u64,
    /// Number of those that are not.
    pub refused: u64,
    /// Number of those that cannot be read.
    pub unreadable: u64,
    /// Number of files that are JSON and no manifests.
    pub foreign: u64,
    /// Number of manifests that were not selected.
    pub not_selected: u64,
    /// True if it was asked to stop.
    pub stopped: bool,
    /// Everything that is wrong.
    #[serde(skip)]
    pub findings: FirstFindings,
}

/// Validates the selected manifests of the tree in `root`, as readers of version `readers` would, or of the version of
/// each manifest.
pub fn validate_tree(
    root: &Arc<dyn ReadRoot>,
    readers: Option<Version>,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<ValidateEnd, Error> {
    check_readers(&options.registry, readers)?;
    let registry = prove(options.registry.clone())?;
    if check_found(root, options, control.stop)? == Ended::Stopped {
        return Ok(ValidateEnd { stopped: true, ..ValidateEnd::default() });
    }
    let documents = Arc::new(DocumentReader::new(&options.run, options.transform.depth_max));
    let share = (PathShare::ALL, clock::now_or_nearest());
    let reader = EntryReader::new(root.clone(), (options.layout, None), Vec::new(), options.run.batch_records)?
        .selecting(Selector::of_command(root, options, &documents, share));
    let validator = Validator { root: &**root, registry: &registry, readers, documents };
    let mut end = ValidateEnd { readers: readers.map(|version| version.to_string()), ..ValidateEnd::default() };
    let ended = control.phase(Phase::Verify, Expected::UNKNOWN, || {
        pass(reader, &validator, &options.run.engine(), control, |validated: Validated| {
            end.add(validated);
            Ok::<_, Error>(())
        })
    })?;
    end.stopped = ended == Ended::Stopped;
    Ok(end)
}

struct Validator<'a> {
    root: &'a dyn ReadRoot,
    registry: &'a Registry,
    readers: Option<Version>,
    documents: Arc<DocumentReader>,
}

#[derive(Default)]
struct Validated {
    end: ValidateEnd,
    tally: Tally,
}

impl ValidateEnd {
    fn add(&mut self, Validated { end, tally }: Validated) {
        self.manifests += end.manifests;
        self.valid += end.valid;
        self.refused += end.refused;
        self.unreadable += end.unreadable;
        self.foreign += end.foreign;
        self.not_selected += end.not_selected;
        tally.findings.into_iter().for_each(|finding| self.findings.push(finding));
    }
}

impl Converter for Validator<'_> {
    type Batch = Vec<ScanEntry>;
    type Output = Validated;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<ScanEntry>) -> Result<Validated, Error> {
        let mut validated = Validated::default();
        for ScanEntry { path, found } in entries {
            match found {
                Found::Skipped(SkipReason::NotSelected) => validated.end.not_selected += 1,
                Found::Skipped(reason) => validated.tally.skip(&path, reason),
                Found::Leftover => {}
                Found::Unreadable(error) if concerns_one_file(&error) => {
                    validated.unread(&path, &disk_refusal(&error));
                }
                Found::Unreadable(error) => return Err(error.into()),
                Found::Manifest => self.validate(&path, scratch, &mut validated)?,
            }
        }
        Ok(validated)
    }
}

impl Validator<'_> {
    fn validate(&self, path: &Path, buffer: &mut Vec<u8>, validated: &mut Validated) -> Result<(), Error> {
        let read = |max_bytes, buffer: &mut Vec<u8>| self.root.read_file(path, max_bytes, buffer);
        match self.documents.read(buffer, read, |bytes, _| validate_as(self.registry, bytes, self.readers)) {
            Ok(result) => validated.take(path, result),
            Err(NotRead::TooLarge(refusal)) => validated.take(path, Err(vec![refusal])),
            Err(NotRead::Item(error)) => validated.unread(path, &disk_refusal(&error)),
            Err(NotRead::Failed(error)) => return Err(error.into()),
        }
        Ok(())
    }
}

impl Validated {
    fn take(&mut self, path: &Path, result: Result<Valid, Vec<Refusal>>) {
        let refusals = match result {
            Ok((_, notices)) => {
                self.end.manifests += 1;
                self.end.valid += 1;
                return self.tally.notice(path, &notices);
            }
            Err(refusals) => refusals,
        };
        if refusals.iter().any(|refusal| refusal.status() == DocumentStatus::NotAManifest) {
            self.end.foreign += 1;
            let notes = refusals.into_iter().map(|refusal| (refusal.code.name(), refusal.text));
            self.tally.findings.extend(notes.map(|(code, text)| finding(Severity::Note, path, code, text)));
            return;
        }
        self.end.manifests += 1;
        self.end.refused += 1;
        refusals.iter().for_each(|refusal| self.tally.refuse(path, refusal));
    }

    fn unread(&mut self, path: &Path, refusal: &Refusal) {
        self.end.manifests += 1;
        self.end.unreadable += 1;
        self.tally.refuse(path, refusal);
    }
}
