//! A survey of a tree: the number of manifests of each version, and how many would be migrated.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::document::error_codes::DocumentStatus;
use super::document::verdict::{Inspection, Refusal};
use super::migrate::document_reader::DocumentReader;
use super::migrate::evaluate::{NotReplaced, Tally, disk_refusal};
use super::migrate::selector::Selector;
use super::migrate::space_needed::{FileSystemNeeds, SpaceNeeded, bytes_needed_and_available};
use super::nothing_found::check_found;
use super::outcome::Counts;
use super::run_options::MigrateOptions;
use super::transform::Transformer;
use super::tree::file_faults::concerns_one_file;
use super::tree::reader::EntryReader;
use super::tree::scan::{Found, ScanEntry};
use crate::durable::{FileState, ReadRoot, source_root};
use crate::migration::{Error, FirstFindings, OutcomeCounts, clock};
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

/// The largest number of versions that are counted separately. Texts that are not versions count too, so the number
/// needs a limit.
const VERSIONS_MAX: usize = 1000;
const OTHER_VERSIONS: &str = "other";

/// The result of a survey.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VersionSurvey {
    /// The version that files would be migrated to.
    pub target_version: String,
    /// The highest version that the steps know.
    pub latest_version: String,
    /// Number of entries found.
    pub records: u64,
    /// Number of files that were read.
    pub manifests: u64,
    /// Number of manifests by version, or by status if they have none.
    pub by_version: BTreeMap<String, u64>,
    /// Number of manifests by status.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Number of skipped names by reason. Manifests are not among them.
    pub passed_over: Counts,
    /// Sum of the lengths of all manifests.
    pub source_bytes: u64,
    /// Sum of the lengths of those that would be migrated. Backups take no additional space: the old file becomes the
    /// backup.
    pub pending_bytes: u64,
    /// The approximate space for the new files.
    pub space_needed_bytes: u64,
    /// The space that is available to this user: on the file system where the least remains, if there are several.
    pub space_available_bytes: u64,
    /// The space by file system, one for each that new files would be written to.
    pub file_systems: Vec<FileSystemNeeds>,
    /// True if the survey was asked to stop.
    pub stopped: bool,
    /// Findings about single files.
    #[serde(skip)]
    pub findings: FirstFindings,
}

/// Reads every manifest of the tree and counts versions. Writes nothing.
pub fn survey_versions(
    root: Arc<dyn ReadRoot>,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<VersionSurvey, Error> {
    let transformer = options.transformer(Timestamp::UNIX_EPOCH)?;
    let places = (options.layout, options.manifest.as_deref());
    let documents = Arc::new(DocumentReader::new(&options.run, options.transform.depth_max));
    let now = options.now.unwrap_or_else(clock::now_or_nearest);
    let reader = EntryReader::new(root.clone(), places, Vec::new(), options.run.batch_records)?
        .selecting(Selector::of_migration(&root, options, &documents, (now, 0))?);
    let mut survey = VersionSurvey::default();
    if check_found(&root, options, control.stop)? == Ended::Stopped {
        survey.stopped = true;
        return Ok(survey);
    }
    let mut space_needed = SpaceNeeded::default();
    let inspector = Inspector { root: &*root, transformer, documents };
    let ended = control.phase(Phase::Scan, Expected::UNKNOWN, || {
        pass(reader, &inspector, &options.run.engine(), control, |inspected| {
            space_needed.merge(survey.add(inspected));
            Ok(())
        })
    })?;
    survey.target_version = options.target().to_string();
    survey.latest_version = options.registry.latest().to_string();
    survey.file_systems = space_needed.measure(&*root)?;
    (survey.space_needed_bytes, survey.space_available_bytes) =
        bytes_needed_and_available(&survey.file_systems, &*root)?;
    survey.stopped = ended == Ended::Stopped;
    Ok(survey)
}

/// Returns the version of one file for display, or its status if it has none.
pub fn version_of(root: &Path, file: &Path, options: &MigrateOptions) -> Result<String, Error> {
    let transformer = options.transformer(Timestamp::UNIX_EPOCH)?;
    let mut bytes = Vec::new();
    let root = source_root(root)?;
    let read = |max_bytes, bytes: &mut Vec<u8>| root.read_file(file, max_bytes, bytes);
    match DocumentReader::new(&options.run, options.transform.depth_max)
        .read(&mut bytes, read, |bytes, _| label(&transformer.inspect(bytes)))
    {
        Ok(label) => Ok(label),
        Err(_) => Ok(DocumentStatus::Failed.name().to_owned()),
    }
}

fn label(inspection: &Inspection) -> String {
    let text = || inspection.version_text.clone();
    let version = inspection.version.map(|version| version.to_string()).or_else(text);
    version.unwrap_or_else(|| inspection.status.name().to_owned())
}

struct Inspector<'a> {
    root: &'a dyn ReadRoot,
    transformer: Transformer,
    documents: Arc<DocumentReader>,
}

