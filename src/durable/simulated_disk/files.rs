//! Open files and locks of a simulated disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::file_node::Change;
use super::state::{HostId, State};
use super::tree::{FileSystemId, NodeId};
use crate::durable::{DiskError, DiskFile, DiskFileSystem, GroupSync};

pub(super) struct SimulatedFile {
    state: Arc<Mutex<State>>,
    node: NodeId,
    path: PathBuf,
    is_writable: bool,
    /// The number of losses of the disk when the file was opened.
    losses_before: u64,
    sync_failed: AtomicBool,
}

impl SimulatedFile {
    pub(super) fn new(state: Arc<Mutex<State>>, node: NodeId, path: &Path, is_writable: bool) -> Self {
        let losses_before = state.lock().tree.losses;
        let path = path.to_path_buf();
        Self { state, node, path, is_writable, losses_before, sync_failed: AtomicBool::new(false) }
    }

    fn run<T>(&self, operation: &'static str, body: impl FnOnce(&mut State) -> io::Result<T>) -> Result<T, DiskError> {
        body(&mut self.state.lock()).map_err(|e| DiskError::new(operation, &self.path, e))
    }

    fn check_writable(&self) -> io::Result<()> {
        if !self.is_writable {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        self.check_sync()
    }

    fn check_sync(&self) -> io::Result<()> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier sync of this file failed, its bytes may be lost"));
        }
        Ok(())
    }
}

impl DiskFile for SimulatedFile {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.run("write", |state| {
            self.check_writable()?;
            state.change(&self.path, self.node, Change::Write { offset, bytes: bytes.into() })
        })
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.run("read", |state| {
            let content = &state.tree.file(self.node).cached;
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let bytes = content.get(start..start.saturating_add(buffer.len()));
            buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        })
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.run("measure", |state| Ok(state.tree.file(self.node).cached.len() as u64))
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.run("set the length of", |state| {
            self.check_writable()?;
            state.change(&self.path, self.node, Change::SetLen(len))
        })
    }

    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.run("preallocate", |state| state.preallocate(&self.path, self.node, offset, len))
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn sync(&self) -> Result<(), DiskError> {
        self.run("sync", |state| {
            self.check_sync()?;
            if state.tree.file(self.node).last_loss > self.losses_before {
                self.sync_failed.store(true, Ordering::Release);
                return Err(io::Error::from_raw_os_error(libc::EIO));
            }
            state.sync(&self.path, self.node).inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
        })
    }
}

/// One file system of the disk.
pub(super) struct SimulatedFileSystem {
    state: Arc<Mutex<State>>,
    id: FileSystemId,
    path: PathBuf,
    /// The number of losses of the disk when the file system was requested.
    losses_before: u64,
    sync_failed: AtomicBool,
}

impl SimulatedFileSystem {
    /// Opens the file system that contains the directory `path`.
    pub(super) fn open(state: &Arc<Mutex<State>>, path: &Path) -> Result<Self, DiskError> {
        let (id, losses_before) = {
            let state = state.lock();
            let find = || state.tree.find(path).and_then(|node| state.tree.names(node).map(|_| node));
            let node = find().map_err(|e| DiskError::new("open the file system of", path, e))?;
            (state.tree.file_system(node), state.tree.losses)
        };
        let path = path.to_path_buf();
        Ok(Self { state: state.clone(), id, path, losses_before, sync_failed: AtomicBool::new(false) })
    }

    fn sync_all(&self, state: &mut State) -> io::Result<()> {
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(io::Error::other("an earlier sync of this file system failed, bytes on it may be lost"));
        }
        if state.tree.last_loss(self.id) > self.losses_before {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        state.sync_all(self.id)
    }
}

impl DiskFileSystem for SimulatedFileSystem {
    fn sync(&self) -> Result<(), DiskError> {
        self.sync_all(&mut self.state.lock()).map_err(|e| {
            self.sync_failed.store(true, Ordering::Release);
            DiskError::new("sync the file system of", &self.path, e)
        })
    }

    fn group_sync(&self) -> GroupSync {
        match self.state.lock().tree.not_synced_as_a_whole.contains(&self.id) {
            true => GroupSync::StaysHere(None),
            false => GroupSync::Reaches,
        }
    }
}

pub(super) struct SimulatedLock {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) lock: (HostId, NodeId),
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.state.lock().locked.remove(&self.lock);
    }
}
