//! Reads one blob from its first byte to its last: its content, and the digests of both.

use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::file_bytes::FileBytes;
use crate::cas::format::digest::ContentHasher;
use crate::cas::format::encoding::Encoding;
use crate::cas::format::frame::{DecodeError, decode};
use crate::cas::format::key::{Algorithm, Key};
use crate::cas::format::record::ObjectRecord;
use crate::durable::{Disk, DiskError};
use crate::migration::Error;

/// Content of an identity blob that one read returns.
const PIECE_BYTES: usize = 256 << 10;

/// The digests and lengths of a blob and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobDigests {
    /// Length of the blob.
    pub stored_size: u64,
    /// BLAKE3 of the blob without a prefix.
    pub stored_blob_hash: Key,
    /// Length of the content.
    pub original_size: u64,
    /// Key of the content.
    pub key: Key,
}

impl BlobDigests {
    /// Returns the first difference between the blob and its `record`.
    pub fn difference(&self, record: &ObjectRecord) -> Option<String> {
        let differs = |name: &str, is: &dyn std::fmt::Display, says: &dyn std::fmt::Display| {
            Some(format!("{name} is {is}, the sidecar says {says}"))
        };
        if self.stored_size != record.stored_size {
            differs("stored_size", &self.stored_size, &record.stored_size)
        } else if self.stored_blob_hash != record.stored_blob_hash {
            differs("stored_blob_hash", &self.stored_blob_hash, &record.stored_blob_hash)
        } else if self.original_size != record.original_size {
            differs("original_size", &self.original_size, &record.original_size)
        } else if self.key != record.digest {
            Some(format!("the content has the key {}", self.key))
        } else {
            None
        }
    }
}

/// Why a blob has no content in the given encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobFault {
    /// The blob is not zstd, or not complete.
    #[error("zstd frame at offset {offset}: {what}")]
    Frame {
        /// Where the frame begins in the blob.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The content is longer than expected.
    #[error("its content is longer than original_size, {original_size_max} bytes")]
    TooLong {
        /// The expected length.
        original_size_max: u64,
    },
}

/// Reads the blob at `path`, a regular file, and gives its content to `sink` in pieces of 256 KiB at most. The content
/// is unverified: the digests are known at the end only. Content of more than `original_size_max` bytes ends the read.
/// `buffer` is scratch space.
///
/// The outer error is one of the disk or the sink, the inner one a fault of the blob.
pub fn read_blob(
    disk: &dyn Disk,
    path: &Path,
    encoding: Encoding,
    original_size_max: u64,
    buffer: &mut Vec<u8>,
    mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Result<BlobDigests, BlobFault>, Error> {
    let mut stored = Hashed { bytes: FileBytes::open(disk, path)?, hasher: blake3::Hasher::new(), len_bytes: 0 };
    let mut content = ContentHasher::new(&[Algorithm::Cas]);
    let mut content_bytes = 0;
    let take = |piece: &[u8]| {
        content_bytes += piece.len() as u64;
        if content_bytes > original_size_max {
            return Err(Interruption::TooLong);
        }
        content.update(piece);
        sink(piece).map_err(Interruption::Sink)
    };
    let read = match encoding {
        Encoding::Identity => copy(&mut stored, buffer, take),
        Encoding::Zstd => decode(&mut stored, buffer, take).map(|_| ()),
    };
    match read {
        Ok(()) => {}
        Err(DecodeError::Frame { offset, what }) => return Ok(Err(BlobFault::Frame { offset, what })),
        Err(DecodeError::Sink(Interruption::TooLong)) => return Ok(Err(BlobFault::TooLong { original_size_max })),
        Err(DecodeError::Sink(Interruption::Sink(error))) => return Err(error),
        Err(DecodeError::Io(error)) => return Err(DiskError::new("read", path, error).into()),
    }
    let content = content.finish();
    Ok(Ok(BlobDigests {
        stored_size: stored.len_bytes,
        stored_blob_hash: Key(*stored.hasher.finalize().as_bytes()),
        original_size: content.len_bytes,
        key: content.get(Algorithm::Cas).expect("it was requested"),
    }))
}

/// Why no more content is read.
enum Interruption {
    TooLong,
    Sink(Error),
}

fn copy(
    stored: &mut impl Read,
    buffer: &mut Vec<u8>,
    mut take: impl FnMut(&[u8]) -> Result<(), Interruption>,
) -> Result<(), DecodeError<Interruption>> {
    buffer.resize(PIECE_BYTES, 0);
    loop {
        match stored.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => take(&buffer[..len]).map_err(DecodeError::Sink)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(DecodeError::Io(error)),
        }
    }
}

/// Hashes everything that is read through it.
struct Hashed<R> {
    bytes: R,
    hasher: blake3::Hasher,
    len_bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.bytes.read(buffer)?;
        self.hasher.update(&buffer[..len]);
        self.len_bytes += len as u64;
        Ok(len)
    }
}
