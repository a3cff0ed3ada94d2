//! A disk in memory for unit tests, which can be told to fail.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::durable::{Disk, DiskEntry, DiskError, DiskFile, EntryKind, LockGuard};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// Files and directories by path; `None` is a directory.
#[derive(Default)]
pub struct MemoryDisk {
    entries: Mutex<BTreeMap<PathBuf, Option<Bytes>>>,
    fuse: Arc<Fuse>,
    pub free_bytes: AtomicU64,
}

/// Counts operations that change something down to the first one that fails.
struct Fuse(AtomicU64);

impl Default for Fuse {
    fn default() -> Self {
        Self(AtomicU64::new(u64::MAX))
    }
}

impl Fuse {
    fn burn(&self, operation: &'static str, path: &Path) -> Result<(), DiskError> {
        match self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Ok(()),
            Err(_) => Err(DiskError::new(operation, path, io::ErrorKind::StorageFull.into())),
        }
    }
}

struct MemoryFile {
    path: PathBuf,
    bytes: Bytes,
    fuse: Arc<Fuse>,
}

impl MemoryDisk {
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets this many changes through, then fails every one.
    pub fn fail_after(&self, operations: u64) {
        self.fuse.0.store(operations, Ordering::SeqCst);
    }

    /// Ends [`fail_after`](Self::fail_after).
    pub fn heal(&self) {
        self.fail_after(u64::MAX);
    }

    /// The bytes of a file.
    pub fn read(&self, path: &Path) -> Vec<u8> {
        self.file(path).unwrap().bytes.lock().clone()
    }

    /// Puts a file there.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        self.entries.lock().insert(path.into(), Some(Arc::new(Mutex::new(bytes.to_vec()))));
    }

    fn file(&self, path: &Path) -> Result<MemoryFile, DiskError> {
        match self.entries.lock().get(path) {
            Some(Some(bytes)) => Ok(MemoryFile { path: path.into(), bytes: bytes.clone(), fuse: self.fuse.clone() }),
            Some(None) => Err(DiskError::new("open", path, io::ErrorKind::IsADirectory.into())),
            None => Err(DiskError::new("open", path, io::ErrorKind::NotFound.into())),
        }
    }

    fn add(&self, path: &Path, entry: Option<Bytes>) -> Result<(), DiskError> {
        self.fuse.burn("create", path)?;
        let mut entries = self.entries.lock();
        if entries.contains_key(path) {
            return Err(DiskError::new("create", path, io::ErrorKind::AlreadyExists.into()));
        }
        entries.insert(path.into(), entry);
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.add(path, Some(Bytes::default()))?;
        self.open_file(path)
    }
    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        Ok(Arc::new(self.file(path)?))
    }
    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.open_file(path)
    }
    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.add(path, None)
    }
    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.fuse.burn("sync directory", path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.fuse.burn("rename", from)?;
        let mut entries = self.entries.lock();
        let entry = entries.remove(from).ok_or(DiskError::new("rename", from, io::ErrorKind::NotFound.into()))?;
        entries.insert(to.into(), entry);
        Ok(())
    }
    fn rename_exclusive(&self, _: &Path, _: &Path) -> Result<(), DiskError> {
        unimplemented!("no test here needs it")
    }
    fn exchange(&self, _: &Path, _: &Path) -> Result<(), DiskError> {
        unimplemented!("no test here needs it")
    }
    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.fuse.burn("remove", path)?;
        match self.entries.lock().remove(path) {
            Some(_) => Ok(()),
            None => Err(DiskError::new("remove", path, io::ErrorKind::NotFound.into())),
        }
    }
    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.remove_file(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        let entries = self.entries.lock();
        let inside = entries.iter().filter(|(entry, _)| entry.parent() == Some(path));
        Ok(inside
            .map(|(entry, bytes)| DiskEntry {
                name: entry.file_name().unwrap().into(),
                kind: if bytes.is_some() { EntryKind::File } else { EntryKind::Directory },
            })
            .collect())
    }
    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        let entries = self.entries.lock();
        Ok(entries.get(path).map(|bytes| if bytes.is_some() { EntryKind::File } else { EntryKind::Directory }))
    }
    fn free_bytes(&self, _: &Path) -> Result<u64, DiskError> {
        Ok(self.free_bytes.load(Ordering::SeqCst))
    }
    fn try_lock(&self, _: &Path, _: &str) -> Result<Result<LockGuard, String>, DiskError> {
        unimplemented!("no test here needs it")
    }
}

impl DiskFile for MemoryFile {
    /// Fails after writing half, as a full disk does.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let outcome = self.fuse.burn("write", &self.path);
        let written = &bytes[..if outcome.is_ok() { bytes.len() } else { bytes.len() / 2 }];
        let mut file = self.bytes.lock();
        let end = offset as usize + written.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[offset as usize..end].copy_from_slice(written);
        outcome
    }
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let file = self.bytes.lock();
        match file.get(offset as usize..offset as usize + buffer.len()) {
            Some(bytes) => {
                buffer.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(DiskError::new("read", &self.path, io::ErrorKind::UnexpectedEof.into())),
        }
    }
    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.bytes.lock().len() as u64)
    }
    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.fuse.burn("set length", &self.path)?;
        self.bytes.lock().resize(len as usize, 0);
        Ok(())
    }
    fn preallocate(&self, _: u64, _: u64) -> Result<(), DiskError> {
        Ok(())
    }
    fn start_writeback(&self, _: u64, _: u64) {}
    fn sync(&self) -> Result<(), DiskError> {
        self.fuse.burn("sync", &self.path)
    }
}
