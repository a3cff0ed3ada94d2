//! Small files that are read whole: requests, results, digest vectors.

use std::path::Path;

use crate::durable::{ReaderKind, SourceFile};
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
            return Err(Error::Usage {
                what: format!(
                    "{}: it is {} long; requests, results and vectors of at most {} are read",
                    path.display(),
                    bytes_text(len_bytes),
                    bytes_text(INPUT_BYTES_MAX)
                ),
                next: "check that this is the right file".into(),
            });
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
        let message = Input::read(&path).err().unwrap().to_string();
        assert!(message.ends_with("it is 16.0 MiB long; requests, results and vectors of at most 16.0 MiB are read"));
        assert!(Input::read(directory.path()).is_err());
    }
}
