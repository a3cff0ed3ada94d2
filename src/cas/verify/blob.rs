//! Reads one blob once and makes the digests of the blob and its content, in bounded memory.

use std::io::{self, Read};
use std::path::Path;

use crate::cas::format::digest::{CAS_PREFIX, Content, ContentHasher, blake3_key};
use crate::cas::format::encoding::Encoding;
use crate::cas::format::frame::{DecodeError, decode};
use crate::cas::format::key::{Algorithm, Key};
use crate::cas::source::bytes::{BytesReader, ReadFault};
use crate::cas::source::inventory::Entry;
use crate::durable::{DiskError, ReaderKind, SourceFile, WindowError, read_source_whole};
use crate::pipeline::StopToken;

/// Blobs up to this length are read in one call; larger ones in windows of it.
const WINDOW_BYTES: usize = 256 << 10;
const PREFIX_BYTES: usize = CAS_PREFIX.len();

/// Buffers of one thread.
#[derive(Default)]
pub struct BlobScratch {
    /// The prefix of keys and the stored bytes after it.
    buffer: Vec<u8>,
    frame: Vec<u8>,
}

/// A blob that was read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedBlob {
    /// BLAKE3 of the stored bytes.
    pub stored_hash: Key,
    /// The content, if the stored bytes have the given encoding.
    pub content: Result<ContentDigest, ContentFault>,
}

/// The content of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest {
    /// The key.
    pub key: Key,
    /// The length.
    pub len_bytes: u64,
}

/// Why there is no content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentFault {
    /// The stored bytes cannot be decoded.
    Undecodable(String),
    /// The content is longer than it may be.
    Longer,
}

/// Why a blob could not be read.
#[derive(Debug)]
pub enum BlobReadFault {
    /// The system returned an error.
    Unreadable(DiskError),
    /// The blob is no longer what the walk saw.
    Changed(String),
    /// Nothing is wrong: a stop was requested.
    Stopped,
}

impl BlobReadFault {
    /// Returns the error of the system.
    pub fn of_disk(&self) -> Option<&DiskError> {
        match self {
            Self::Unreadable(error) => Some(error),
            Self::Changed(_) | Self::Stopped => None,
        }
    }
}

/// Reads the blob at `path`, which the walk saw as `entry`, and looks for a stop on the way. A zstd blob is decoded to `content_bytes_max` bytes at
/// most, whatever its frames claim.
pub fn digest_blob(
    path: &Path,
    entry: &Entry,
    encoding: Encoding,
    content_bytes_max: u64,
    scratch: &mut BlobScratch,
    stop: &StopToken,
) -> Result<CheckedBlob, BlobReadFault> {
    scratch.buffer.clear();
    scratch.buffer.extend_from_slice(&CAS_PREFIX);
    match usize::try_from(entry.len_bytes) {
        Ok(len_bytes) if len_bytes <= WINDOW_BYTES => {
            match read_source_whole(path, len_bytes, &mut scratch.buffer) {
                Err(error) => return Err(BlobReadFault::Unreadable(error)),
                Ok(read) if read != len_bytes => return Err(length_changed(entry.len_bytes, read as u64)),
                Ok(_) => {}
            }
            digest_in_memory(encoding, content_bytes_max, scratch, stop).map_err(|_| BlobReadFault::Stopped)
        }
        _ => {
            let open = SourceFile::open(path, ReaderKind::Pread);
            let file = open.map_err(BlobReadFault::Unreadable)?;
            if file.identity().len_bytes != entry.len_bytes {
                return Err(length_changed(entry.len_bytes, file.identity().len_bytes));
            }
            let digests = match encoding {
                Encoding::Identity => digest_windows(&file, scratch, stop),
                Encoding::Zstd => digest_decoded(&file, content_bytes_max, scratch, stop),
            };
            digests.map_err(|fault| match fault {
                ReadFault::Source(WindowError::Changed(change)) => BlobReadFault::Changed(change.what),
                ReadFault::Source(WindowError::Disk(error)) | ReadFault::Target(error) => {
                    BlobReadFault::Unreadable(error)
                }
                ReadFault::Stopped => BlobReadFault::Stopped,
            })
        }
    }
}

fn length_changed(before: u64, now: u64) -> BlobReadFault {
    BlobReadFault::Changed(format!("length {before} became {now} or more"))
}

