//! The scan of a tree. It finds the manifests, and the names that might lead to one but are skipped, in the order of
//! path bytes (docs/source-sigilzero.md, "Finding manifests").
//!
//! The order is the same on every disk, so a checkpoint needs to keep only the path that was reached.

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::file_names;
use crate::durable::{DiskError, ReadRoot, SourceNameKind};

/// The directory of all manifests in the root of the application.
pub const ARTIFACTS: &str = "artifacts";
/// Directories of this name contain snapshots of inputs, and no manifests.
const INPUTS: &str = "inputs";
/// The largest number of names of a directory in memory. A directory with more names is read again for each further
/// page.
const PAGE_NAMES: usize = 100_000;
/// `artifacts/<job>/<run>`
const CANONICAL_DEPTH: usize = 3;

/// The places in which the scan looks for manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// `artifacts/<job>/<run>/manifest.json`, jobs called `runs` included.
    #[default]
    Canonical,
    /// At any depth below `artifacts`.
    Recursive,
}

impl Layout {
    /// Returns the layout as on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Recursive => "recursive",
        }
    }
}

/// The reason why a name is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// The name of a directory or link begins with a dot, as those of unfinished runs and repositories do.
    Hidden,
    /// The directory contains snapshots of inputs.
    Inputs,
    /// The name is a symbolic link. Links may lead out of the tree.
    Link,
    /// The name is `manifest.json`, but it is not a regular file.
    NotAFile,
    /// The manifest is in a place that the layout does not have.
    OutsideLayout,
    /// The name differs from `manifest.json` in the case of its letters: the application does not find it.
    OtherSpelling,
    /// The operator has selected other manifests.
    NotSelected,
}

/// What the scan found at a path.
#[derive(Debug)]
pub enum Found {
    /// A manifest.
    Manifest,
    /// A name that is skipped.
    Skipped(SkipReason),
    /// A temporary file that a crashed run left behind.
    Leftover,
    /// A directory that cannot be read.
    Unreadable(DiskError),
}

/// An entry of the scan.
#[derive(Debug)]
pub struct ScanEntry {
    /// The path relative to the root. That of a directory ends with a slash.
    pub path: PathBuf,
    /// What was found there.
    pub found: Found,
}

impl ScanEntry {
    /// Returns the place of the entry in the order of the scan.
    pub fn place(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }
}

/// A scan in progress. Its memory depends on the depth of the tree and the size of a page, not on the number of names.
pub struct Scan {
    root: Arc<dyn ReadRoot>,
    layout: Layout,
    /// The place after which entries are returned.
    after: Vec<u8>,
    page_names: usize,
    open: Vec<OpenDirectory>,
}

/// A directory whose names are being read.
struct OpenDirectory {
    /// Its path, which ends with a slash.
    path: Vec<u8>,
    names: std::vec::IntoIter<Name>,
    /// Whether the directory has names after these.
    has_more: bool,
    last: Vec<u8>,
}

/// A name and its kind. Names of directories end with a slash, so that they sort as their contents do.
type Name = (Vec<u8>, SourceNameKind);

impl Scan {
    /// Starts a scan of the tree in `root` after the place `after`, which is empty for a whole scan. Fails if the
    /// directory `artifacts` is missing.
    pub fn start(root: Arc<dyn ReadRoot>, layout: Layout, after: Vec<u8>) -> Result<Self, DiskError> {
        Self::with_page(root, layout, after, PAGE_NAMES)
    }

    fn with_page(
        root: Arc<dyn ReadRoot>,
        layout: Layout,
        after: Vec<u8>,
        page_names: usize,
    ) -> Result<Self, DiskError> {
        let mut scan = Self { root, layout, after, page_names, open: Vec::new() };
        let top = scan.read_page(format!("{ARTIFACTS}/").into_bytes(), Vec::new());
        let top = top.map_err(|error| scan.explain(error))?;
        scan.open.push(top);
        Ok(scan)
    }

    /// Says more of a link in the place of all manifests than that it is in the way.
    fn explain(&self, error: DiskError) -> DiskError {
        let mut is_link = false;
        let mut look = |name: &OsStr, kind| is_link |= name == ARTIFACTS && kind == SourceNameKind::Link;
        let looked = self.root.names(Path::new(""), &mut look);
        if looked.is_err() || !is_link {
            return error;
        }
        let what = "it is a symbolic link, which is not followed; give the directory above the one that it leads to, or \
            put a bind mount in its place";
        let error = std::io::Error::new(ErrorKind::InvalidInput, what);
        DiskError::new("list", &self.root.path().join(ARTIFACTS), error)
    }

    fn read_page(&self, path: Vec<u8>, after: Vec<u8>) -> Result<OpenDirectory, DiskError> {
        let mut page = Page { names: Vec::new(), max: self.page_names, bound: None, has_more: false };
        self.root.names(Path::new(OsStr::from_bytes(&path)), &mut |name, kind| page.offer(name, kind, &after))?;
        let (names, has_more) = page.finish();
        let last = names.last().map_or(after, |(name, _)| name.clone());
        Ok(OpenDirectory { path, names: names.into_iter(), has_more, last })
    }

