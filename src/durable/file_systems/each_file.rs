//! A disk on which a sync of the whole file system syncs every file and directory that was changed, one by one: for file
//! systems that are not synced as a whole.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::GroupSync;
use crate::durable::new_modes::NewModes;
use crate::durable::{
    AttributesNotKept, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem, DiskRoot,
    EntryKind, Link, LockGuard, LockReach, SourceFile, StopCheck, parent_of,
};

/// The paths that are remembered. When there are more, they are synced at once.
const CHANGED_MAX: usize = 16_384;

/// Returns the same disk if a sync of the file system of `directory` makes everything on it durable. If not, returns one
/// whose [`Disk::file_system`] does that: it remembers what is changed through it, and syncs each of these files and
/// directories. The directory, or one above it, must exist.
///
/// A file of a [`DiskRoot`] is not remembered: its users sync it by itself.
pub fn synced_by_file_if_needed(disk: Arc<dyn Disk>, directory: &Path) -> Result<Arc<dyn Disk>, DiskError> {
    let existing = directory.ancestors().find(|above| matches!(disk.kind(above), Ok(Some(EntryKind::Directory))));
    let group_sync = disk.file_system(existing.unwrap_or_else(|| parent_of(directory)))?.group_sync();
    Ok(match group_sync {
        GroupSync::Reaches => disk,
        GroupSync::HidesLosses | GroupSync::StaysHere(_) => {
            Arc::new(EachFile { disk, changed: Arc::default(), changed_max: CHANGED_MAX })
        }
    })
}

struct EachFile {
    disk: Arc<dyn Disk>,
    changed: Arc<Mutex<Changed>>,
    changed_max: usize,
}

/// What was changed and is not synced.
#[derive(Default)]
struct Changed {
    files: BTreeSet<PathBuf>,
    /// Those whose names were changed.
    directories: BTreeSet<PathBuf>,
    has_failed: bool,
}

impl Changed {
    fn forget_tree(&mut self, path: &Path) {
        take_tree(&mut self.files, path);
        take_tree(&mut self.directories, path);
    }

    /// Remembers what is below `from` as what is below `to`.
    fn rename(&mut self, from: &Path, to: &Path) {
        for set in [&mut self.files, &mut self.directories] {
            let renamed = take_tree(set, from);
            take_tree(set, to);
            set.extend(renamed.iter().map(|path| below(path, from, to)));
        }
    }

    fn exchange(&mut self, a: &Path, b: &Path) {
        for set in [&mut self.files, &mut self.directories] {
            let (of_a, of_b) = (take_tree(set, a), take_tree(set, b));
            set.extend(of_a.iter().map(|path| below(path, a, b)));
            set.extend(of_b.iter().map(|path| below(path, b, a)));
        }
    }
}

/// Removes a path and those below it from the set, and returns them.
fn take_tree(set: &mut BTreeSet<PathBuf>, top: &Path) -> Vec<PathBuf> {
    // The paths below come directly after the path itself: paths are compared name by name.
    let taken: Vec<_> = set.range(top.to_path_buf()..).take_while(|path| path.starts_with(top)).cloned().collect();
    taken.iter().for_each(|path| _ = set.remove(path));
    taken
}

fn below(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_path_buf(),
        Ok(rest) => to.join(rest),
        Err(_) => path.to_path_buf(),
    }
}

impl EachFile {
    /// Returns the same for another form of the disk.
    fn on(&self, disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        Arc::new(Self { disk, changed: self.changed.clone(), changed_max: self.changed_max })
    }

    fn file_changed(&self, path: &Path) {
        self.changed.lock().files.insert(path.to_path_buf());
    }

    /// Remembers that a name in its directory was changed.
    fn name_changed(&self, path: &Path) -> Result<(), DiskError> {
        let mut changed = self.changed.lock();
        changed.directories.insert(parent_of(path).to_path_buf());
        if changed.files.len() + changed.directories.len() <= self.changed_max {
            return Ok(());
        }
        drop(changed);
        sync_changed(&*self.disk, &self.changed)
    }