fn digest_in_memory(
    encoding: Encoding,
    content_bytes_max: u64,
    scratch: &mut BlobScratch,
    stop: &StopToken,
) -> Result<CheckedBlob, ReadFault> {
    let stored = Content::behind_prefix(&scratch.buffer);
    let stored_hash = blake3_key(stored.bytes());
    let content = match encoding {
        Encoding::Identity => {
            Ok(ContentDigest { key: stored.key(Algorithm::Cas), len_bytes: stored.bytes().len() as u64 })
        }
        Encoding::Zstd => decoded_digest(stored.bytes(), content_bytes_max, &mut scratch.frame, stop)?,
    };
    Ok(CheckedBlob { stored_hash, content })
}

/// Hashes stored bytes and content, which differ in the prefix only, in one pass. Each hash gets the windows at its own
/// block bounds: the bytes that the prefix pushes out of a window begin the next one.
fn digest_windows(file: &SourceFile, scratch: &mut BlobScratch, stop: &StopToken) -> Result<CheckedBlob, ReadFault> {
    let len_bytes = file.identity().len_bytes;
    let (mut stored, mut keyed) = (blake3::Hasher::new(), blake3::Hasher::new());
    let buffer = &mut scratch.buffer;
    buffer.resize(PREFIX_BYTES + WINDOW_BYTES, 0);
    let mut offset = 0;
    while offset < len_bytes {
        if stop.is_requested() {
            return Err(ReadFault::Stopped);
        }
        let count = WINDOW_BYTES.min(usize::try_from(len_bytes - offset).unwrap_or(WINDOW_BYTES));
        file.read_exact_at(offset, &mut buffer[PREFIX_BYTES..PREFIX_BYTES + count]).map_err(ReadFault::Source)?;
        stored.update(&buffer[PREFIX_BYTES..PREFIX_BYTES + count]);
        keyed.update(&buffer[..count]);
        buffer.copy_within(count..count + PREFIX_BYTES, 0);
        offset += count as u64;
    }
    keyed.update(&buffer[..PREFIX_BYTES]);
    let key = |hasher: &blake3::Hasher| Key(*hasher.finalize().as_bytes());
    Ok(CheckedBlob { stored_hash: key(&stored), content: Ok(ContentDigest { key: key(&keyed), len_bytes }) })
}

/// Hashes the stored bytes while they are decoded, and then those that the decoder left.
fn digest_decoded(
    file: &SourceFile,
    content_bytes_max: u64,
    scratch: &mut BlobScratch,
    stop: &StopToken,
) -> Result<CheckedBlob, ReadFault> {
    let mut hashing = Hashing { bytes: BytesReader::new(file)?, hasher: blake3::Hasher::new(), stop };
    let content = decoded_digest(&mut hashing, content_bytes_max, &mut scratch.frame, stop)?;
    // An error of this read is in `fault`.
    let _ = io::copy(&mut hashing, &mut io::sink());
    match hashing.bytes.fault {
        _ if stop.is_requested() => Err(ReadFault::Stopped),
        Some(fault) => Err(fault),
        None => Ok(CheckedBlob { stored_hash: Key(*hashing.hasher.finalize().as_bytes()), content }),
    }
}

/// Hashes everything that is read through it.
struct Hashing<'a> {
    bytes: BytesReader<'a>,
    hasher: blake3::Hasher,
    stop: &'a StopToken,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_requested() {
            return Err(io::Error::other("a stop was requested"));
        }
        let count = self.bytes.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Why decoding ends before the blob does.
enum DecodeEnd {
    /// The content is longer than it may be.
    Longer,
    /// A stop was requested.
    Stopped,
}

