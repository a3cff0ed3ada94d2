//! The walk through a store: finds every object and every other name, in memory that does not grow with their number.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Sender, bounded};

use super::inventory::{Entry, EntryKind};
use super::location::{Location, Shard, shard};
use super::root::SourceRoot;
use crate::cas::format::key::KEY_TEXT_BYTES;
use crate::cas::outcome::{RefusalReason, SkipReason};
use crate::durable::{
    DiskError, FaultClass, IN_A_ROW_MAX, MediumFaults, SourceIdentity, SourceName, SourceNameKind, read_again,
    source_identity, source_names,
};
use crate::migration::Error;
use crate::pipeline::{Control, Expected, Phase, StopToken, start_thread};

/// Names in one message between the threads of a scan.
const FOUND_PER_MESSAGE: usize = 512;
/// What a file system gives to a file at once.
const BLOCK_BYTES: u64 = 4096;
/// Names between two events.
const FOUND_PER_EVENT: u64 = 1024;
/// Endings of files that are about an object and not its bytes.
const OF_OTHERS: [&[u8]; 6] = [b".meta", b".json", b".ndjson", b".txt", b".log", b".lock"];
/// Levels of a foreign directory that are searched for names like those of objects.
const FOREIGN_DEPTH_MAX: usize = 8;
/// The beginning of the text about something that the system does not return.
pub(super) const UNREADABLE: &str = "cannot ";

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
    /// The same in whole blocks of each.
    pub object_block_bytes: u64,
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

    /// Returns true if this is one of the directories that contain the objects.
    pub fn has_directory(&self, device: u64, inode: u64) -> bool {
        self.directories
            .iter()
            .any(|directory| (directory.identity.device, directory.identity.inode) == (device, inode))
    }

    fn add_entry(&mut self, entry: &Entry) {
        self.objects += 1;
        self.object_bytes += entry.len_bytes;
        self.object_block_bytes += entry.len_bytes.next_multiple_of(BLOCK_BYTES);
        self.shapes[entry.location.shape() as usize] += 1;
        let digest = blake3::hash(&entry.bytes());
        for (lane, bytes) in self.lanes.iter_mut().zip(digest.as_bytes().as_chunks::<8>().0) {
            *lane = lane.wrapping_add(u64::from_le_bytes(*bytes));
        }
    }

    fn merge(&mut self, other: Self) {
        self.objects += other.objects;
        self.object_bytes += other.object_bytes;
        self.object_block_bytes += other.object_block_bytes;
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
    let faults = ScanFaults::default();
    let mut walker = Walker::new(root, stop, &faults, sender.clone());
    let mut shards = Vec::new();
    let (identity, names) = open_names(root.objects())?;
    walker.list(root.objects(), &[], identity, names, |shard| shards.push(shard))?;
    if root.objects() != root.path() {
        walker.look_around_objects()?;
    }
    let mut sums = walker.finish();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let walkers = (0..workers.clamp(1, shards.len().max(1)))
            .map(|_| {
                let mut walker = Walker::new(root, stop, &faults, sender.clone());
                let (shards, next) = (&shards, &next);
                start_thread(scope, "haul-walk", move || {
                    while let Some(shard) = shards.get(next.fetch_add(1, Ordering::Relaxed)) {
                        walker.walk_shard(*shard)?;
                    }
                    Ok(walker.finish())
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let joined = walkers.into_iter().map(|walker| walker.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
        // All of them are joined before the first error is returned.
        for walked in joined.collect::<Vec<Result<ScanSums, DiskError>>>() {
            sums.merge(walked?);
        }
        Ok::<_, Error>(())
    })?;
    faults.check(root, sums.objects)?;
    Ok(sums)
}

/// What the threads of a scan know of the medium together.
#[derive(Default)]
struct ScanFaults {
    /// Names that could not be looked up because of the medium.
    found: AtomicU64,
    /// True if the scan has failed.
    is_failed: AtomicBool,
}

impl ScanFaults {
    /// Fails if so many names could not be looked up that the device is at fault, or if the device is gone by now.
    fn check(&self, root: &SourceRoot, objects: u64) -> Result<(), DiskError> {
        let found = self.found.load(Ordering::Relaxed);
        if found > MediumFaults::max_of(objects) {
            let error = std::io::Error::from_raw_os_error(libc::EIO);
            return Err(DiskError::new("look up many names in", root.objects(), error));
        }
        if found > 0 && source_identity(root.objects())?.is_none() {
            return Err(vanished(root.objects()));
        }
        Ok(())
    }
}

/// Opens a directory and returns its state and its names.
fn open_names(
    directory: &Path,
) -> Result<(SourceIdentity, impl Iterator<Item = Result<SourceName, DiskError>>), DiskError> {
    // The state is taken before the names are read, so that a change while they are read is noticed later.
    let identity = read_again(|| source_identity(directory))?.ok_or_else(|| vanished(directory))?;
    Ok((identity, read_again(|| source_names(directory))?))
}

/// Returns the error for a directory that was there a moment ago. Its objects cannot all be gone.
fn vanished(directory: &Path) -> DiskError {
    DiskError::new("list source directory", directory, ErrorKind::NotFound.into())
}

/// One thread of a scan.
struct Walker<'a> {
    root: &'a SourceRoot,
    stop: &'a StopToken,
    faults: &'a ScanFaults,
    /// Names in a row that could not be looked up because of the medium.
    faults_in_a_row: u64,
    /// Directories that are not looked into for objects, but for names like theirs.
    foreign: Vec<PathBuf>,
    sender: Sender<Vec<Found>>,
    found: Vec<Found>,
    sums: ScanSums,
    /// True if the receiver is gone, or a stop was requested.
    is_over: bool,
}

impl<'a> Walker<'a> {
    fn new(root: &'a SourceRoot, stop: &'a StopToken, faults: &'a ScanFaults, sender: Sender<Vec<Found>>) -> Self {
        let (found, sums) = (Vec::new(), ScanSums::default());
        Self { root, stop, faults, faults_in_a_row: 0, foreign: Vec::new(), sender, found, sums, is_over: false }
    }

    fn finish(mut self) -> ScanSums {
        self.send();
        self.sums
    }

    /// Refuses names like those of objects next to the directory of objects.
    fn look_around_objects(&mut self) -> Result<(), DiskError> {
        for name in read_again(|| source_names(self.root.path()))? {
            if self.is_over {
                return Ok(());
            }
            let name = name?;
            let path = self.root.path().join(name.name());
            if looks_like_an_object(&path) {
                self.take_other(path, SourceNameKind::File);
            } else if shard(&name.name()).is_some() && name.kind()? == SourceNameKind::Directory {
                self.foreign.push(path);
            }
        }
        self.search_foreign()
    }

    fn walk_shard(&mut self, outer: Shard) -> Result<(), DiskError> {
        let mut inner = Vec::new();
        self.list_or_refuse(&[outer], |shard| inner.push(shard))?;
        inner.into_iter().try_for_each(|inner| self.list_or_refuse(&[outer, inner], |_| {}))
    }

    /// Lists a directory. One that may not be listed is refused as a whole, and the walk continues. Any other error ends
    /// it: nobody knows how many objects are in a directory that is gone or cannot be read.
    fn list_or_refuse(&mut self, shards: &[Shard], on_shard: impl FnMut(Shard)) -> Result<(), DiskError> {
        if self.is_over || self.faults.is_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let directory = below(self.root.objects(), shards);
        let result = match open_names(&directory) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.refuse(directory.clone(), RefusalReason::Unreadable, unreadable_text(&error));
                Ok(())
            }
            Err(error) => Err(error),
            Ok((identity, names)) => self.list(&directory, shards, identity, names, on_shard),
        };
        self.faults.is_failed.fetch_or(result.is_err(), Ordering::Relaxed);
        result
    }

    /// Reads the names of one directory.
    fn list(
        &mut self,
        directory: &Path,
        shards: &[Shard],
        identity: SourceIdentity,
        names: impl Iterator<Item = Result<SourceName, DiskError>>,
        mut on_shard: impl FnMut(Shard),
    ) -> Result<(), DiskError> {
        self.sums.directories.push(DirectoryState { shards: shards.to_vec(), identity });
        for name in names {
            if self.is_over {
                return Ok(());
            }
            let name = name?;
            match read_again(|| self.take(directory, shards, &name, &mut on_shard)) {
                Ok(()) => self.faults_in_a_row = 0,
                Err(error) => self.refuse_name(directory.join(name.name()), error)?,
            }
        }
        self.search_foreign()
    }

    /// Refuses a name that cannot be looked up, unless that is the device's fault.
    fn refuse_name(&mut self, path: PathBuf, error: DiskError) -> Result<(), DiskError> {
        match error.fault_class() {
            FaultClass::Run => return Err(error),
            FaultClass::Medium if self.faults_in_a_row == IN_A_ROW_MAX => return Err(error),
            FaultClass::Medium => {
                self.faults_in_a_row += 1;
                self.faults.found.fetch_add(1, Ordering::Relaxed);
            }
            FaultClass::Item => {}
        }
        self.refuse(path, RefusalReason::Unreadable, unreadable_text(&error));
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
                _ => self.take_other(directory.join(&text), kind),
            },
        }
        Ok(())
    }

    /// Takes a name that is not an object's. One that looks like an object is refused, because it may well be one: a file
    /// system or a copy has changed the case, or there is a level more than in any layout.
    fn take_other(&mut self, path: PathBuf, kind: SourceNameKind) {
        if looks_like_an_object(&path) {
            let text = "it looks like an object, but not in a spelling or at a depth that any generation has".into();
            return self.refuse(path, RefusalReason::Unidentified, text);
        }
        self.sums.others += 1;
        if kind == SourceNameKind::Directory {
            self.foreign.push(path.clone());
        }
        let reason = skip_reason(path.file_name().unwrap_or_default());
        self.push(Found::Skipped { path, reason });
    }

    /// Looks for names like those of objects in the foreign directories that were found.
    fn search_foreign(&mut self) -> Result<(), DiskError> {
        let is_bare = self.root.objects() == self.root.path();
        let mut pending: Vec<_> = std::mem::take(&mut self.foreign).into_iter().map(|path| (path, 1)).collect();
        while let Some((directory, depth)) = pending.pop() {
            let names = match read_again(|| source_names(&directory)) {
                // It is a foreign name all the same.
                Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound) => continue,
                names => names?,
            };
            for name in names {
                // Nothing is found for most names here, so nothing is sent either.
                self.is_over |= self.stop.is_requested();
                if self.is_over {
                    return Ok(());
                }
                let name = name?;
                let path = directory.join(name.name());
                if looks_like_an_object(&path) {
                    self.take_other(path, SourceNameKind::File);
                    continue;
                }
                // A store of its own next to bare objects is migrated separately.
                let is_searched = depth < FOREIGN_DEPTH_MAX && !(is_bare && name.name() == "objects");
                if is_searched && name.kind()? == SourceNameKind::Directory {
                    pending.push((path, depth + 1));
                }
            }
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

/// Returns true for a name of 64 hex digits in any case, with or without a dot or the name of an algorithm before it and an
/// ending after it, and for one of 62 in a directory whose name has the other two.
fn looks_like_an_object(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    if skip_reason(name) != SkipReason::Foreign {
        return false;
    }
    let name = name.as_bytes();
    let name = name.strip_prefix(b".").unwrap_or(name);
    let above = path.parent().and_then(Path::file_name).unwrap_or_default().as_bytes();
    let has_shard = above.len() == 2 && above.iter().all(u8::is_ascii_hexdigit);
    let is_key = |text: &[u8]| {
        let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let is_whole = digits == KEY_TEXT_BYTES || digits == KEY_TEXT_BYTES - 2 && has_shard;
        is_whole && is_ending_of_an_object(&text[digits..])
    };
    let prefixed = name.iter().position(|byte| matches!(byte, b':' | b'-' | b'_'));
    let prefixed = prefixed.filter(|&at| name[..at].iter().all(u8::is_ascii_alphanumeric));
    is_key(name) || prefixed.is_some_and(|at| is_key(&name[at + 1..]))
}

/// Returns true if a name that begins with a key may end so and be that of an object. Sidecars and documents about an
/// object do not.
fn is_ending_of_an_object(ending: &[u8]) -> bool {
    let is_about = OF_OTHERS.iter().any(|other| ending.to_ascii_lowercase().ends_with(other));
    !is_about && ending.first().is_none_or(|byte| !byte.is_ascii_alphanumeric())
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
