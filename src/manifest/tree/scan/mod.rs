//! The walk through a tree: every manifest, and every name that might lead to one and is passed over, in the order of
//! path bytes (docs/source-sigilzero.md, "Finding manifests").

use std::ffi::{OsStr, OsString};
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file_names;
use crate::durable::{DiskError, ReadRoot, SourceNameKind};

/// The directory of all manifests, below the application's root.
pub const ARTIFACTS: &str = "artifacts";
/// Snapshots that runs were started with lie in directories of this name, and no manifests.
const INPUTS: &str = "inputs";
/// Names of a directory that are held at once. One of more names is read again for each further page.
const PAGE_NAMES: usize = 100_000;
/// `artifacts/<job>/<run>`
const CANONICAL_DEPTH: usize = 3;

/// Where manifests are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// `artifacts/<job>/<run>/manifest.json`, jobs called `runs` included.
    #[default]
    Canonical,
    /// At any depth below `artifacts`.
    Recursive,
}

impl Layout {
    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Canonical => "canonical",
            Self::Recursive => "recursive",
        }
    }
}

/// Why a name is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// A directory or link whose name begins with a dot: runs in progress, repositories.
    Hidden,
    /// A directory of snapshots.
    Inputs,
    /// A symbolic link.
    Link,
    /// Called `manifest.json`, and no regular file.
    NotAFile,
    /// A manifest that is not where the layout has them.
    OutsideLayout,
}

/// What stands at a path.
#[derive(Debug)]
pub enum Found {
    /// A file to be looked at.
    Manifest,
    /// Nothing that is looked at.
    Skipped(SkipReason),
    /// What a run that died left behind: a file on its way to its name.
    Leftover,
    /// A directory that cannot be read.
    Unreadable(DiskError),
}

/// One thing found.
#[derive(Debug)]
pub struct ScanEntry {
    /// Relative to the application's root; ends with a slash if it is a directory.
    pub path: PathBuf,
    /// What it is.
    pub found: Found,
}

impl ScanEntry {
    /// The place of the entry in the order of the walk.
    pub fn place(&self) -> &[u8] {
        self.path.as_os_str().as_bytes()
    }
}

/// A walk under way. Memory is bounded by the depth of the tree and the size of a page, however many names there are.
pub struct Scan {
    root: Arc<dyn ReadRoot>,
    layout: Layout,
    /// Nothing up to here is given.
    after: Vec<u8>,
    page_names: usize,
    open: Vec<OpenDirectory>,
}

/// A directory whose names are being gone through.
struct OpenDirectory {
    /// With a slash at its end.
    path: Vec<u8>,
    names: std::vec::IntoIter<Name>,
    /// There are further names behind these.
    has_more: bool,
    last: Vec<u8>,
}

/// A name in the order of the walk: those of directories have a slash at their end.
type Name = (Vec<u8>, SourceNameKind);

impl Scan {
    /// A walk through the tree in `root` that begins behind the place `after`; an empty one is the beginning. Fails if
    /// there is no directory `artifacts`.
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
        let top = scan.read_page(format!("{ARTIFACTS}/").into_bytes(), Vec::new())?;
        scan.open.push(top);
        Ok(scan)
    }

    fn read_page(&self, path: Vec<u8>, after: Vec<u8>) -> Result<OpenDirectory, DiskError> {
        let mut page = Page { names: Vec::new(), max: self.page_names, bound: None, has_more: false };
        self.root.names(Path::new(OsStr::from_bytes(&path)), &mut |name, kind| page.offer(name, kind, &after))?;
        let (names, has_more) = page.finish();
        let last = names.last().map_or(after, |(name, _)| name.clone());
        Ok(OpenDirectory { path, names: names.into_iter(), has_more, last })
    }

    /// The next name of the innermost directory, with its whole path.
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
            // It went away since it was listed, as runs do that are cleaned up.
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
            SourceNameKind::File if self.layout == Layout::Canonical && depth(&path) != CANONICAL_DEPTH => {
                Found::Skipped(SkipReason::OutsideLayout)
            }
            SourceNameKind::File => Found::Manifest,
        };
        Some(ScanEntry { path: OsString::from_vec(path).into(), found })
    }

    /// True if the walk begins behind this path and, for a directory, behind all that is in it.
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

/// How many directories are above a file.
fn depth(path: &[u8]) -> usize {
    path.iter().filter(|&&byte| byte == b'/').count()
}

/// Collects the first names of a directory in their order, in room for twice as many.
struct Page {
    names: Vec<Name>,
    max: usize,
    /// Greatest name that is kept, once some were dropped.
    bound: Option<Vec<u8>>,
    has_more: bool,
}

impl Page {
    fn offer(&mut self, name: &OsStr, kind: SourceNameKind, after: &[u8]) {
        let matters = matches!(kind, SourceNameKind::Directory | SourceNameKind::Link)
            || name == file_names::MANIFEST
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
