//! Reads small source files whole.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::faults::{SourceOperation, check};
use super::interrupted::retried;
use crate::durable::{DiskError, stop};

/// Appends the bytes of a file to `buffer` and returns their number. If the file is longer than `len_bytes`, at least
/// one more byte is appended, but not necessarily all: a caller that gets another number than expected knows that the
/// file changed. Does not follow links (`ELOOP`), and does not wait for a pipe.
pub fn read_source_whole(path: &Path, len_bytes: usize, buffer: &mut Vec<u8>) -> Result<usize, DiskError> {
    let wrap = |e| DiskError::new("read source", path, e);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    stop::opened();
    check(SourceOperation::Open, path).map_err(wrap)?;
    let file: File = retried(|| openat(CWD, path, flags, Mode::empty())).map_err(wrap)?.into();
    check(SourceOperation::Read, path).map_err(wrap)?;
    let read_bytes = read_to_limit(&file, len_bytes, buffer).map_err(wrap)?;
    stop::read(read_bytes);
    Ok(read_bytes)
}

fn read_to_limit(file: &File, len_bytes: usize, buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.try_reserve(len_bytes.saturating_add(1))?;
    let mut read_bytes = 0;
    while read_bytes <= len_bytes {
        match retried(|| rustix::io::read(file, rustix::buffer::spare_capacity(buffer))) {
            Ok(0) => break,
            // The buffer had room for more, so a short read is the end. That saves a second call for every file of the
            // expected length.
            Ok(count) if read_bytes + count == len_bytes => return Ok(len_bytes),
            Ok(count) => read_bytes += count,
            Err(e) => return Err(e),
        }
    }
    Ok(read_bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out files")]

    use super::*;

    #[test]
    fn the_bytes_are_appended_until_they_are_more_than_expected() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"0123456789").unwrap();
        for expected in [10, 0, 9, 4, 100] {
            let mut buffer = b"before ".to_vec();
            let read = read_source_whole(&path, expected, &mut buffer).unwrap();
            assert!(read == 10 || (expected + 1..10).contains(&read), "{read} of 10, expected {expected}");
            assert_eq!(buffer, [b"before ", &b"0123456789"[..read]].concat());
        }
    }

    #[test]
    fn links_and_directories_are_refused_and_pipes_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("file"), b"x").unwrap();
        std::os::unix::fs::symlink("file", at("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let mut buffer = Vec::new();
        let error = read_source_whole(&at("link"), 1, &mut buffer).unwrap_err();
        assert_eq!(error.source.raw_os_error(), Some(libc::ELOOP));
        read_source_whole(directory.path(), 1, &mut buffer).unwrap_err();
        assert_eq!(read_source_whole(&at("pipe"), 1, &mut buffer).unwrap(), 0);
        assert!(buffer.is_empty());
    }
}