    /// Remembers what was below the old name below the new one. A file counts as changed: a sync that is under way may have
    /// taken it under the old name, and found nothing there.
    fn renamed(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.changed.lock().rename(from, to);
        if self.disk.kind(to)? == Some(EntryKind::File) {
            self.file_changed(to);
        }
        Ok(())
    }

    fn wrap(&self, file: Arc<dyn DiskFile>, path: &Path) -> Arc<dyn DiskFile> {
        Arc::new(RememberedFile { file, path: path.to_path_buf(), changed: self.changed.clone() })
    }
}

/// Syncs what was changed before the call.
fn sync_changed(disk: &dyn Disk, changed: &Mutex<Changed>) -> Result<(), DiskError> {
    let (files, directories) = {
        let mut changed = changed.lock();
        if changed.has_failed {
            let what = io::Error::other("an earlier sync of one of its files failed, bytes on it may be lost");
            return Err(DiskError::new("sync the files of", Path::new(""), what));
        }
        (std::mem::take(&mut changed.files), std::mem::take(&mut changed.directories))
    };
    let synced = files
        .iter()
        .try_for_each(|path| if_present(disk.open_for_read(path).and_then(|file| file.sync())))
        .and_then(|()| directories.iter().try_for_each(|path| if_present(disk.sync_directory(path))));
    synced.inspect_err(|_| changed.lock().has_failed = true)
}

/// Takes what is no longer there for synced: it was removed, and the directory that it was in is synced too.
fn if_present(synced: Result<(), DiskError>) -> Result<(), DiskError> {
    match synced {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

impl Disk for EachFile {
    fn is_system(&self) -> bool {
        self.disk.is_system()
    }

    fn limited(&self, modes: NewModes) -> Option<Arc<dyn Disk>> {
        self.disk.limited(modes).map(|disk| self.on(disk))
    }

    fn anchored(&self, directory: &Path, link: Link) -> Result<Option<Arc<dyn Disk>>, DiskError> {
        Ok(self.disk.anchored(directory, link)?.map(|disk| self.on(disk)))
    }

    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        let file = self.disk.create_file(path)?;
        self.file_changed(path);
        self.name_changed(path)?;
        Ok(self.wrap(file, path))
    }

    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        let (file, not_kept) = self.disk.create_file_like(path, like)?;
        self.file_changed(path);
        self.name_changed(path)?;
        Ok((self.wrap(file, path), not_kept))
    }

    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.write_new_file(path, bytes)?;
        self.file_changed(path);
        self.name_changed(path)
    }

    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        let method = self.disk.copy_new_file(source, target, means, stop)?;
        self.file_changed(target);
        self.name_changed(target)?;
        Ok(method)
    }

    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        self.disk.can_reflink(source, directory)
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(self.wrap(self.disk.open_file(path)?, path))
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.disk.open_for_read(path)
    }

    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.create_directory(path)?;
        self.name_changed(path)
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.changed.lock().directories.remove(path);
        self.disk.sync_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.disk.rename(from, to)?;
        self.renamed(from, to)?;
        self.name_changed(from)?;
        self.name_changed(to)
    }

    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.disk.rename_exclusive(from, to)?;
        self.renamed(from, to)?;
        self.name_changed(from)?;
        self.name_changed(to)
    }

    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError> {
        self.disk.exchange(a, b)?;
        self.changed.lock().exchange(a, b);
        self.name_changed(a)?;
        self.name_changed(b)
    }

    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError> {
        self.disk.hard_link(source, target)?;
        self.file_changed(target);
        self.name_changed(target)
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.remove_file(path)?;
        self.changed.lock().files.remove(path);
        self.name_changed(path)
    }

    fn remove_directory_tree(&self, path: &Path, stop: StopCheck<'_>) -> Result<(), DiskError> {
        self.disk.remove_directory_tree(path, stop)?;
        self.changed.lock().forget_tree(path);
        self.name_changed(path)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.disk.remove_directory(path)?;
        self.changed.lock().forget_tree(path);
        self.name_changed(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        self.disk.list(path)
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        self.disk.kind(path)
    }

    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        self.disk.mode(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError> {
        self.disk.set_mode(path, mode)?;
        self.file_changed(path);
        Ok(())
    }

    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        let whole = self.disk.file_system(path)?;
        Ok(Arc::new(FilesOfSystem { whole, disk: self.disk.clone(), changed: self.changed.clone() }))
    }

    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        self.disk.root(path)
    }

    fn can_rename_between(&self, a: &Path, b: &Path) -> Result<bool, DiskError> {
        self.disk.can_rename_between(a, b)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.disk.free_bytes(path)
    }

    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        self.disk.free_inodes(path)
    }

    fn lock_reach(&self, directory: &Path) -> Result<LockReach, DiskError> {
        self.disk.lock_reach(directory)
    }

    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        self.disk.try_lock(path, owner)
    }
}

