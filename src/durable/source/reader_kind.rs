//! The choice between mapping and reading source files.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How source files are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReaderKind {
    /// Large windows of files on a local file system are mapped; everything else is read.
    #[default]
    Auto,
    /// Every window is mapped.
    Mmap,
    /// Every window is read into a buffer.
    Pread,
}

impl fmt::Display for ReaderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Mmap => "mmap",
            Self::Pread => "pread",
        })
    }
}

/// The error for a text that is not the name of a [`ReaderKind`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown reader '{0}', expected auto, mmap or pread")]
pub struct UnknownReaderKind(String);

impl FromStr for ReaderKind {
    type Err = UnknownReaderKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "mmap" => Ok(Self::Mmap),
            "pread" => Ok(Self::Pread),
            other => Err(UnknownReaderKind(other.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_kinds_are_read_as_they_are_printed() {
        for reader in [ReaderKind::Auto, ReaderKind::Mmap, ReaderKind::Pread] {
            assert_eq!(reader.to_string().parse(), Ok(reader));
        }
        let error = "Mmap".parse::<ReaderKind>().unwrap_err();
        assert_eq!(error.to_string(), "unknown reader 'Mmap', expected auto, mmap or pread");
    }
}