/// One file of the survey.
struct Seen {
    label: String,
    status: DocumentStatus,
    len_bytes: u64,
}

#[derive(Default)]
struct Inspected {
    seen: Vec<Seen>,
    tally: Tally,
    records: u64,
    space_needed: SpaceNeeded,
}

impl Converter for Inspector<'_> {
    type Batch = Vec<ScanEntry>;
    type Output = Inspected;
    type Scratch = Vec<u8>;
    type Error = Error;

    fn convert(&self, scratch: &mut Vec<u8>, entries: Vec<ScanEntry>) -> Result<Inspected, Error> {
        let mut inspected = Inspected { records: entries.len() as u64, ..Inspected::default() };
        for entry in entries {
            match entry.found {
                Found::Skipped(reason) => inspected.tally.counts.add_skipped(reason),
                Found::Unreadable(error) if concerns_one_file(&error) => {
                    inspected.refuse(&entry.path, &disk_refusal(&error));
                }
                Found::Unreadable(error) => return Err(error.into()),
                // The reader does not pass on leftovers.
                Found::Manifest | Found::Leftover => {
                    let read = |max_bytes, bytes: &mut Vec<u8>| self.root.read_file(&entry.path, max_bytes, bytes);
                    let take = |bytes: &[u8], state: &FileState| {
                        inspected.take(&entry.path, self.transformer.inspect(bytes), state);
                    };
                    match self.documents.read(scratch, read, take).map_err(NotReplaced::from) {
                        Ok(()) => {}
                        Err(NotReplaced::Refused(refusal)) => inspected.refuse(&entry.path, &refusal),
                        Err(NotReplaced::Failed(error)) => return Err(error.into()),
                    }
                }
            }
        }
        Ok(inspected)
    }
}

impl Inspected {
    fn take(&mut self, file: &Path, inspection: Inspection, state: &FileState) {
        if inspection.status == DocumentStatus::Pending {
            self.space_needed.add(file, state.file_system, state.len_bytes, false);
        }
        self.seen.push(Seen { label: label(&inspection), status: inspection.status, len_bytes: state.len_bytes });
        if let Some(refusal) = inspection.refusal {
            self.tally.refuse(file, &refusal);
        }
    }

    fn refuse(&mut self, file: &Path, refusal: &Refusal) {
        self.seen.push(Seen {
            label: DocumentStatus::Failed.name().into(),
            status: DocumentStatus::Failed,
            len_bytes: 0,
        });
        self.tally.refuse(file, refusal);
    }
}

impl VersionSurvey {
    /// Adds a batch. Returns the space that its new files need.
    fn add(&mut self, inspected: Inspected) -> SpaceNeeded {
        self.records += inspected.records;
        let mut passed_over = inspected.tally.counts;
        inspected.tally.findings.into_iter().for_each(|finding| self.findings.push(finding));
        passed_over = Counts {
            skipped_hidden: passed_over.skipped_hidden,
            skipped_inputs: passed_over.skipped_inputs,
            skipped_link: passed_over.skipped_link,
            skipped_not_a_file: passed_over.skipped_not_a_file,
            skipped_outside_layout: passed_over.skipped_outside_layout,
            not_selected: passed_over.not_selected,
            ..Counts::default()
        };
        self.passed_over.merge(&passed_over);
        for Seen { label, status, len_bytes } in inspected.seen {
            self.manifests += 1;
            self.source_bytes += len_bytes;
            *self.by_status.entry(status.name()).or_default() += 1;
            if status == DocumentStatus::Pending {
                self.pending_bytes += len_bytes;
            }
            let is_counted = self.by_version.len() < VERSIONS_MAX || self.by_version.contains_key(&label);
            let label = if is_counted { label } else { OTHER_VERSIONS.to_owned() };
            *self.by_version.entry(label).or_default() += 1;
        }
        inspected.space_needed
    }
}
