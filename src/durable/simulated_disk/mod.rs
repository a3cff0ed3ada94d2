//! A disk in memory that records every change and can show what a crash would have left.
//!
//! A file has the bytes of its last sync and the changes since. A directory has the names of its last sync; later
//! changes of names wait, in order, for a sync of the directory in which they were made: a rename between two
//! directories waits for the target's, an exchange for both. A sync of a file makes its bytes durable, never its name.
//! A file with two names is one file: its bytes are the same under both, and each name waits for its own directory.
//! Permission bits become durable with a sync of the file system, or with one of the file if its length changed after
//! them, as with `fdatasync`. A sync of a file system makes everything on it durable at once, and nothing on another one.
//! Most file systems guarantee more than that, but haul must not rely on more.
//!
//! A failed sync loses everything that it should have made durable. Every open handle of such a file, and every handle
//! of its file system that was requested before, fails at its next sync and at all later ones.
//!
//! A disk has one file system, unless directories are declared to be the roots of others. No name can be moved from one
//! to another, and no file has names on two.

mod crash;
mod file_node;
#[cfg(test)]
mod file_system_tests;
mod files;
#[cfg(test)]
mod link_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod mount_tests;
mod root;
mod state;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

pub use crash::CrashFault;
pub use state::InjectedFault;

use super::{
    AttributesNotKept, ClaimTimes, CopyMeans, CopyMethod, Disk, DiskEntry, DiskError, DiskFile, DiskFileSystem,
    DiskRoot, EntryKind, LockGuard, LockReach, SourceFile, StopCheck, copy,
};
use crash::settle;
use file_node::NEW_FILE_MODE;
use files::{SimulatedFile, SimulatedFileSystem, SimulatedLock};
use root::SimulatedRoot;
use state::{HostId, State};
use tree::{Effect, Tree};

/// A disk in memory, for tests of crashes and of failing operations. Paths are absolute. Clones share the disk.
#[derive(Clone)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
    /// Whose locks are taken.
    host: HostId,
}

impl SimulatedDisk {
    /// Creates a disk with an empty root directory.
    pub fn new() -> Self {
        Self::from_tree(Tree::new())
    }

    /// Creates a disk with these directories and their parents, all durable.
    pub fn with_directories(paths: &[&Path]) -> Self {
        let disk = Self::new();
        paths.iter().for_each(|path| _ = disk.state.lock().install_directories(path));
        disk
    }

    fn from_tree(tree: Tree) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(tree))), host: 0 }
    }

    /// Makes a directory the root of another file system, as if that were mounted there. The directory is created if it
    /// is absent; what is already in it is on the new file system.
    ///
    /// # Panics
    ///
    /// After the first operation.
    pub fn mount(&self, directory: &Path) {
        self.state.lock().divide(directory);
    }

    /// Makes syncs of the whole file system that contains `path` do nothing, as on FUSE. Syncs of files and directories
    /// there keep their effect.
    ///
    /// # Panics
    ///
    /// After the first operation, and if there is nothing at the path.
    pub fn keep_syncs_from_medium(&self, path: &Path) {
        self.state.lock().keep_syncs_from_medium(path);
    }

    /// Returns the same disk as another host sees it that the locks of this one do not reach.
    pub fn on_another_host(&self) -> Self {
        let mut state = self.state.lock();
        state.hosts += 1;
        Self { state: self.state.clone(), host: state.hosts }
    }

    /// Makes a file immutable, or no longer so: it cannot change, and can neither get nor lose a name.
    ///
    /// # Panics
    ///
    /// If there is no file at the path.
    pub fn set_immutable(&self, path: &Path, is_immutable: bool) {
        self.state.lock().set_immutable(path, is_immutable);
    }

    /// Adds a durable file and its parent directories without recording that.
    ///
    /// # Panics
    ///
    /// After the first operation, and if something exists at the path, because it is meant for the initial state only.
    pub fn install_file(&self, path: &Path, bytes: &[u8]) {
        self.state.lock().install_file(path, bytes);
    }

    /// Returns the number of recorded operations that changed the disk.
    pub fn operations(&self) -> usize {
        self.state.lock().log.len()
    }

    /// Describes operation `index`, counted from 0, for messages.
    pub fn operation_label(&self, index: usize) -> String {
        self.state.lock().log.get(index).map_or_else(|| "no operation".into(), |operation| operation.label.clone())
    }

    /// Returns the disk as it is found after a crash directly after the first `after_operations` recorded operations: a
    /// new disk, all of it durable, with nothing recorded, no lock held and no fault pending.
    pub fn crash_image(&self, after_operations: usize, fault: CrashFault) -> Self {
        let state = self.state.lock();
        let mut tree = state.initial.clone();
        state.log.iter().take(after_operations).for_each(|operation| tree.apply(&operation.effect));
        Self::from_tree(settle(&tree, fault))
    }

    /// Returns the [`crash_image`](Self::crash_image) at every boundary, from no operation to all, with only one
    /// replay.
    pub fn crash_images(&self, fault: CrashFault) -> impl Iterator<Item = Self> + use<> {
        let state = self.state.lock();
        let mut tree = state.initial.clone();
        let effects: Vec<Effect> = state.log.iter().map(|operation| operation.effect.clone()).collect();
        let first = std::iter::once(Self::from_tree(settle(&tree, fault)));
        first.chain(effects.into_iter().map(move |effect| {
            tree.apply(&effect);
            Self::from_tree(settle(&tree, fault))
        }))
    }

    /// Returns the disk as it is found after the process was killed directly after the first `after_operations`
    /// recorded operations: everything is there, but nothing more is durable, so a later loss of power can still take
    /// it.
    pub fn kill_image(&self, after_operations: usize) -> Self {
        let state = self.state.lock();
        let mut tree = state.initial.clone();
        state.log.iter().take(after_operations).for_each(|operation| tree.apply(&operation.effect));
        Self::from_tree(tree)
    }

    /// Makes one operation fail, once: the next one that changes the disk if `n` is 0, else the n-th after that.
    pub fn fail_operation(&self, n: usize, kind: InjectedFault) {
        self.state.lock().fault = Some((n, kind));
    }

    /// Returns true while a fault requested with [`fail_operation`](Self::fail_operation) is still pending.
    pub fn fault_is_pending(&self) -> bool {
        self.state.lock().fault.is_some()
    }

    /// Limits the total bytes of all files on the root's file system; a write beyond that is a `StorageFull` error.
    pub fn set_capacity(&self, bytes: u64) {
        self.set_capacity_at(Path::new("/"), bytes);
    }

    /// Limits the total bytes of all files on the file system that contains `path`.
    ///
    /// # Panics
    ///
    /// If there is nothing at the path.
    pub fn set_capacity_at(&self, path: &Path, bytes: u64) {
        self.state.lock().set_capacity(path, bytes);
    }

    /// Returns all files that are visible, with their bytes.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state.lock();
        let bytes = |file| Vec::clone(&state.tree.file(file).cached);
        state.tree.file_names().into_iter().map(|(path, file)| (path, bytes(file))).collect()
    }

    fn open(&self, operation: &'static str, path: &Path, is_writable: bool) -> Result<Arc<dyn DiskFile>, DiskError> {
        let node = self.state.lock().find_file(path).map_err(|e| DiskError::new(operation, path, e))?;
        Ok(Arc::new(SimulatedFile::new(self.state.clone(), node, path, is_writable)))
    }
}

