//! Why a text is not the record of an object.

use std::fmt;

/// Longest sidecar or index line that is read. A written record has at most 341 bytes; the limit is far above that, so
/// that a record with unknown members is still read.
pub const RECORD_BYTES_MAX: usize = 64 << 10;

/// A member of a record's JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `digest`
    Digest,
    /// `encoding`
    Encoding,
    /// `original_size`
    OriginalSize,
    /// `stored_size`
    StoredSize,
    /// `stored_blob_hash`
    StoredBlobHash,
    /// `created_at`
    CreatedAt,
}

impl Field {
    const ALL: [Self; 6] =
        [Self::Digest, Self::Encoding, Self::OriginalSize, Self::StoredSize, Self::StoredBlobHash, Self::CreatedAt];

    /// Returns the name of the member.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::Encoding => "encoding",
            Self::OriginalSize => "original_size",
            Self::StoredSize => "stored_size",
            Self::StoredBlobHash => "stored_blob_hash",
            Self::CreatedAt => "created_at",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.name() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What [`parse`](super::parse) refuses. Offsets are bytes from the start of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// The text has no byte, or white space only.
    #[error("it is empty")]
    Empty,
    /// The text is longer than [`RECORD_BYTES_MAX`].
    #[error("it is longer than {RECORD_BYTES_MAX} bytes")]
    TooLong,
    /// The text is not UTF-8.
    #[error("it is not UTF-8 at offset {offset}")]
    NotUtf8 {
        /// Offset of the first byte that is not.
        offset: usize,
    },
    /// The text is not JSON, or not an object.
    #[error("it is not a JSON object: {what} at offset {offset}")]
    NotAnObject {
        /// Where the parser was.
        offset: usize,
        /// What it found.
        what: String,
    },
    /// There is more text after the object.
    #[error("more follows the object at offset {offset}")]
    TrailingData {
        /// Where the parser was.
        offset: usize,
    },
    /// A member occurs twice, in the object or in one inside it.
    #[error("the key \"{key}\" occurs twice")]
    DuplicateKey {
        /// The name, or its first 64 characters.
        key: String,
    },
    /// A member is missing.
    #[error("the key {0} is missing")]
    MissingKey(Field),
    /// A digest that is not 64 lower-case hex digits.
    #[error("{0} is not a text of 64 lowercase hex digits")]
    NotADigest(Field),
    /// A size or a time that is not an unsigned number of 64 bits.
    #[error("{0} is not a whole number from 0 to 2^64-1")]
    NotANumber(Field),
    /// An encoding with another name.
    #[error("encoding is neither \"identity\" nor \"zstd\"")]
    UnknownEncoding,
}

impl RecordFault {
    pub(super) fn duplicate(key: &str) -> Self {
        Self::DuplicateKey { key: key.chars().take(64).collect() }
    }
}
