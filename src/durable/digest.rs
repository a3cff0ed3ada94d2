//! Reads large files in pieces: digests, and other work that reads a file once.

use std::ops::Range;
use std::path::Path;

use super::{Disk, DiskError, StopCheck};

/// Bytes that one read takes: large enough for full speed, small enough for a stack of them to be no burden.
const CHUNK_BYTES: usize = 1 << 20;

/// BLAKE3 and length of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest {
    /// BLAKE3 of its bytes.
    pub digest: [u8; 32],
    /// Its length.
    pub len_bytes: u64,
}

/// Reads `range` piece by piece with `read`, which fills a buffer from an offset, and gives each piece to `take`. A stop is
/// an error of [`DiskError`].
pub fn for_each_chunk<E: From<DiskError>>(
    range: Range<u64>,
    stop: StopCheck<'_>,
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let len_of = |offset| usize::try_from(range.end - offset).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
    let mut offset = range.start;
    let mut buffer = vec![0; if range.is_empty() { 0 } else { len_of(offset) }];
    while offset < range.end {
        if stop() {
            return Err(DiskError::stopped("read", Path::new("a whole file")).into());
        }
        let chunk = &mut buffer[..len_of(offset)];
        read(offset, chunk)?;
        take(offset, chunk)?;
        offset += chunk.len() as u64;
    }
    Ok(())
}

/// Returns BLAKE3 and length of the file at `path`.
pub fn file_digest(disk: &dyn Disk, path: &Path, stop: StopCheck<'_>) -> Result<FileDigest, DiskError> {
    let file = disk.open_for_read(path)?;
    let (len_bytes, mut hasher) = (file.len()?, blake3::Hasher::new());
    for_each_chunk(
        0..len_bytes,
        stop,
        |offset, chunk| file.read_exact_at(offset, chunk),
        |_, chunk| {
            hasher.update(chunk);
            Ok(())
        },
    )?;
    Ok(FileDigest { digest: *hasher.finalize().as_bytes(), len_bytes })
}

/// As [`file_digest`]; `None` if there is no such file.
pub fn file_digest_if_present(
    disk: &dyn Disk,
    path: &Path,
    stop: StopCheck<'_>,
) -> Result<Option<FileDigest>, DiskError> {
    match disk.kind(path)? {
        None => Ok(None),
        Some(_) => file_digest(disk, path, stop).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{NEVER, SimulatedDisk};

    #[test]
    fn pieces_cover_the_range_once_and_in_order() {
        for (start, len) in [(0, 0), (7, 1), (0, CHUNK_BYTES as u64), (5, 3 * CHUNK_BYTES as u64 + 1)] {
            let mut next = start;
            let read = |offset: u64, chunk: &mut [u8]| {
                chunk.fill(offset as u8);
                Ok::<_, DiskError>(())
            };
            let take = |offset: u64, chunk: &[u8]| {
                assert!(offset == next && chunk.iter().all(|byte| *byte == offset as u8));
                next += chunk.len() as u64;
                Ok(())
            };
            for_each_chunk(start..start + len, NEVER, read, take).unwrap();
            assert_eq!(next, start + len);
        }
    }

    #[test]
    fn a_digest_is_that_of_all_bytes() {
        let disk = SimulatedDisk::new();
        let bytes: Vec<u8> = (0..2 * CHUNK_BYTES + 77).map(|at| (at / 1000) as u8).collect();
        disk.install_file(Path::new("/large"), &bytes);
        disk.install_file(Path::new("/empty"), b"");
        let digest = |bytes: &[u8]| FileDigest { digest: blake3::hash(bytes).into(), len_bytes: bytes.len() as u64 };
        assert_eq!(file_digest(&disk, Path::new("/large"), NEVER).unwrap(), digest(&bytes));
        assert_eq!(file_digest_if_present(&disk, Path::new("/empty"), NEVER).unwrap(), Some(digest(b"")));
        assert_eq!(file_digest_if_present(&disk, Path::new("/absent"), NEVER).unwrap(), None);
        assert!(file_digest(&disk, Path::new("/absent"), NEVER).is_err());
    }
}
