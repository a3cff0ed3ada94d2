//! Receives content under a temporary name until its key is known.

use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;

use crate::cas::format::digest::ContentHasher;
use crate::cas::format::encoding::Encoding;
use crate::cas::format::frame::{Compressor, compress_stream};
use crate::cas::format::key::{Algorithm, Key};
use crate::cas::format::record::ObjectRecord;
use crate::cas::store::file_bytes::FileBytes;
use crate::durable::{Disk, DiskError, DiskFile};
use crate::migration::Error;

const PIECE_BYTES: usize = 256 << 10;
/// Content up to this length is compressed in one call, as the reference does; longer content is not held in memory.
const ONE_SHOT_BYTES_MAX: u64 = 8 << 20;

/// Content that was received into a file.
pub(super) struct ReceivedContent {
    pub key: Key,
    pub len_bytes: u64,
    blake3: Key,
}

/// Writes all `content` into a new file at `path`, without a sync, and hashes it. `name` is for errors.
pub(super) fn receive(
    disk: &dyn Disk,
    path: &Path,
    content: &mut dyn Read,
    name: &Path,
) -> Result<ReceivedContent, Error> {
    let file = disk.create_file(path)?;
    let mut hasher = ContentHasher::new(&[Algorithm::Cas, Algorithm::Blake3]);
    let mut buffer = vec![0; PIECE_BYTES];
    let mut offset = 0;
    loop {
        let piece = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => &buffer[..len],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(DiskError::new("read", name, error).into()),
        };
        hasher.update(piece);
        file.write_all_at(offset, piece)?;
        offset += piece.len() as u64;
    }
    let digests = hasher.finish();
    let key = |algorithm| digests.get(algorithm).expect("it was requested");
    Ok(ReceivedContent { key: key(Algorithm::Cas), len_bytes: digests.len_bytes, blake3: key(Algorithm::Blake3) })
}

impl ReceivedContent {
    /// Returns the record of the content if it is stored as it is.
    pub(super) fn identity_record(&self, created_at: u64) -> ObjectRecord {
        ObjectRecord {
            digest: self.key,
            encoding: Encoding::Identity,
            original_size: self.len_bytes,
            stored_size: self.len_bytes,
            stored_blob_hash: self.blake3,
            created_at,
        }
    }

    /// Writes one zstd frame of the file at `content` into a new file at `compressed`, without a sync.
    pub(super) fn compress(
        &self,
        disk: &dyn Disk,
        content: &Path,
        compressed: &Path,
        level: i32,
        created_at: u64,
    ) -> Result<ObjectRecord, Error> {
        let wrap = |e| DiskError::new("compress", content, e);
        let mut bytes = FileBytes::open(disk, content)?;
        let mut out = HashedFile::create(disk, compressed)?;
        if self.len_bytes <= ONE_SHOT_BYTES_MAX {
            let (mut whole, mut frame) = (Vec::new(), Vec::new());
            bytes.read_to_end(&mut whole).map_err(wrap)?;
            Compressor::new().compress(&whole, level, &mut frame);
            out.write_all(&frame).map_err(wrap)?;
        } else {
            compress_stream(bytes, self.len_bytes, level, &mut out).map_err(wrap)?;
        }
        Ok(ObjectRecord {
            encoding: Encoding::Zstd,
            stored_size: out.len_bytes,
            stored_blob_hash: Key(*out.hasher.finalize().as_bytes()),
            ..self.identity_record(created_at)
        })
    }
}

/// A file that is written from its first byte on, and hashed.
struct HashedFile {
    file: Arc<dyn DiskFile>,
    hasher: blake3::Hasher,
    len_bytes: u64,
}

impl HashedFile {
    fn create(disk: &dyn Disk, path: &Path) -> Result<Self, DiskError> {
        Ok(Self { file: disk.create_file(path)?, hasher: blake3::Hasher::new(), len_bytes: 0 })
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(self.len_bytes, bytes).map_err(|e| e.source)?;
        self.hasher.update(bytes);
        self.len_bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