    /// Returns the path and kind of the next name in the innermost open directory.
    fn next_name(&mut self) -> Result<Option<(Vec<u8>, SourceNameKind)>, ScanEntry> {
        while let Some(directory) = self.open.last_mut() {
            if let Some((name, kind)) = directory.names.next() {
                let mut path = directory.path.clone();
                path.extend_from_slice(&name);
                return Ok(Some((path, kind)));
            }
            let done = self.open.pop().expect("one is open");
            if done.has_more {
                match self.read_page(done.path.clone(), done.last) {
                    Ok(page) => self.open.push(page),
                    Err(error) => return Err(unreadable(done.path, error)),
                }
            }
        }
        Ok(None)
    }

    fn enter(&mut self, path: Vec<u8>) -> Option<ScanEntry> {
        match self.read_page(path.clone(), Vec::new()) {
            Ok(page) => {
                self.open.push(page);
                None
            }
            // The directory was removed after it was listed, for example with an old run.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => Some(unreadable(path, error)),
        }
    }

    fn look_at(&mut self, path: Vec<u8>, kind: SourceNameKind) -> Option<ScanEntry> {
        let name = last_name(&path).to_owned();
        let found = match kind {
            _ if file_names::is_temporary(&name) => Found::Leftover,
            SourceNameKind::Directory | SourceNameKind::Link if name.as_bytes().starts_with(b".") => {
                Found::Skipped(SkipReason::Hidden)
            }
            SourceNameKind::Link => Found::Skipped(SkipReason::Link),
            SourceNameKind::Directory if name == INPUTS => Found::Skipped(SkipReason::Inputs),
            SourceNameKind::Directory => {
                if name != file_names::MANIFEST {
                    return self.enter(path);
                }
                Found::Skipped(SkipReason::NotAFile)
            }
            SourceNameKind::Other => Found::Skipped(SkipReason::NotAFile),
            SourceNameKind::File if name != file_names::MANIFEST => Found::Skipped(SkipReason::OtherSpelling),
            SourceNameKind::File if self.layout == Layout::Canonical && depth(&path) != CANONICAL_DEPTH => {
                Found::Skipped(SkipReason::OutsideLayout)
            }
            SourceNameKind::File => Found::Manifest,
        };
        Some(ScanEntry { path: OsString::from_vec(path).into(), found })
    }

    /// Returns true if the scan begins after this path and, for a directory, after everything in it.
    fn is_behind(&self, path: &[u8], kind: SourceNameKind) -> bool {
        let may_hold_more = kind == SourceNameKind::Directory && self.after.starts_with(path) && self.after != path;
        path <= &self.after[..] && !may_hold_more
    }
}

impl Iterator for Scan {
    type Item = ScanEntry;

    fn next(&mut self) -> Option<ScanEntry> {
        loop {
            let (path, kind) = match self.next_name() {
                Ok(named) => named?,
                Err(entry) => return Some(entry),
            };
            if self.is_behind(&path, kind) {
                continue;
            }
            if let Some(entry) = self.look_at(path, kind) {
                return Some(entry);
            }
        }
    }
}

fn unreadable(path: Vec<u8>, error: DiskError) -> ScanEntry {
    ScanEntry { path: OsString::from_vec(path).into(), found: Found::Unreadable(error) }
}

fn last_name(path: &[u8]) -> &OsStr {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    OsStr::from_bytes(&path[start..])
}

/// Returns true if the path is that of a job, of a run or of a manifest in the canonical layout.
pub fn is_place_of_manifests(path: &Path) -> bool {
    let depth = depth(path.as_os_str().as_bytes());
    depth < CANONICAL_DEPTH || path.file_name().is_some_and(|name| name == file_names::MANIFEST)
}

/// Returns the number of directories above a file.
fn depth(path: &[u8]) -> usize {
    path.iter().filter(|&&byte| byte == b'/').count()
}

/// Collects the first names of a directory in sorted order.
// It sorts and cuts only when twice as many have gathered, which is cheaper than keeping them sorted.
struct Page {
    names: Vec<Name>,
    max: usize,
    /// The greatest name that is kept, if names were dropped.
    bound: Option<Vec<u8>>,
    has_more: bool,
}

impl Page {
    fn offer(&mut self, name: &OsStr, kind: SourceNameKind, after: &[u8]) {
        let matters = matches!(kind, SourceNameKind::Directory | SourceNameKind::Link)
            || name.as_bytes().eq_ignore_ascii_case(file_names::MANIFEST.as_bytes())
            || file_names::is_temporary(name);
        if !matters {
            return;
        }
        let mut key = name.as_bytes().to_vec();
        if kind == SourceNameKind::Directory {
            key.push(b'/');
        }
        if key[..] <= *after {
            return;
        }
        if self.bound.as_ref().is_some_and(|bound| key > *bound) {
            self.has_more = true;
            return;
        }
        self.names.push((key, kind));
        if self.names.len() >= self.max.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        if self.names.len() > self.max {
            self.names.truncate(self.max);
            self.has_more = true;
            self.bound = self.names.last().map(|(name, _)| name.clone());
        }
    }

    fn finish(mut self) -> (Vec<Name>, bool) {
        self.cut();
        (self.names, self.has_more)
    }
}

#[cfg(test)]
mod tests;
