//! Fills a new file with the bytes of a source: shared, copied by the kernel, or read and written.

#![allow(clippy::disallowed_methods, reason = "this file is where the copying happens")]

use std::cmp::Ordering;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::new_modes::NewModes;
use super::{DiskError, NEVER, SourceFile, StopCheck, file_systems, stop};

/// The size of the buffer between reading and writing, in bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// The number of bytes that one call asks the kernel to copy: a call cannot be stopped.
const KERNEL_COPY_BYTES_MAX: u64 = stop::BYTES_MAX;

/// The means that may be used to copy a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CopyMeans {
    /// The first of these that works: sharing the storage of the source, a copy by the kernel, reading and writing.
    Auto,
    /// The copy has its own storage. The kernel copies only on file systems where that cannot share storage.
    NoReflink,
}

/// The method by which a file was copied.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopyMethod {
    /// The copy shares the source's storage until one of them is written to.
    Reflink,
    /// The kernel copied, or let a device copy; the file system may have shared storage by itself.
    CopyFileRange,
    /// The bytes were read and written.
    ReadWrite,
}

impl fmt::Display for CopyMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reflink => "reflink",
            Self::CopyFileRange => "copy-file-range",
            Self::ReadWrite => "read-write",
        })
    }
}

/// Implements [`Disk::copy_new_file`](super::Disk::copy_new_file) on the real disk.
pub(super) fn copy_new_file(
    source: &SourceFile,
    target: &Path,
    (means, modes): (CopyMeans, NewModes),
    stop: StopCheck<'_>,
) -> Result<CopyMethod, DiskError> {
    stop::opened();
    let file = OpenOptions::new().write(true).create_new(true).mode(modes.new_file()).open(target);
    let file = file.map_err(|e| DiskError::new("create file", target, e))?;
    modes.apply(file.as_fd()).map_err(|e| DiskError::new("set the owner of", target, e.into()))?;
    let copy = Copy { source, path: target, stop, file: &file };
    let may_share = means == CopyMeans::Auto;
    if may_share && copy.reflink()? {
        return Ok(CopyMethod::Reflink);
    }
    // copy_file_range may share storage by itself where the file system can.
    if (may_share || file_systems::never_shares(copy.file)) && copy.copy_in_kernel()? {
        return Ok(CopyMethod::CopyFileRange);
    }
    copy.read_and_write()?;
    Ok(CopyMethod::ReadWrite)
}

/// Implements [`Disk::can_reflink`](super::Disk::can_reflink) on the real disk.
pub(super) fn can_reflink(source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
    let wrap = |e: Errno| DiskError::new("create a nameless file in", directory, e.into());
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let nameless = match rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR) {
        Ok(nameless) => File::from(nameless),
        // The errors of a kernel or a file system without nameless files.
        Err(Errno::OPNOTSUPP | Errno::ISDIR) => return Ok(false),
        Err(e) => return Err(wrap(e)),
    };
    Copy { source, path: directory, stop: NEVER, file: &nameless }.clone_whole()
}

/// Passes all bytes of the source to `write`, front to back, in pieces with their offsets.
pub(super) fn read_through(
    source: &SourceFile,
    stop: StopCheck<'_>,
    mut write: impl FnMut(u64, &[u8]) -> Result<(), DiskError>,
) -> Result<(), DiskError> {
    let len = source.identity().len_bytes;
    let mut buffer = vec![0; usize::try_from(len).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES)];
    let mut offset = 0;
    while offset < len {
        if stop() {
            return Err(DiskError::stopped("copy", source.path()));
        }
        let piece_bytes = buffer.len().min(usize::try_from(len - offset).unwrap_or(buffer.len()));
        let piece = &mut buffer[..piece_bytes];
        source.read_raw(piece, offset).map_err(|e| source.read_error(e))?;
        write(offset, piece)?;
        offset += piece_bytes as u64;
    }
    Ok(())
}

/// A copy in progress: the new file exists and is empty.
struct Copy<'a> {
    source: &'a SourceFile,
    path: &'a Path,
    stop: StopCheck<'a>,
    file: &'a File,
}

