//! The walk through a store: finds every object and every other name, in memory that does not grow with their number.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Sender, bounded};

use super::inventory::{Entry, EntryKind};
use super::location::{Location, Shard, shard};
use super::root::SourceRoot;
use crate::cas::outcome::{RefusalReason, SkipReason};
use crate::durable::{DiskError, SourceIdentity, SourceName, SourceNameKind, source_identity, source_names};
use crate::migration::Error;
use crate::pipeline::{Control, Expected, Phase, StopToken, start_thread};

/// Names in one message between the threads of a scan.
const FOUND_PER_MESSAGE: usize = 512;
/// Names between two events.
const FOUND_PER_EVENT: u64 = 1024;

/// Something that was found.
#[derive(Debug)]
pub enum Found {
    /// A file with an object's name, whatever kind it has.
    Object(Entry),
    /// A sidecar of an object that may or may not exist.
    Sidecar(Location),
    /// A name that is not an object's.
    Skipped {
        /// The path.
        path: PathBuf,
        /// Why it is skipped.
        reason: SkipReason,
    },
    /// Something that cannot be read and may contain objects.
    Refused {
        /// The path.
        path: PathBuf,
        /// Why it is refused.
        reason: RefusalReason,
        /// The same for people.
        text: String,
    },
}

/// Sums over a source, and what distinguishes its state from a later one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanSums {
    /// Names of objects.
    pub objects: u64,
    /// Bytes of their files.
    pub object_bytes: u64,
    /// Names of sidecars.
    pub sidecars: u64,
    /// Other names.
    pub others: u64,
    /// Objects by the shape of their paths: flat, one level, split name, two levels.
    pub shapes: [u64; 4],
    /// The directories that contain them, as they were when they were listed.
    directories: Vec<DirectoryState>,
    /// Sums of the digests of all entries. A sum does not depend on the order in which the threads find them.
    lanes: [u64; 4],
}

/// The state of a directory when its names were read. It changes when an entry is added or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DirectoryState {
    shards: Vec<Shard>,
    identity: SourceIdentity,
}

impl ScanSums {
    /// Returns the digest of all objects by location, kind, length, modification time and inode, and of the number of
    /// other names.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("haul content-addressed source, version 1");
        for lane in self.lanes {
            hasher.update(&lane.to_le_bytes());
        }
        for count in [self.objects, self.sidecars, self.others] {
            hasher.update(&count.to_le_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Fails if a name was added to or removed from a directory since it was listed.
    pub fn check_unchanged(&self, root: &SourceRoot) -> Result<(), Error> {
        for directory in &self.directories {
            let path = below(root.objects(), &directory.shards);
            let what = match source_identity(&path)? {
                None => "it was removed",
                Some(now) if now != directory.identity => "names in it were added or removed",
                Some(_) => continue,
            };
            return Err(Error::SourceChanged { path, what: what.into() });
        }
        Ok(())
    }

    fn add_entry(&mut self, entry: &Entry) {
        self.objects += 1;
        self.object_bytes += entry.len_bytes;
        self.shapes[entry.location.shape() as usize] += 1;
        let digest = blake3::hash(&entry.bytes());
        for (lane, bytes) in self.lanes.iter_mut().zip(digest.as_bytes().as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*bytes));
        }
    }

    fn merge(&mut self, other: Self) {
        self.objects += other.objects;
        self.object_bytes += other.object_bytes;
        self.sidecars += other.sidecars;
        self.others += other.others;
        for (count, more) in self.shapes.iter_mut().zip(other.shapes) {
            *count += more;
        }
        for (lane, more) in self.lanes.iter_mut().zip(other.lanes) {
            *lane = lane.wrapping_add(more);
        }
        self.directories.extend(other.directories);
    }
}

