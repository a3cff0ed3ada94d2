//! Copies manifests into a tree of their own, under the same relative paths, with the files next to them that their
//! migration reads.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::inputs_read::InputsRead;
use crate::durable::{Disk, DiskError, DiskFile, FileState, ReadRoot};
use crate::manifest::Transformer;
use crate::manifest::migrate::document_reader::DocumentReader;
use crate::manifest::migrate::evaluate::NotReplaced;
use crate::manifest::tree::file_faults::concerns_one_file;
use crate::manifest::tree::scan::ARTIFACTS;
use crate::manifest::tree::siblings::SiblingFiles;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// The owner reads and writes a copy, whatever else the file allows: it may be readable for another reason.
const OWNER_MODE: u32 = 0o600;
const PERMISSIONS: u32 = 0o777;

/// Where manifests are copied from and to.
pub(super) struct TreeCopy<'a> {
    disk: &'a dyn Disk,
    root: &'a dyn ReadRoot,
    to: &'a Path,
    documents: &'a DocumentReader,
    transformer: &'a Transformer,
    stop: &'a StopToken,
    made: BTreeSet<PathBuf>,
    buffer: Vec<u8>,
}

impl<'a> TreeCopy<'a> {
    /// Begins a tree in the empty directory `to`.
    pub(super) fn begin(
        disk: &'a dyn Disk,
        (root, to): (&'a dyn ReadRoot, &'a Path),
        (documents, transformer): (&'a DocumentReader, &'a Transformer),
        stop: &'a StopToken,
    ) -> Result<Self, DiskError> {
        let mut copy = Self { disk, root, to, documents, transformer, stop, made: BTreeSet::new(), buffer: Vec::new() };
        copy.make_directories(Path::new(ARTIFACTS))?;
        Ok(copy)
    }

    /// Copies a manifest. Returns its length, or `None` if a run could not read it either.
    pub(super) fn add(&mut self, file: &Path) -> Result<Option<u64>, Error> {
        let (root, documents) = (self.root, self.documents);
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = |max_bytes, buffer: &mut Vec<u8>| root.read_file(file, max_bytes, buffer);
        let copied = documents.read(&mut buffer, read, |bytes, state| self.add_bytes(file, bytes, state));
        self.buffer = buffer;
        match copied.map_err(NotReplaced::from) {
            Ok(copied) => copied.map(Some).map_err(Error::from),
            Err(NotReplaced::Refused(_)) => Ok(None),
            Err(NotReplaced::Failed(error)) => Err(error.into()),
        }
    }

    fn add_bytes(&mut self, file: &Path, bytes: &[u8], state: &FileState) -> Result<u64, DiskError> {
        self.create(file, state.mode)?.write_all_at(0, bytes)?;
        let siblings = SiblingFiles { root: self.root, manifest: file, stop: Some(self.stop) };
        let inputs = InputsRead::new(siblings);
        let _ = self.transformer.transform(bytes, &inputs);
        let directory = file.parent().unwrap_or(Path::new(""));
        inputs.found().iter().try_for_each(|input| self.add_input(&directory.join(input)))?;
        Ok(bytes.len() as u64)
    }

    fn add_input(&mut self, file: &Path) -> Result<(), DiskError> {
        // Two names of one file differ only in dots.
        if self.disk.kind(&self.to.join(file))?.is_some() {
            return Ok(());
        }
        let Some(state) = self.root.file_state(file)? else { return Ok(()) };
        let copy = self.create(file, state.mode)?;
        let (mut at, mut written) = (0, Ok(()));
        let mut write = |piece: &[u8]| {
            written = copy.write_all_at(at, piece);
            at += piece.len() as u64;
            if written.is_err() || self.stop.is_requested() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        match self.root.read_pieces(file, &mut write) {
            // The migration of the sample meets what there is of it.
            Err(error) if concerns_one_file(&error) => {}
            read => read?,
        }
        written
    }

    fn create(&mut self, file: &Path, mode: u32) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.make_directories(file.parent().unwrap_or(Path::new("")))?;
        let path = self.to.join(file);
        let created = self.disk.create_file(&path)?;
        self.disk.set_mode(&path, mode & PERMISSIONS | OWNER_MODE)?;
        Ok(created)
    }

    fn make_directories(&mut self, directory: &Path) -> Result<(), DiskError> {
        if directory.as_os_str().is_empty() || self.made.contains(directory) {
            return Ok(());
        }
        self.make_directories(directory.parent().unwrap_or(Path::new("")))?;
        self.disk.create_directory(&self.to.join(directory))?;
        self.made.insert(directory.to_path_buf());
        Ok(())
    }
}