fn decoded_digest(
    stored: impl Read,
    content_bytes_max: u64,
    frame: &mut Vec<u8>,
    stop: &StopToken,
) -> Result<Result<ContentDigest, ContentFault>, ReadFault> {
    let mut hasher = ContentHasher::new(&[Algorithm::Cas]);
    let mut len_bytes = 0;
    let decoded = decode(stored, frame, |piece| {
        len_bytes += piece.len() as u64;
        hasher.update(piece);
        if stop.is_requested() {
            return Err(DecodeEnd::Stopped);
        }
        if len_bytes > content_bytes_max { Err(DecodeEnd::Longer) } else { Ok(()) }
    });
    Ok(match decoded {
        Ok(_) => {
            let key = hasher.finish().get(Algorithm::Cas).expect("it was requested");
            Ok(ContentDigest { key, len_bytes })
        }
        Err(DecodeError::Sink(DecodeEnd::Stopped)) => return Err(ReadFault::Stopped),
        Err(DecodeError::Sink(DecodeEnd::Longer)) => Err(ContentFault::Longer),
        Err(DecodeError::Frame { offset, what }) => {
            Err(ContentFault::Undecodable(format!("zstd frame at offset {offset}: {what}")))
        }
        Err(DecodeError::Io(error)) => Err(ContentFault::Undecodable(error.to_string())),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out blobs")]

    use super::*;
    use crate::cas::format::digest::key_of;
    use crate::cas::format::frame::Compressor;
    use crate::cas::source::Location;
    use crate::cas::source::inventory::EntryKind;
    use crate::durable::source_identity;

    struct Blob {
        directory: tempfile::TempDir,
        entry: Entry,
    }

    impl Blob {
        fn new(stored: &[u8]) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("blob");
            std::fs::write(&path, stored).unwrap();
            let location = Location::new(&[], &[b'a'; 64]).unwrap();
            let entry = Entry::new(location, EntryKind::File, source_identity(&path).unwrap());
            Self { directory, entry }
        }

        fn digests(&self, encoding: Encoding, content_bytes_max: u64) -> Result<CheckedBlob, BlobReadFault> {
            let path = self.directory.path().join("blob");
            digest_blob(&path, &self.entry, encoding, content_bytes_max, &mut BlobScratch::default(), &StopToken::new())
        }
    }

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8 ^ (at >> 12) as u8).collect()
    }

    /// Lengths around the windows, and around the shift by the prefix.
    const LENGTHS: [usize; 12] = [
        0,
        1,
        3,
        4,
        5,
        1024,
        WINDOW_BYTES - 1,
        WINDOW_BYTES,
        WINDOW_BYTES + 1,
        WINDOW_BYTES + 4,
        2 * WINDOW_BYTES + 3,
        5 * WINDOW_BYTES,
    ];

    #[test]
    fn blobs_of_any_length_have_the_digests_of_their_bytes() {
        for len in LENGTHS {
            let content = bytes(len);
            let key = key_of(Algorithm::Cas, &content);
            let expected = ContentDigest { key, len_bytes: len as u64 };
            let digests = Blob::new(&content).digests(Encoding::Identity, 0).unwrap();
            assert_eq!(digests, CheckedBlob { stored_hash: blake3_key(&content), content: Ok(expected) }, "{len}");

            let mut stored = Vec::new();
            Compressor::new().compress(&content, 1, &mut stored);
            // A skippable frame makes the blob long without adding content.
            stored.extend([0x50, 0x2A, 0x4D, 0x18]);
            stored.extend(u32::try_from(len).unwrap().to_le_bytes());
            stored.extend(bytes(len));
            let digests = Blob::new(&stored).digests(Encoding::Zstd, len as u64).unwrap();
            assert_eq!(digests, CheckedBlob { stored_hash: blake3_key(&stored), content: Ok(expected) }, "{len}");
        }
    }

    #[test]
    fn content_is_decoded_up_to_its_limit() {
        let mut bomb = Vec::new();
        Compressor::new().compress(&vec![0; 1 << 20], 3, &mut bomb);
        for filler in [0, WINDOW_BYTES as u32] {
            let mut stored = bomb.clone();
            stored.extend([0x50, 0x2A, 0x4D, 0x18]);
            stored.extend(filler.to_le_bytes());
            stored.extend(bytes(filler as usize));
            let digests = Blob::new(&stored).digests(Encoding::Zstd, (1 << 20) - 1).unwrap();
            assert_eq!(digests.content, Err(ContentFault::Longer));
            assert_eq!(digests.stored_hash, blake3_key(&stored), "all of it is hashed");
        }
    }

    #[test]
    fn an_undecodable_blob_has_the_offset_of_the_fault() {
        for len in [100, 2 * WINDOW_BYTES] {
            let stored = bytes(len);
            let digests = Blob::new(&stored).digests(Encoding::Zstd, u64::MAX).unwrap();
            assert_eq!(digests.stored_hash, blake3_key(&stored));
            let Err(ContentFault::Undecodable(what)) = digests.content else { panic!("{digests:?}") };
            assert!(what.contains("offset 0"), "{what}");
        }
    }

    #[test]
    fn another_length_than_the_walk_saw_is_a_change() {
        for len in [10_u64, WINDOW_BYTES as u64 + 10] {
            for wrong in [len - 1, len + 1] {
                let mut blob = Blob::new(&bytes(len as usize));
                blob.entry.len_bytes = wrong;
                assert!(matches!(blob.digests(Encoding::Identity, 0), Err(BlobReadFault::Changed(_))), "{len} {wrong}");
            }
        }
        let blob = Blob::new(b"x");
        std::fs::remove_file(blob.directory.path().join("blob")).unwrap();
        assert!(matches!(blob.digests(Encoding::Identity, 0), Err(BlobReadFault::Unreadable(_))));
    }
}