/// Walks the store with `workers` threads and passes everything found to `sink` on the calling thread, in any order.
/// `Ok(None)`: a stop was requested.
pub fn scan(
    root: &SourceRoot,
    workers: usize,
    stop: &StopToken,
    mut sink: impl FnMut(Found) -> Result<(), Error>,
) -> Result<Option<ScanSums>, Error> {
    let (sender, receiver) = bounded::<Vec<Found>>(4);
    let sums = std::thread::scope(|scope| {
        let walking = start_thread(scope, "haul-walk", || walk_root(root, workers, stop, sender))?;
        // Dropped on an error, so that the walking threads end.
        let receiver = receiver;
        for found in receiver.iter().flatten() {
            sink(found)?;
        }
        drop(receiver);
        walking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    Ok((!stop.is_requested()).then_some(sums))
}

/// Works like [`scan`], and reports its progress.
pub fn scan_watched(
    root: &SourceRoot,
    workers: usize,
    control: &Control<'_>,
    mut sink: impl FnMut(Found) -> Result<(), Error>,
) -> Result<Option<ScanSums>, Error> {
    let mut unreported = 0;
    control.phase(Phase::Scan, Expected::UNKNOWN, || {
        scan(root, workers, control.stop, |found| {
            unreported += 1;
            if unreported == FOUND_PER_EVENT {
                control.progress(unreported, 0);
                unreported = 0;
            }
            sink(found)
        })
    })
}

/// Lists the directory of objects, then the shards in it on several threads.
fn walk_root(
    root: &SourceRoot,
    workers: usize,
    stop: &StopToken,
    sender: Sender<Vec<Found>>,
) -> Result<ScanSums, Error> {
    // The threads share the first level only. It has up to 256 directories, which are about equally large because keys
    // are evenly distributed.
    let mut walker = Walker::new(root, stop, sender.clone());
    let mut shards = Vec::new();
    walker.list(&[], |shard| shards.push(shard))?;
    let mut sums = walker.finish();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let walkers = (0..workers.clamp(1, shards.len().max(1)))
            .map(|_| {
                let mut walker = Walker::new(root, stop, sender.clone());
                let (shards, next) = (&shards, &next);
                start_thread(scope, "haul-walk", move || {
                    while let Some(shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) {
                        walker.walk_shard(*shard);
                    }
                    walker.finish()
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        for walker in walkers {
            sums.merge(walker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        Ok(sums)
    })
}

/// One thread of a scan.
struct Walker<'a> {
    root: &'a SourceRoot,
    stop: &'a StopToken,
    sender: Sender<Vec<Found>>,
    found: Vec<Found>,
    sums: ScanSums,
    /// True if the receiver is gone, or a stop was requested.
    is_over: bool,
}

impl<'a> Walker<'a> {
    fn new(root: &'a SourceRoot, stop: &'a StopToken, sender: Sender<Vec<Found>>) -> Self {
        Self { root, stop, sender, found: Vec::new(), sums: ScanSums::default(), is_over: false }
    }

    fn finish(mut self) -> ScanSums {
        self.send();
        self.sums
    }

    fn walk_shard(&mut self, outer: Shard) {
        let mut inner = Vec::new();
        self.list_or_refuse(&[outer], |shard| inner.push(shard));
        for inner in inner {
            self.list_or_refuse(&[outer, inner], |_| {});
        }
    }

    /// Lists a directory. One that cannot be listed is refused as a whole, and the walk continues.
    fn list_or_refuse(&mut self, shards: &[Shard], on_shard: impl FnMut(Shard)) {
        if self.is_over {
            return;
        }
        if let Err(error) = self.list(shards, on_shard) {
            let path = below(self.root.objects(), shards);
            self.refuse(path, RefusalReason::Unreadable, unreadable_text(&error));
        }
    }

    /// Reads the names of one directory.
    fn list(&mut self, shards: &[Shard], mut on_shard: impl FnMut(Shard)) -> Result<(), DiskError> {
        let directory = below(self.root.objects(), shards);
        // The state is taken before the names are read, so that a change while they are read is noticed later.
        if let Some(identity) = source_identity(&directory)? {
            self.sums.directories.push(DirectoryState { shards: shards.to_vec(), identity });
        }
        for name in source_names(&directory)? {
            if self.is_over {
                return Ok(());
            }
            let name = name?;
            if let Err(error) = self.take(&directory, shards, &name, &mut on_shard) {
                self.refuse(directory.join(name.name()), RefusalReason::Unreadable, unreadable_text(&error));
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        directory: &Path,
        shards: &[Shard],
        name: &SourceName,
        on_shard: &mut impl FnMut(Shard),
    ) -> Result<(), DiskError> {
        let (text, kind) = (name.name(), name.kind()?);
        if let Some(location) = Location::new(shards, text.as_bytes()) {
            return self.take_object(location, kind, name);
        }
        let is_shard = shards.len() < 2 && shard(&text).is_some();
        match kind {
            SourceNameKind::Directory if is_shard => on_shard(shard(&text).expect("it is one")),
            SourceNameKind::Link if is_shard => {
                let text = "a symbolic link in place of a directory of objects; its target is not read".into();
                self.refuse(directory.join(name.name()), RefusalReason::NotAFile, text);
            }
            _ => match text.as_bytes().strip_suffix(b".meta").and_then(|stem| Location::new(shards, stem)) {
                Some(location) if kind == SourceNameKind::File => {
                    self.sums.sidecars += 1;
                    self.push(Found::Sidecar(location));
                }
                _ => {
                    self.sums.others += 1;
                    self.push(Found::Skipped { path: directory.join(&text), reason: skip_reason(&text) });
                }
            },
        }
        Ok(())
    }

    fn take_object(&mut self, location: Location, kind: SourceNameKind, name: &SourceName) -> Result<(), DiskError> {
        let kind = match kind {
            SourceNameKind::File => EntryKind::File,
            SourceNameKind::Directory => EntryKind::Directory,
            SourceNameKind::Link => EntryKind::Link,
            SourceNameKind::Other => EntryKind::Other,
        };
        // A file that is gone by now is refused when it is read.
        let identity = name.identity()?;
        let entry = Entry::new(location, kind, identity);
        self.sums.add_entry(&entry);
        self.push(Found::Object(entry));
        Ok(())
    }

    fn refuse(&mut self, path: PathBuf, reason: RefusalReason, text: String) {
        self.sums.others += 1;
        self.push(Found::Refused { path, reason, text });
    }

    fn push(&mut self, found: Found) {
        self.found.push(found);
        if self.found.len() >= FOUND_PER_MESSAGE {
            self.send();
        }
    }

    fn send(&mut self) {
        let found = std::mem::replace(&mut self.found, Vec::with_capacity(FOUND_PER_MESSAGE));
        let is_refused = !found.is_empty() && self.sender.send(found).is_err();
        self.is_over |= is_refused || self.stop.is_requested();
    }
}

/// Returns the directory with these shards.
fn below(objects: &Path, shards: &[Shard]) -> PathBuf {
    let mut path = objects.to_path_buf();
    path.extend(shards.iter().map(|shard| OsStr::from_bytes(shard)));
    path
}

/// Returns the system's error for a finding.
pub(in crate::cas) fn unreadable_text(error: &DiskError) -> String {
    format!("{error}: {}", error.source)
}

/// Returns why a name is not an object's.
pub(in crate::cas) fn skip_reason(name: &OsStr) -> SkipReason {
    let name = name.as_bytes();
    if name.starts_with(b".tmp_") || name.ends_with(b".tmp") {
        SkipReason::Temporary
    } else if name.ends_with(b".sig") {
        SkipReason::Signature
    } else if name == b"index.ndjson" {
        SkipReason::Index
    } else {
        SkipReason::Foreign
    }
}

#[cfg(test)]
mod tests;