/// The file system, synced file by file.
struct FilesOfSystem {
    whole: Arc<dyn DiskFileSystem>,
    disk: Arc<dyn Disk>,
    changed: Arc<Mutex<Changed>>,
}

impl DiskFileSystem for FilesOfSystem {
    fn sync(&self) -> Result<(), DiskError> {
        sync_changed(&*self.disk, &self.changed)?;
        // It finds little to write, and reports losses where it can.
        self.whole.sync()
    }

    fn group_sync(&self) -> GroupSync {
        self.whole.group_sync()
    }
}

/// A file whose changes are remembered.
struct RememberedFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    changed: Arc<Mutex<Changed>>,
}

impl RememberedFile {
    /// Remembers a change that was made: a sync between the two would forget it.
    fn remember(&self) {
        self.changed.lock().files.insert(self.path.clone());
    }
}

impl DiskFile for RememberedFile {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let written = self.file.write_all_at(offset, bytes);
        self.remember();
        written
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.file.read_exact_at(offset, buffer)
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        let set = self.file.set_len(len);
        self.remember();
        set
    }

    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.file.preallocate(offset, len)
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.file.start_writeback(offset, len);
    }

    fn sync(&self) -> Result<(), DiskError> {
        // Before the sync: what is written during it is remembered again.
        self.changed.lock().files.remove(&self.path);
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::contract::disk_contract;
    use crate::durable::{CrashFault, SimulatedDisk};

    fn disk() -> (SimulatedDisk, Arc<dyn Disk>) {
        let inner = SimulatedDisk::with_directories(&[Path::new("/top")]);
        inner.keep_syncs_from_medium(Path::new("/top"));
        let disk = synced_by_file_if_needed(Arc::new(inner.clone()), Path::new("/top/new/below")).unwrap();
        (inner, disk)
    }

    /// Returns what a loss of power leaves now.
    fn durable(disk: &SimulatedDisk) -> Vec<(PathBuf, Vec<u8>)> {
        disk.crash_image(disk.operations(), CrashFault::UnsyncedDropped).snapshot().into_iter().collect()
    }

    #[test]
    fn it_is_the_same_disk() {
        disk_contract(&*disk().1, Path::new("/top"));
    }

    #[test]
    fn a_file_system_that_is_synced_as_a_whole_needs_nothing() {
        let inner: Arc<dyn Disk> = Arc::new(SimulatedDisk::with_directories(&[Path::new("/top")]));
        assert!(Arc::ptr_eq(&inner, &synced_by_file_if_needed(inner.clone(), Path::new("/top")).unwrap()));
    }

    #[test]
    fn every_file_and_name_is_durable_after_a_sync_whatever_was_renamed_before() {
        let (inner, disk) = disk();
        let file_system = disk.file_system(Path::new("/top")).unwrap();
        let path = |name: &str| Path::new("/top").join(name);
        ["a", "a/b", "c"].iter().for_each(|name| disk.create_directory(&path(name)).unwrap());
        disk.write_new_file(&path("a/b/1"), b"1").unwrap();
        disk.create_file(&path("a/2")).unwrap().write_all_at(0, b"2").unwrap();
        disk.write_new_file(&path("a/gone"), b"").unwrap();
        disk.remove_file(&path("a/gone")).unwrap();
        disk.rename(&path("a/b/1"), &path("c/1")).unwrap();
        disk.exchange(&path("a"), &path("c")).unwrap();
        disk.rename(&path("c"), &path("d")).unwrap();
        disk.write_new_file(&path("linked"), b"3").unwrap();
        disk.hard_link(&path("linked"), &path("d/3")).unwrap();
        disk.set_mode(&path("linked"), 0o640).unwrap();
        assert_eq!(durable(&inner), []);
        file_system.sync().unwrap();
        let expected = [("a/1", "1"), ("d/2", "2"), ("d/3", "3"), ("linked", "3")];
        assert_eq!(durable(&inner), expected.map(|(name, bytes)| (path(name), bytes.into())));
        let operations = inner.operations();
        file_system.sync().unwrap();
        assert_eq!(inner.operations(), operations + 1, "nothing is synced twice");
    }

    #[test]
    fn a_file_that_gets_another_name_is_synced_under_it_in_any_case() {
        let inner = disk().0;
        let changed_max = CHANGED_MAX;
        let disk = EachFile { disk: Arc::new(inner.clone()), changed: Arc::default(), changed_max };
        let file_system = disk.file_system(Path::new("/top")).unwrap();
        let (old, new) = (Path::new("/top/old"), Path::new("/top/new"));
        disk.write_new_file(old, b"1").unwrap();
        // What a sync in another thread has taken, and has not come to yet.
        disk.changed.lock().files.clear();
        disk.rename(old, new).unwrap();
        file_system.sync().unwrap();
        assert_eq!(durable(&inner), [(new.to_path_buf(), b"1".to_vec())]);
    }

    #[test]
    fn what_was_synced_is_not_synced_again_and_a_later_change_is() {
        let (inner, disk) = disk();
        let file_system = disk.file_system(Path::new("/top")).unwrap();
        let path = Path::new("/top/file");
        let file = disk.create_file(path).unwrap();
        file.write_all_at(0, b"12").unwrap();
        file.sync().unwrap();
        disk.sync_directory(Path::new("/top")).unwrap();
        let operations = inner.operations();
        file_system.sync().unwrap();
        assert_eq!(inner.operations(), operations + 1);
        file.write_all_at(2, b"3").unwrap();
        file_system.sync().unwrap();
        assert_eq!(durable(&inner), [(path.to_path_buf(), b"123".to_vec())]);
    }

    #[test]
    fn a_failed_sync_is_final() {
        let (inner, disk) = disk();
        let file_system = disk.file_system(Path::new("/top")).unwrap();
        disk.write_new_file(Path::new("/top/file"), b"x").unwrap();
        inner.fail_operation(0, crate::durable::InjectedFault::FailedSync);
        file_system.sync().unwrap_err();
        assert!(file_system.sync().unwrap_err().source.to_string().contains("earlier sync"));
    }

    #[test]
    fn no_more_is_remembered_than_fits() {
        let (inner, _) = disk();
        let disk = EachFile { disk: Arc::new(inner.clone()), changed: Arc::default(), changed_max: 3 };
        ["1", "2"].iter().for_each(|name| disk.write_new_file(&Path::new("/top").join(name), b"x").unwrap());
        assert_eq!(durable(&inner), []);
        disk.write_new_file(Path::new("/top/3"), b"x").unwrap();
        assert_eq!(durable(&inner).len(), 3);
    }
}