impl Copy<'_> {
    fn error(&self, operation: &'static str, source: io::Error) -> DiskError {
        DiskError::new(operation, self.path, source)
    }

    fn len_bytes(&self) -> u64 {
        self.source.identity().len_bytes
    }

    fn source_ended(&self) -> DiskError {
        self.source.read_error(io::ErrorKind::UnexpectedEof.into())
    }

    /// Clones the source. Returns false if that is not possible here. The clone is as long as the source is now: a longer
    /// one is cut to the length at the opening, and a shorter one is an error.
    fn reflink(&self) -> Result<bool, DiskError> {
        if !self.clone_whole()? {
            return Ok(false);
        }
        let cloned_bytes = self.file.metadata().map_err(|e| self.error("measure", e))?.len();
        match cloned_bytes.cmp(&self.len_bytes()) {
            Ordering::Less => return Err(self.source_ended()),
            Ordering::Equal => {}
            Ordering::Greater => {
                self.file.set_len(self.len_bytes()).map_err(|e| self.error("set the length of", e))?;
            }
        }
        Ok(true)
    }

    fn clone_whole(&self) -> Result<bool, DiskError> {
        let source = self.source.file().map_err(|e| self.source.read_error(e))?;
        match rustix::fs::ioctl_ficlone(self.file, &*source) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY) => Ok(false),
            Err(e) => Err(self.error("clone to", e.into())),
        }
    }

    /// Lets the kernel copy. Returns false if that is not possible here, which shows at the first call.
    fn copy_in_kernel(&self) -> Result<bool, DiskError> {
        let source = self.source.file().map_err(|e| self.source.read_error(e))?;
        let mut done = 0;
        while done < self.len_bytes() {
            if (self.stop)() {
                return Err(DiskError::stopped("copy", self.path));
            }
            match self.copy_next(&source, done) {
                // Some kernels copy nothing between file systems and report no error.
                Ok(0) | Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) if done == 0 => {
                    return Ok(false);
                }
                Ok(0) => return Err(self.source_ended()),
                Ok(copied) => {
                    stop::written(copied);
                    done += copied as u64;
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(self.error("copy to", e.into())),
            }
        }
        Ok(true)
    }

    fn copy_next(&self, source: &File, done: u64) -> Result<usize, Errno> {
        let (mut source_offset, mut target_offset) = (done, done);
        let wanted = (self.len_bytes() - done).min(KERNEL_COPY_BYTES_MAX) as usize;
        rustix::fs::copy_file_range(source, Some(&mut source_offset), self.file, Some(&mut target_offset), wanted)
    }

    fn read_and_write(&self) -> Result<(), DiskError> {
        read_through(self.source, self.stop, |offset, piece| {
            stop::written(piece.len());
            self.file.write_all_at(piece, offset).map_err(|e| self.error("write", e))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::path::PathBuf;

    use super::*;
    use crate::durable::ReaderKind;

    /// The length of a buffer and a half.
    const LEN: usize = BUFFER_BYTES * 3 / 2;

    fn bytes() -> Vec<u8> {
        (0..LEN).map(|i| (i % 241) as u8).collect()
    }

    fn source_in(directory: &Path) -> SourceFile {
        let path = directory.join("source");
        std::fs::write(&path, bytes()).unwrap();
        SourceFile::open(&path, ReaderKind::Auto).unwrap()
    }

    fn assert_copied(path: &Path) {
        assert!(std::fs::read(path).unwrap() == bytes(), "{}", path.display());
    }

    #[test]
    fn a_copy_shares_storage_where_that_can_be_done_and_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let source = source_in(directory.path());
        if !can_reflink(&source, directory.path()).unwrap() {
            println!("left out: the temporary directory's file system does not share storage");
            return;
        }
        let path = |name: &str| directory.path().join(name);
        assert_eq!(
            copy_new_file(&source, &path("shared"), (CopyMeans::Auto, NewModes::ANY), NEVER).unwrap(),
            CopyMethod::Reflink
        );
        assert_eq!(
            copy_new_file(&source, &path("own"), (CopyMeans::NoReflink, NewModes::ANY), NEVER).unwrap(),
            CopyMethod::ReadWrite
        );
        ["shared", "own"].iter().for_each(|name| assert_copied(&path(name)));
        // A change to the source must not reach the copy.
        let writer = OpenOptions::new().write(true).open(source.path()).unwrap();
        writer.write_all_at(b"changed", 0).unwrap();
        assert_copied(&path("shared"));
    }

    #[test]
    fn the_kernel_copies_where_it_cannot_share() {
        let directory = tempfile::tempdir().unwrap();
        let source = source_in(directory.path());
        if !file_systems::never_shares(&source.file().unwrap()) {
            println!("left out: the temporary directory's file system may share storage");
            return;
        }
        assert!(!can_reflink(&source, directory.path()).unwrap());
        for means in [CopyMeans::Auto, CopyMeans::NoReflink] {
            let path = directory.path().join(format!("{means:?}"));
            assert_eq!(
                copy_new_file(&source, &path, (means, NewModes::ANY), NEVER).unwrap(),
                CopyMethod::CopyFileRange
            );
            assert_copied(&path);
        }
    }

    #[test]
    fn a_copy_may_go_from_one_file_system_to_another() {
        let shared_memory = Path::new("/dev/shm");
        let (Ok(near), Ok(far)) = (tempfile::tempdir(), tempfile::tempdir_in(shared_memory)) else {
            println!("left out: no RAM disk at /dev/shm");
            return;
        };
        let device = |directory: &Path| std::fs::metadata(directory).unwrap().dev();
        if device(near.path()) == device(far.path()) {
            println!("left out: the temporary directory lies on /dev/shm");
            return;
        }
        let source = source_in(far.path());
        assert!(!can_reflink(&source, near.path()).unwrap());
        for means in [CopyMeans::Auto, CopyMeans::NoReflink] {
            let path = near.path().join(format!("{means:?}"));
            // Whether the kernel copies between file systems of different kinds depends on its version.
            assert_ne!(copy_new_file(&source, &path, (means, NewModes::ANY), NEVER).unwrap(), CopyMethod::Reflink);
            assert_copied(&path);
        }
    }

    fn new_target(directory: &Path) -> (PathBuf, File) {
        let path = directory.join("target");
        let file = File::create_new(&path).unwrap();
        (path, file)
    }

    #[test]
    fn bytes_are_read_and_written_where_nothing_else_works() {
        let directory = tempfile::tempdir().unwrap();
        let source = source_in(directory.path());
        let (path, file) = new_target(directory.path());
        Copy { source: &source, path: &path, stop: NEVER, file: &file }.read_and_write().unwrap();
        assert_copied(&path);
    }

    #[test]
    fn a_source_that_ends_early_is_named_by_every_means() {
        let directory = tempfile::tempdir().unwrap();
        let source = source_in(directory.path());
        let (path, file) = new_target(directory.path());
        let copy = Copy { source: &source, path: &path, stop: NEVER, file: &file };
        for left in [LEN as u64 - 1, 1, 0] {
            OpenOptions::new().write(true).open(source.path()).unwrap().set_len(left).unwrap();
            let by_hand = copy.read_and_write().map(|()| true);
            // False means that the kernel left the copy to reading and writing.
            for result in [copy.copy_in_kernel(), by_hand].into_iter().filter(|result| !matches!(result, Ok(false))) {
                let error = result.unwrap_err();
                assert_eq!((error.kind(), &*error.path), (io::ErrorKind::UnexpectedEof, source.path()), "{left}");
            }
        }
    }

    #[test]
    fn pieces_are_read_in_order_and_without_a_gap() {
        let directory = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        let read = read_through(&source_in(directory.path()), NEVER, |offset, piece| {
            assert_eq!(offset, seen.len() as u64);
            seen.extend_from_slice(piece);
            Ok(())
        });
        read.unwrap();
        assert!(seen == bytes());
    }

    #[test]
    fn methods_have_one_name_each() {
        let methods = [CopyMethod::Reflink, CopyMethod::CopyFileRange, CopyMethod::ReadWrite];
        for (method, name) in methods.into_iter().zip(["reflink", "copy-file-range", "read-write"]) {
            assert_eq!(method.to_string(), name);
            assert_eq!(serde_json::to_value(method).unwrap(), name);
            assert_eq!(serde_json::from_value::<CopyMethod>(name.into()).unwrap(), method);
        }
    }
}
