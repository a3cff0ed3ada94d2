//! Remembers which files next to a manifest its migration reads, so that a sample has them too.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::manifest::document::inputs::DocumentInputs;
use crate::manifest::tree::siblings::SiblingFiles;

/// The files in the directory of a manifest, and which of them were read.
pub(super) struct InputsRead<'a> {
    siblings: SiblingFiles<'a>,
    found: RefCell<BTreeSet<String>>,
}

impl<'a> InputsRead<'a> {
    pub(super) fn new(siblings: SiblingFiles<'a>) -> Self {
        Self { siblings, found: RefCell::default() }
    }

    /// Returns the paths of those that are there, relative to the directory of the manifest.
    pub(super) fn found(self) -> BTreeSet<String> {
        self.found.into_inner()
    }

    fn note<T>(&self, path: &str, read: Result<Option<T>, String>) -> Result<Option<T>, String> {
        if matches!(read, Ok(Some(_))) {
            self.found.borrow_mut().insert(path.to_owned());
        }
        read
    }
}

impl DocumentInputs for InputsRead<'_> {
    fn digest(&self, path: &str) -> Result<Option<([u8; 32], u64)>, String> {
        self.note(path, self.siblings.digest(path))
    }

    fn read(&self, path: &str, len_max_bytes: u64) -> Result<Option<Vec<u8>>, String> {
        self.note(path, self.siblings.read(path, len_max_bytes))
    }

    fn job_directory(&self) -> Option<String> {
        self.siblings.job_directory()
    }
}
