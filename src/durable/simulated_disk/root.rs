//! A tree of the simulated disk, below one of its directories.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::file_node::{Change, NEW_FILE_MODE};
use super::files::SimulatedFileSystem;
use super::state::State;
use crate::durable::error::TooLong;
use crate::durable::root::{DiskRoot, FileState, FreeSpace, Model, Obstacle, ReadRoot, RootDirectory, TakePiece};
use crate::durable::source::faults::{SourceOperation, check};
use crate::durable::{AttributesNotKept, DiskError, DiskFileSystem, EntryKind, SourceNameKind};

pub(super) struct SimulatedRoot {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl SimulatedRoot {
    pub(super) fn new(state: Arc<Mutex<State>>, path: &Path) -> Result<Self, DiskError> {
        let root = Self { state, path: path.to_path_buf() };
        root.run("open directory", Path::new(""), |state, path| state.list(path).map(|_| ()))?;
        Ok(root)
    }

    fn run<T>(
        &self,
        operation: &'static str,
        relative: &Path,
        body: impl FnOnce(&mut State, &Path) -> io::Result<T>,
    ) -> Result<T, DiskError> {
        let path = self.path.join(relative);
        let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let result = match is_plain {
            true => body(&mut self.state.lock(), &path),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it leads out of the tree")),
        };
        result.map_err(|e| DiskError::new(operation, &path, e))
    }
}

impl ReadRoot for SimulatedRoot {
    fn path(&self) -> &Path {
        &self.path
    }