impl Default for SimulatedDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk for SimulatedDisk {
    fn is_system(&self) -> bool {
        false
    }

    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        let node = self.state.lock().create_file(path).map_err(|e| DiskError::new("create file", path, e))?;
        Ok(Arc::new(SimulatedFile::new(self.state.clone(), node, path, true)))
    }

    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        let mode = self.mode(like)?;
        let file = self.create_file(path)?;
        if mode != NEW_FILE_MODE
            && let Err(error) = self.set_mode(path, mode)
        {
            self.remove_file(path)?;
            return Err(error);
        }
        Ok((file, AttributesNotKept::default()))
    }

    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.state.lock().write_new_file(path, bytes).map_err(|e| DiskError::new("write new file", path, e))
    }

    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        _means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        let file = self.create_file(target)?;
        copy::read_through(source, stop, |offset, piece| file.write_all_at(offset, piece))?;
        Ok(CopyMethod::ReadWrite)
    }

    fn can_reflink(&self, _source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        self.list(directory).map(|_| false)
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.open("open file", path, true)
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.open("open file for reading", path, false)
    }

    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.state.lock().create_directory(path).map_err(|e| DiskError::new("create directory", path, e))
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.state.lock().sync_directory(path).map_err(|e| DiskError::new("sync directory", path, e))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.state.lock().rename(from, to, true).map_err(|e| DiskError::new("rename", from, e))
    }

    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.state.lock().rename(from, to, false).map_err(|e| DiskError::new("rename without replacing", from, e))
    }

    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError> {
        self.state.lock().exchange(a, b).map_err(|e| DiskError::new("exchange", a, e))
    }

    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError> {
        self.state.lock().hard_link(source, target).map_err(|e| DiskError::new("create hard link", target, e))
    }

    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.state.lock().remove_file(path).map_err(|e| DiskError::new("remove file", path, e))
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.state.lock().remove_directory(path).map_err(|e| DiskError::new("remove directory", path, e))
    }

    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        self.state.lock().list(path).map_err(|e| DiskError::new("list directory", path, e))
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        self.state.lock().kind(path).map_err(|e| DiskError::new("look up", path, e))
    }

    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        self.state.lock().mode(path).map_err(|e| DiskError::new("look up the mode of", path, e))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError> {
        self.state.lock().set_mode(path, mode).map_err(|e| DiskError::new("set the mode of", path, e))
    }

    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        Ok(Arc::new(SimulatedFileSystem::open(&self.state, path)?))
    }

    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        Ok(Arc::new(SimulatedRoot::new(self.state.clone(), path)?))
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.state.lock().free_bytes(path).map_err(|e| DiskError::new("measure free space at", path, e))
    }

    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        self.free_bytes(path).map(|_| None)
    }

    fn lock_reach(&self, _directory: &Path) -> Result<LockReach, DiskError> {
        let at_once = ClaimTimes { settle: Duration::ZERO, relied_on: Duration::ZERO };
        Ok(if self.state.lock().hosts == 0 { LockReach::EveryHost } else { LockReach::ThisHost(at_once) })
    }

    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        let answer = self.state.lock().try_lock(self.host, path, owner).map_err(|e| DiskError::new("lock", path, e))?;
        Ok(answer.map(|node| LockGuard(Box::new(SimulatedLock { state: self.state.clone(), lock: (self.host, node) }))))
    }
}
