//! Decides file by file which manifests a command takes, in the order of the tree: what a limit leaves over depends on the
//! files before.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use super::document_reader::DocumentReader;
use super::evaluation_pass::Evaluator;
use super::share::PathShare;
use crate::durable::{FileState, ReadRoot};
use crate::manifest::document::json::{Document, ReadOptions, Value};
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::selection::{Newer, Selection};
use crate::manifest::tree::reader::Select;
use crate::migration::Error;

/// The most generous options of a migration.
const READ: ReadOptions =
    ReadOptions { depth_max: 1000, bom_strip: true, last_member_wins: true, compat_numbers: false };

/// The state of a selection while a tree is walked.
pub struct Selector {
    root: Arc<dyn ReadRoot>,
    selection: Selection,
    share: PathShare,
    since: Option<Timestamp>,
    documents: Arc<DocumentReader>,
    left: Option<u64>,
    /// Only files count towards the limit that a migration would replace.
    evaluator: Option<Evaluator>,
    buffer: Vec<u8>,
}

impl Selector {
    /// Returns the selection of a command that began at `now`, or `None` if it takes all manifests.
    pub fn of_command(
        root: &Arc<dyn ReadRoot>,
        options: &MigrateOptions,
        documents: &Arc<DocumentReader>,
        (share, now): (PathShare, Timestamp),
    ) -> Option<Self> {
        let selection = options.selection.clone();
        (!selection.is_all() || !share.is_all()).then(|| Self {
            root: root.clone(),
            share,
            since: selection.newer.map(|newer: Newer| newer.since(now)),
            documents: documents.clone(),
            left: selection.limit,
            evaluator: None,
            buffer: Vec::new(),
            selection,
        })
    }

    /// Returns the selection of a migration that began at `now` and has replaced `done` files.
    pub fn of_migration(
        root: &Arc<dyn ReadRoot>,
        options: &MigrateOptions,
        documents: &Arc<DocumentReader>,
        (now, done): (Timestamp, u64),
    ) -> Result<Option<Self>, Error> {
        let Some(mut selector) = Self::of_command(root, options, documents, (PathShare::ALL, now)) else {
            return Ok(None);
        };
        selector.left = selector.left.map(|limit| limit.saturating_sub(done));
        if selector.left.is_some() {
            let transformer = options.transformer(now)?;
            selector.evaluator = Some(Evaluator::new(root.clone(), transformer, documents.clone(), options));
        }
        Ok(Some(selector))
    }

    /// Returns true if the document is of the job and has the status. One that cannot be read may be what is looked for:
    /// the command refuses it by name.
    fn fits(&mut self, file: &Path) -> bool {
        let (root, selection) = (&self.root, &self.selection);
        let job = selection.job.as_deref().filter(|_| selection.document_names_job(file));
        let read = |max_bytes, buffer: &mut Vec<u8>| root.read_file(file, max_bytes, buffer);
        let fits = |bytes: &[u8], _: &FileState| {
            let Ok(document) = Document::parse(bytes, &READ) else { return true };
            let is = |name: &str, wanted: Option<&str>| {
                wanted.is_none_or(|wanted| {
                    document.root().get(name).and_then(Value::as_str).is_some_and(|found| found == wanted)
                })
            };
            is("status", selection.status.as_deref()) && is("job_id", job)
        };
        self.documents.read(&mut self.buffer, read, fits).unwrap_or(true)
    }

    fn is_new_enough(&self, file: &Path) -> bool {
        let Some(since) = self.since else { return true };
        let Ok(Some(state)) = self.root.file_state(file) else { return true };
        let nanos = i32::try_from(state.modified_nanos).unwrap_or(0);
        Timestamp::new(state.modified_secs, nanos).is_ok_and(|modified| modified >= since)
    }

    /// Returns true if the file is within the limit.
    fn count(&mut self, file: &Path) -> Result<bool, Error> {
        let Some(left) = &mut self.left else { return Ok(true) };
        let counts = match &self.evaluator {
            Some(evaluator) => evaluator.would_replace(file, &mut self.buffer)?,
            None => true,
        };
        *left -= u64::from(counts);
        Ok(true)
    }
}

impl Select for Selector {
    fn takes(&mut self, file: &Path) -> Result<bool, Error> {
        let is_over = self.left == Some(0);
        if is_over || !self.share.covers(file) || !self.selection.may_be_of_job(file) || !self.is_new_enough(file) {
            return Ok(false);
        }
        if self.selection.needs_document(file) && !self.fits(file) {
            return Ok(false);
        }
        self.count(file)
    }
}
