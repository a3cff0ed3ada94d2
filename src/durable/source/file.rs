//! Source files: opened for reading only, and checked for changes while they are read.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::{Deserialize, Serialize};

use super::faults::{SourceOperation, check};
use super::interrupted::{read_exact_at, retried};
use crate::durable::file_systems;
use crate::durable::guarded_map::GuardedMap;
use crate::durable::window::{Window, read_window};
use crate::durable::{DiskError, ReaderKind, stop};

/// `Auto` reads shorter windows into a buffer: setting up a mapping costs more than copying them.
const MAPPED_WINDOW_BYTES_MIN: usize = 256 * 1024;

/// The identity of a state of a file, compared without reading the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SourceIdentity {
    /// The length in bytes.
    pub len_bytes: u64,
    /// The time of the last change of the bytes, in whole seconds since 1970.
    pub modified_secs: i64,
    /// The nanoseconds of that time.
    pub modified_nanos: u32,
    /// The inode number, unique on its device.
    pub inode: u64,
    /// The device number; may differ after a reboot.
    pub device: u64,
}

impl SourceIdentity {
    pub(in crate::durable) fn of(metadata: &Metadata) -> Self {
        Self {
            len_bytes: metadata.len(),
            modified_secs: metadata.mtime(),
            modified_nanos: u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// Describes the first difference of `now` from `self`.
    fn difference(&self, now: &Self) -> Option<String> {
        if (self.device, self.inode) != (now.device, now.inode) {
            Some(format!("it was replaced by another file (inode {} became {})", self.inode, now.inode))
        } else if self.len_bytes != now.len_bytes {
            Some(format!("length {} became {}", self.len_bytes, now.len_bytes))
        } else if self != now {
            Some("its modification time changed".into())
        } else {
            None
        }
    }
}

/// The error for a source file that changed since it was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("source {} changed while it was being read: {what}", path.display())]
pub struct SourceChange {
    /// The file.
    pub path: PathBuf,
    /// The difference, e.g. `length 4096 became 100`.
    pub what: String,
}

/// The error for a range of a source that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// The system refused, or the range goes beyond the end (`UnexpectedEof`).
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The file changed since it was opened.
    #[error(transparent)]
    Changed(#[from] SourceChange),
}

impl WindowError {
    /// Returns the error of the disk, if it is one.
    pub fn of_disk(&self) -> Option<&DiskError> {
        match self {
            Self::Disk(error) => Some(error),
            Self::Changed(_) => None,
        }
    }
}

/// A regular file, open for reading only. Threads may share it.
///
/// Other programs may change its bytes, so parse every range as untrusted input, and rely on what was read only after a
/// later [`check_unchanged`](Self::check_unchanged). A change of equal length in the same clock tick as the last change
/// before the opening cannot be detected this way.
#[derive(Debug)]
pub struct SourceFile {
    /// `None` if it is opened again for each read.
    file: Option<File>,
    path: Arc<Path>,
    identity: SourceIdentity,
    names: u64,
    reader: ReaderKind,
}

impl SourceFile {
    /// Opens the regular file at `path`, following links. Anything else is an `InvalidInput` error.
    pub fn open(path: &Path, reader: ReaderKind) -> Result<Self, DiskError> {
        Self::open_with(path, reader, OFlags::empty())
    }

    /// Works like [`open`](Self::open), but does not follow a link at the last name: that is an error of the file.
    pub fn open_no_follow(path: &Path, reader: ReaderKind) -> Result<Self, DiskError> {
        Self::open_with(path, reader, OFlags::NOFOLLOW)
    }

    fn open_with(path: &Path, reader: ReaderKind, flags: OFlags) -> Result<Self, DiskError> {
        let wrap = |e| DiskError::new("open source", path, e);
        stop::opened();
        check(SourceOperation::Open, path).map_err(wrap)?;
        let file = open_read_only(path, flags).map_err(wrap)?;
        let metadata = file.metadata().map_err(wrap)?;
        if !metadata.is_file() {
            return Err(wrap(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")));
        }
        let reader = match reader {
            ReaderKind::Auto if !file_systems::is_local(&file) => ReaderKind::Pread,
            chosen => chosen,
        };
        let (identity, names) = (SourceIdentity::of(&metadata), metadata.nlink());
        Ok(Self { file: Some(file), path: path.into(), identity, names, reader })
    }

    /// Works like [`open`](Self::open), but holds no descriptor: the file is opened again for each read. For sources of so
    /// many files that the process could not hold them all.
    pub fn open_unheld(path: &Path, reader: ReaderKind) -> Result<Self, DiskError> {
        Ok(Self { file: None, ..Self::open(path, reader)? })
    }

    /// Returns how many names it had when it was opened.
    pub fn names(&self) -> u64 {
        self.names
    }

    /// Returns the path with which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the identity that it had when it was opened.
    pub fn identity(&self) -> SourceIdentity {
        self.identity
    }

    /// Returns the open file. One that is opened again must still be the same.
    pub(in crate::durable) fn file(&self) -> io::Result<Opened<'_>> {
        if let Some(file) = &self.file {
            return Ok(Opened::Held(file));
        }
        let file = open_read_only(&self.path, OFlags::empty())?;
        match self.identity.difference(&SourceIdentity::of(&file.metadata()?)) {
            None => Ok(Opened::Again(file)),
            Some(what) => Err(io::Error::other(what)),
        }
    }

    /// Compares the open file, and the file that is now at its path, with the identity at the opening. A file that
    /// cannot be looked up is not called changed.
    pub fn check_unchanged(&self) -> Result<(), WindowError> {
        let change = |what| SourceChange { path: self.path.to_path_buf(), what };
        let at_path = || check(SourceOperation::Stat, &self.path).and_then(|()| std::fs::metadata(&self.path));
        let held = self.file.iter().map(File::metadata);
        for metadata in held.chain([at_path()]) {
            let now = metadata.map_err(|e| match e.kind() {
                io::ErrorKind::NotFound => change("it was removed".into()).into(),
                _ => WindowError::Disk(DiskError::new("look up source", &self.path, e)),
            })?;
            if let Some(what) = self.identity.difference(&SourceIdentity::of(&now)) {
                return Err(change(what).into());
            }
        }
        Ok(())
    }

    /// Returns the `len` bytes at `offset`, mapped or read, after checking that the file is unchanged.
    pub fn window(&self, offset: u64, len: usize) -> Result<Window, WindowError> {
        self.check_unchanged()?;
        let end = offset.checked_add(len as u64).filter(|&end| end <= self.identity.len_bytes);
        if end.is_none() {
            return Err(self.read_error(io::ErrorKind::UnexpectedEof.into()).into());
        }
        stop::read(len);
        check(SourceOperation::Read, &self.path).map_err(|e| self.explain(e))?;
        if len > 0 && self.maps(len) {
            let file = self.file().map_err(|e| self.explain(e))?;
            match GuardedMap::new(&file, &self.path, offset, len) {
                Ok(Some(map)) => return Ok(Window::mapped(map)),
                Ok(None) => {}
                // A caller that asked for mappings gets the error; `Auto` reads instead.
                Err(e) if self.reader == ReaderKind::Mmap => {
                    return Err(DiskError::new("map source", &self.path, e).into());
                }
                Err(_) => {}
            }
        }
        self.file().and_then(|file| read_window(&file, offset, len)).map_err(|e| self.explain(e))
    }

    /// Fills `buffer` from `offset`. Checks for a change only if the file ends before.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), WindowError> {
        self.read_raw(buffer, offset).map_err(|e| self.explain(e))
    }

    /// Fills `buffer` from `offset`, and returns the error of the system as it is.
    pub(in crate::durable) fn read_raw(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        stop::read(buffer.len());
        check(SourceOperation::Read, &self.path)?;
        read_exact_at(&*self.file()?, buffer, offset)
    }

    fn maps(&self, len: usize) -> bool {
        match self.reader {
            ReaderKind::Auto => len >= MAPPED_WINDOW_BYTES_MIN,
            ReaderKind::Mmap => true,
            ReaderKind::Pread => false,
        }
    }

    pub(in crate::durable) fn read_error(&self, source: io::Error) -> DiskError {
        DiskError::new("read source", &self.path, source)
    }

    /// Reports a failed read of a shrunken file as a change, whatever the error of the system was.
    fn explain(&self, source: io::Error) -> WindowError {
        match self.check_unchanged() {
            Err(WindowError::Changed(change)) => change.into(),
            Err(WindowError::Disk(_)) | Ok(()) => self.read_error(source).into(),
        }
    }
}

/// An open source file.
pub(in crate::durable) enum Opened<'a> {
    /// It is held open.
    Held(&'a File),
    /// It was opened for this read.
    Again(File),
}

impl Deref for Opened<'_> {
    type Target = File;

    fn deref(&self) -> &File {
        match self {
            Self::Held(file) => file,
            Self::Again(file) => file,
        }
    }
}

/// Without O_NONBLOCK, opening a pipe would wait for its writer. For a regular file the flag has no effect.
fn open_read_only(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | flags;
    Ok(retried(|| openat(CWD, path, flags, Mode::empty()))?.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use std::fs::OpenOptions;
    use std::time::{Duration, SystemTime};

    use super::*;

    const LEN: usize = 600_000;

    fn bytes() -> Vec<u8> {
        (0..LEN).map(|i| (i % 253) as u8).collect()
    }

    fn source() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("source");
        std::fs::write(&path, bytes()).unwrap();
        (directory, path)
    }

    #[test]
    fn every_reader_gives_the_same_bytes() {
        let (_directory, path) = source();
        for reader in [ReaderKind::Auto, ReaderKind::Mmap, ReaderKind::Pread] {
            let file = SourceFile::open(&path, reader).unwrap();
            for (offset, len) in [(0, LEN), (1, 300_000), (4096, 10), (LEN, 0), (7, 0), (LEN - 1, 1)] {
                let window = file.window(offset as u64, len).unwrap();
                assert!(*window == bytes()[offset..offset + len], "{reader} {offset} {len}");
            }
            let mut buffer = [0; 100];
            file.read_exact_at(1000, &mut buffer).unwrap();
            assert_eq!(buffer, bytes()[1000..1100]);
            file.check_unchanged().unwrap();
        }
    }

    #[test]
    fn a_file_that_is_not_held_is_read_and_checked_all_the_same() {
        let (directory, path) = source();
        for reader in [ReaderKind::Mmap, ReaderKind::Pread] {
            let file = SourceFile::open_unheld(&path, reader).unwrap();
            assert_eq!(*file.window(7, 300_000).unwrap(), bytes()[7..300_007]);
            let mut buffer = [0; 100];
            file.read_exact_at(1000, &mut buffer).unwrap();
            assert_eq!(buffer, bytes()[1000..1100]);
            file.check_unchanged().unwrap();
        }
        let file = SourceFile::open_unheld(&path, ReaderKind::Pread).unwrap();
        std::fs::write(directory.path().join("other"), bytes()).unwrap();
        std::fs::rename(directory.path().join("other"), &path).unwrap();
        assert!(matches!(file.read_exact_at(0, &mut [0]), Err(WindowError::Changed(_))));
        assert!(matches!(file.window(0, 1), Err(WindowError::Changed(_))));
    }

    #[test]
    fn each_reader_kind_reads_or_maps() {
        let (_directory, path) = source();
        let is_mapped = |reader, len| SourceFile::open(&path, reader).unwrap().window(0, len).unwrap().is_mapped();
        assert!(is_mapped(ReaderKind::Mmap, 1));
        assert!(!is_mapped(ReaderKind::Pread, LEN));
        assert!(!is_mapped(ReaderKind::Auto, 1));
        let is_local = file_systems::is_local(&File::open(&path).unwrap());
        assert_eq!(is_mapped(ReaderKind::Auto, LEN), is_local);
    }

    const MANY_WINDOWS_VARIABLE: &str = "HAUL_TEST_MANY_WINDOWS";

    /// The other process of the test below, which would take the mappings of its neighbours; else does nothing.
    #[test]
    fn child_that_takes_every_mapping() {
        if let Some(path) = std::env::var_os(MANY_WINDOWS_VARIABLE) {
            let file = SourceFile::open(Path::new(&path), ReaderKind::Mmap).unwrap();
            let windows: Vec<_> = (0..1030).map(|offset| file.window(offset, 1).unwrap()).collect();
            assert!(windows.iter().zip(bytes()).all(|(window, byte)| **window == [byte]));
            println!("{} mapped", windows.iter().filter(|window| window.is_mapped()).count());
        }
    }

    #[test]
    fn when_no_more_can_be_mapped_the_rest_is_read() {
        let (_directory, path) = source();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "durable::source::file::tests::child_that_takes_every_mapping", "--nocapture"])
            .env(MANY_WINDOWS_VARIABLE, &path)
            .output()
            .unwrap();
        assert!(String::from_utf8_lossy(&child.stdout).contains("1024 mapped"), "{child:?}");
    }

    #[test]
    fn file_systems_of_other_computers_are_not_mapped_by_themselves() {
        assert!(!file_systems::is_local(&File::open("/proc/self/status").unwrap()));
        if Path::new("/dev/shm").is_dir() {
            assert!(file_systems::is_local(&tempfile::tempfile_in("/dev/shm").unwrap()));
        }
    }

    #[test]
    fn ranges_past_the_end_are_refused() {
        let (_directory, path) = source();
        for reader in [ReaderKind::Mmap, ReaderKind::Pread] {
            let file = SourceFile::open(&path, reader).unwrap();
            for (offset, len) in [(1, LEN), (u64::MAX, 1), (LEN as u64 + 1, 0)] {
                match file.window(offset, len) {
                    Err(WindowError::Disk(e)) => assert_eq!(e.kind(), io::ErrorKind::UnexpectedEof),
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    #[track_caller]
    fn assert_change(file: &SourceFile, what: &str) {
        for reader_result in
            [file.check_unchanged(), file.window(0, 1).map(|_| ())].map(|result| result.map_err(expect_change))
        {
            let change = reader_result.unwrap_err();
            assert!(change.what.contains(what), "{change}");
            assert!(change.to_string().contains(&*file.path().to_string_lossy()), "{change}");
        }
    }

    fn expect_change(error: WindowError) -> SourceChange {
        match error {
            WindowError::Changed(change) => change,
            WindowError::Disk(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_truncated_source_is_noticed() {
        let (_directory, path) = source();
        let file = SourceFile::open(&path, ReaderKind::Mmap).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
        assert_change(&file, "length 600000 became 100");
        let change = expect_change(file.read_exact_at(99, &mut [0; 2]).unwrap_err());
        assert_eq!(change.what, "length 600000 became 100");
    }

    #[test]
    fn a_modified_source_is_noticed() {
        let (_directory, path) = source();
        let file = SourceFile::open(&path, ReaderKind::Auto).unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        OpenOptions::new().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert_change(&file, "modification time");
    }

    #[test]
    fn a_replaced_or_removed_source_is_noticed() {
        let (directory, path) = source();
        let file = SourceFile::open(&path, ReaderKind::Auto).unwrap();
        let other = directory.path().join("other");
        std::fs::write(&other, bytes()).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_change(&file, "replaced by another file");
        std::fs::remove_file(&path).unwrap();
        assert_change(&file, "removed");
    }

    #[test]
    fn only_regular_files_are_sources() {
        let (directory, path) = source();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        SourceFile::open(&link, ReaderKind::Auto).unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [directory.path(), &pipe, Path::new("/dev/null")] {
            assert_eq!(SourceFile::open(path, ReaderKind::Auto).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        let absent = SourceFile::open(&directory.path().join("absent"), ReaderKind::Auto).unwrap_err();
        assert_eq!(absent.kind(), io::ErrorKind::NotFound);
    }
}
