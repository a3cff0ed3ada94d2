//! The checksum of a migration (docs/source-sql.md, "Checksum"): BLAKE3-256 of its text, never of its path.
//!
//! The text is the content of the file without a byte order mark and with LF for CR LF, so a checkout with other line
//! ends is the same migration. A pair of files has the checksum of the text `up HEX\ndown HEX\n` with the checksums of
//! its halves; an Up file alone has its own.

use std::fmt;

use serde::{Serialize, Serializer};

/// A checksum, shown as 64 lowercase hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum(blake3::Hash);

impl Checksum {
    /// Returns the checksum of a text that [`normalized`](super::text::normalized) has returned.
    pub fn of(text: &str) -> Self {
        Self(blake3::hash(text.as_bytes()))
    }

    /// Returns the checksum of a pair.
    pub fn of_pair(up: Self, down: Self) -> Self {
        Self::of(&format!("up {up}\ndown {down}\n"))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_hex())
    }
}

impl Serialize for Checksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
