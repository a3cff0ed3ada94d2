//! Small files that are read whole: requests, results, hash vectors.

use std::io;
use std::path::Path;

use crate::durable::{DiskError, ReaderKind, SourceFile};
use crate::migration::Error;
use crate::migration::units::bytes_text;

/// Longest file that is read. The files are read into memory at once, and a request of the reference has 1 MiB at most.
pub const SMALL_FILE_BYTES_MAX: u64 = 16 << 20;

/// A file and its bytes.
pub struct SmallFile {
    file: SourceFile,
    /// All bytes of the file.
    pub bytes: Vec<u8>,
}

impl SmallFile {
    /// Reads the regular file at `path`. A file longer than [`SMALL_FILE_BYTES_MAX`] is not read, and one that changes
    /// while it is read is an error.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = SourceFile::open(path, ReaderKind::Pread)?;
        let len_bytes = file.identity().len_bytes;
        if len_bytes > SMALL_FILE_BYTES_MAX {
            let limit = bytes_text(SMALL_FILE_BYTES_MAX);
            let what = format!("it has {len_bytes} bytes; requests, results and vectors may have {limit} at most");
            return Err(DiskError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, what)).into());
        }
        let mut bytes = vec![0; len_bytes as usize];
        file.read_exact_at(0, &mut bytes)?;
        file.check_unchanged()?;
        Ok(Self { file, bytes })
    }

    /// Returns the number of names of the file.
    pub fn names(&self) -> u64 {
        self.file.names()
    }

    /// Fails if the file is no longer what was read.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        Ok(self.file.check_unchanged()?)
    }
}

/// Returns an error and its causes as one text.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests prepare files directly")]
mod tests {
    use std::fs::{self, File};

    use super::*;

    #[test]
    fn files_are_read_up_to_the_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"{}").unwrap();
        let input = SmallFile::read(&path).unwrap();
        assert_eq!(input.bytes, b"{}");
        input.check_unchanged().unwrap();
        fs::write(&path, b"{ }").unwrap();
        input.check_unchanged().unwrap_err();

        let file = File::create(&path).unwrap();
        file.set_len(SMALL_FILE_BYTES_MAX).unwrap();
        assert_eq!(SmallFile::read(&path).unwrap().bytes.len() as u64, SMALL_FILE_BYTES_MAX);
        file.set_len(SMALL_FILE_BYTES_MAX + 1).unwrap();
        let message = error_chain(&SmallFile::read(&path).err().unwrap());
        let expected = "it has 16777217 bytes; requests, results and vectors may have 16.0 MiB at most";
        assert!(message.starts_with("cannot read ") && message.ends_with(expected), "{message}");
        let error = SmallFile::read(&directory.path().join("absent")).err().unwrap();
        assert!(
            error_chain(&error).ends_with("absent: No such file or directory (os error 2)"),
            "{}",
            error_chain(&error)
        );
    }
}