    fn read_file(&self, file: &Path, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<FileState, DiskError> {
        self.run("read", file, |state, path| {
            check(SourceOperation::Open, path)?;
            check(SourceOperation::Read, path)?;
            let node = state.find_file(path).map_err(|e| match e.kind() {
                io::ErrorKind::IsADirectory => io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"),
                _ => e,
            })?;
            let content = state.tree.file(node).cached.clone();
            TooLong::check(content.len() as u64, limit_bytes)?;
            buffer.clear();
            buffer.extend_from_slice(&content);
            file_state(state, path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn read_pieces(&self, file: &Path, take: &mut TakePiece<'_>) -> Result<(), DiskError> {
        let mut bytes = Vec::new();
        self.read_file(file, u64::MAX, &mut bytes)?;
        let _ = take(&bytes);
        Ok(())
    }

    fn file_state(&self, file: &Path) -> Result<Option<FileState>, DiskError> {
        self.run("look up", file, |state, path| {
            check(SourceOperation::Stat, path)?;
            file_state(state, path)
        })
    }

    fn names(&self, directory: &Path, visit: &mut dyn FnMut(&OsStr, SourceNameKind)) -> Result<(), DiskError> {
        let entries = self.run("list", directory, |state, path| {
            check(SourceOperation::List, path)?;
            state.list(path)
        })?;
        for entry in entries {
            let kind = match entry.kind {
                EntryKind::File => SourceNameKind::File,
                EntryKind::Directory => SourceNameKind::Directory,
                EntryKind::Other => SourceNameKind::Other,
            };
            visit(&entry.name, kind);
        }
        Ok(())
    }

    fn obstacle(&self, file: &Path) -> Result<Option<Obstacle>, DiskError> {
        self.run("ask for access to", file, |state, path| {
            let entry = state.tree.find(path)?;
            Ok(state.immutable.contains(&entry).then_some(Obstacle::FixedFile))
        })
    }

    fn free_space(&self, directory: &Path) -> Result<FreeSpace, DiskError> {
        self.run("measure free space at", directory, |state, path| {
            state.list(path)?;
            Ok(FreeSpace { bytes: state.free_bytes(path)?, inodes: None, names_take_inodes: false })
        })
    }
}

/// The node number serves as the inode. The bytes are hashed into the time, so that a change of the bytes changes the
/// time.
fn file_state(state: &State, path: &Path) -> io::Result<Option<FileState>> {
    if state.kind(path)? != Some(EntryKind::File) {
        return Ok(None);
    }
    let node = state.find_file(path)?;
    let file = state.tree.file(node);
    let digest = blake3::hash(&file.cached);
    let modified = digest.as_bytes().first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
    Ok(Some(FileState {
        len_bytes: file.cached.len() as u64,
        modified_secs: modified,
        modified_nanos: 0,
        file_system: state.tree.file_system(node) as u64,
        inode: node as u64,
        links: state.tree.file_names().into_iter().filter(|(_, other)| *other == node).count() as u64,
        mode: file.cached_mode,
        uid: 0,
        gid: 0,
    }))
}

impl DiskRoot for SimulatedRoot {
    fn open_directory(&self, directory: &Path) -> Result<Box<dyn RootDirectory>, DiskError> {
        self.run("open directory", directory, |state, path| state.list(path).map(|_| ()))?;
        Ok(Box::new(SimulatedDirectory(Self { state: self.state.clone(), path: self.path.join(directory) })))
    }
}

struct SimulatedDirectory(SimulatedRoot);

impl RootDirectory for SimulatedDirectory {
    fn read_file(&self, name: &OsStr, limit_bytes: u64, buffer: &mut Vec<u8>) -> Result<FileState, DiskError> {
        self.0.read_file(name.as_ref(), limit_bytes, buffer)
    }

    fn file_state(&self, name: &OsStr) -> Result<Option<FileState>, DiskError> {
        self.0.file_state(name.as_ref())
    }

    fn write_new_file(
        &self,
        name: &OsStr,
        bytes: &[u8],
        model: Model<'_>,
        synced: bool,
    ) -> Result<AttributesNotKept, DiskError> {
        let model_path = self.0.path.join(model.name);
        self.0.run("write new file", name.as_ref(), |state, path| {
            let mode = model.mode.map_or_else(|| state.mode(&model_path), Ok)?;
            let node = state.create_file(path)?;
            if mode != NEW_FILE_MODE {
                state.change(path, node, Change::SetMode(mode))?;
            }
            state.change(path, node, Change::Write { offset: 0, bytes: bytes.into() })?;
            if synced {
                state.sync(path, node)?;
            }
            Ok(AttributesNotKept::default())
        })
    }

    fn hard_link(&self, name: &OsStr, second: &OsStr) -> Result<(), DiskError> {
        let second_path = self.0.path.join(second);
        self.0.run("create hard link", name.as_ref(), |state, path| state.hard_link(path, &second_path))
    }

    fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), DiskError> {
        let to = self.0.path.join(to);
        self.0.run("rename", from.as_ref(), |state, path| state.rename(path, &to, true))
    }

    fn rename_exclusive(&self, from: &OsStr, to: &OsStr) -> Result<(), DiskError> {
        let to = self.0.path.join(to);
        self.0.run("rename without replacing", from.as_ref(), |state, path| state.rename(path, &to, false))
    }

    fn exchange(&self, a: &OsStr, b: &OsStr) -> Result<(), DiskError> {
        let b = self.0.path.join(b);
        self.0.run("exchange", a.as_ref(), |state, path| state.exchange(path, &b))
    }

    fn remove_file(&self, name: &OsStr) -> Result<(), DiskError> {
        self.0.run("remove file", name.as_ref(), |state, path| state.remove_file(path))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.0.run("sync directory", Path::new(""), |state, path| state.sync_directory(path))
    }

    fn sync_file(&self, name: &OsStr) -> Result<(), DiskError> {
        self.0.run("sync", name.as_ref(), |state, path| {
            let node = state.find_file(path)?;
            state.sync(path, node)
        })
    }

    fn file_system_number(&self) -> Result<u64, DiskError> {
        self.0.run("look up", Path::new(""), |state, path| {
            let node = state.tree.find(path)?;
            Ok(state.tree.file_system(node) as u64)
        })
    }

    fn file_system(&self) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        Ok(Arc::new(SimulatedFileSystem::open(&self.0.state, &self.0.path)?))
    }
}
