//! Whether a manifest is still what was verified or accepted. Only then may its backup go: it may be all that is left.

use std::path::Path;

use super::accept::Accepted;
use super::migrate::crash_recovery::digest_of;
use super::migrate::document_reader::{DocumentReader, NotRead};
use super::migrate::ledger::WrittenFile;
use super::steps::registry::Registry;
use super::tree::file_faults::BadSpots;
use super::tree::siblings::SiblingFiles;
use super::validate::{DEPTH_MAX, validate_as};
use super::verify::file::verify_file;
use super::verify::report::VerifiedFiles;
use crate::durable::ReadRoot;
use crate::migration::{Error, RunOptions, Severity};

/// Looks at manifests whose backups are about to be removed.
pub(super) struct StillWhole<'a> {
    tree: &'a dyn ReadRoot,
    accepted: &'a Accepted,
    registry: Registry,
    documents: DocumentReader,
    spots: BadSpots,
    buffer: Vec<u8>,
}

impl<'a> StillWhole<'a> {
    /// Creates a check of manifests in `tree`.
    pub fn new(tree: &'a dyn ReadRoot, accepted: &'a Accepted) -> Self {
        let documents = DocumentReader::of_budget(RunOptions::default().memory_budget_bytes, DEPTH_MAX);
        Self {
            tree,
            accepted,
            registry: Registry::built_in(),
            documents,
            spots: BadSpots::default(),
            buffer: Vec::new(),
        }
    }

    /// Returns true if the manifest has the bytes that a run or its rollback gave it, is as the operator has accepted it,
    /// or is a whole manifest that its application has written since. One that cannot be read is not.
    pub fn check(&mut self, written: &WrittenFile) -> Result<bool, Error> {
        let path = written.path().unwrap_or_default();
        let Ok(found) = self.spots.read(|| digest_of(self.tree, &path))? else { return Ok(false) };
        let sha256 = found.as_ref().map(|(digest, _)| &**digest);
        if self.accepted.is_as_accepted(&written.file, sha256) {
            return Ok(true);
        }
        match sha256 {
            None => Ok(false),
            Some(digest) if digest == written.after || digest == written.before => Ok(true),
            Some(_) => self.is_whole_by_itself(&path),
        }
    }

    fn is_whole_by_itself(&mut self, path: &Path) -> Result<bool, Error> {
        let Self { tree, registry, documents, buffer, .. } = self;
        let read = |max_bytes, bytes: &mut Vec<u8>| tree.read_file(path, max_bytes, bytes);
        let doctrine_max_bytes = documents.small_max_bytes();
        let is_whole = documents.read(buffer, read, |bytes, _| {
            let siblings = SiblingFiles { root: *tree, manifest: path, stop: None };
            let mut verified = VerifiedFiles::default();
            verify_file(bytes, path, &siblings, (registry, doctrine_max_bytes), &mut verified);
            let is_sound = verified.findings.iter().all(|finding| finding.severity != Severity::Fatal);
            is_sound && validate_as(registry, bytes, None).is_ok()
        });
        match is_whole {
            Ok(is_whole) => Ok(is_whole),
            Err(NotRead::TooLarge(_) | NotRead::Item(_)) => Ok(false),
            Err(NotRead::Failed(error)) => Err(error.into()),
        }
    }
}
