//! Small files that are read whole: requests, results, digest vectors.

use std::io;
use std::path::Path;

use crate::durable::{DiskError, ReaderKind, SourceFile};
use crate::migration::Error;
use crate::migration::units::bytes_text;

/// Longest file that is read.
pub const INPUT_BYTES_MAX: u64 = 16 << 20;

/// A file and its bytes.
pub struct Input {
    file: SourceFile,
    /// All of its bytes.
    pub bytes: Vec<u8>,
}

impl Input {
    /// Reads the regular file that `path` leads to. One that is longer than [`INPUT_BYTES_MAX`] is not read, and one
    /// that changes meanwhile is an error.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = SourceFile::open(path, ReaderKind::Pread)?;
        let len_bytes = file.identity().len_bytes;
        if len_bytes > INPUT_BYTES_MAX {
            let limit = bytes_text(INPUT_BYTES_MAX);
            let what =
                format!("it is {len_bytes} bytes long; of requests, results and vectors {limit} are read at most");
            return Err(DiskError::new("read", path, io::Error::new(io::ErrorKind::InvalidData, what)).into());
        }
        let mut bytes = vec![0; len_bytes as usize];
        file.read_exact_at(0, &mut bytes)?;
        file.check_unchanged()?;
        Ok(Self { file, bytes })
    }

    /// Fails if the file is no longer what was read.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        Ok(self.file.check_unchanged()?)
    }
}

/// An error and what caused it, as one text.
pub fn reason(error: &dyn std::error::Error) -> String {
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
        let input = Input::read(&path).unwrap();
        assert_eq!(input.bytes, b"{}");
        input.check_unchanged().unwrap();
        fs::write(&path, b"{ }").unwrap();
        input.check_unchanged().unwrap_err();

        let file = File::create(&path).unwrap();
        file.set_len(INPUT_BYTES_MAX).unwrap();
        assert_eq!(Input::read(&path).unwrap().bytes.len() as u64, INPUT_BYTES_MAX);
        file.set_len(INPUT_BYTES_MAX + 1).unwrap();
        let message = reason(&Input::read(&path).err().unwrap());
        let expected = "it is 16777217 bytes long; of requests, results and vectors 16.0 MiB are read at most";
        assert!(message.starts_with("cannot read ") && message.ends_with(expected), "{message}");
        let error = Input::read(&directory.path().join("absent")).err().unwrap();
        assert!(reason(&error).ends_with("absent: No such file or directory (os error 2)"), "{}", reason(&error));
    }
}
