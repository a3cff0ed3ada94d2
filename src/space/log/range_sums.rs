//! Checksums of any range of a log file, in a time that does not depend on the length of the range.
//!
//! Headers in damaged bytes claim any length. Thousands of them may end in the same bytes, which must not be read for each
//! of them again.

use parking_lot::Mutex;

use crate::durable::SourceFile;
use crate::migration::{Error, check_stop};
use crate::pipeline::StopToken;

/// The checksums of this many bytes are kept as one.
const PIECE_BYTES_MIN: u64 = 4 << 10;
/// The number of checksums that are kept for a file, at most.
const PIECES_MAX: u64 = 1 << 18;
const CHUNK_BYTES: usize = 1 << 20;

/// A log file and the checksums of its ranges.
#[derive(Clone, Copy)]
pub struct LogFile<'a> {
    /// The file.
    pub file: &'a SourceFile,
    /// Its checksums.
    pub sums: &'a RangeSums,
    /// Ends a search of it early.
    pub stop: &'a StopToken,
}

impl LogFile<'_> {
    /// Fills `buffer` from `offset`. A stop is an error.
    pub fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        // Damaged bytes are searched to the end of the file.
        check_stop(self.stop)?;
        Ok(self.file.read_exact_at(offset, buffer)?)
    }
}

/// The checksums of the first pieces of a file, as far as they were needed: the entry at `n` is that of the first `n + 1`
/// pieces together.
#[derive(Debug, Default)]
pub struct RangeSums {
    ends: Mutex<Vec<u32>>,
}

impl RangeSums {
    /// Returns the CRC-32C of a range of the file, which must lie within it.
    pub fn crc32c(&self, log: LogFile<'_>, start: u64, len_bytes: u64) -> Result<u32, Error> {
        let piece_bytes = log.file.identity().len_bytes.div_ceil(PIECES_MAX).next_multiple_of(PIECE_BYTES_MIN);
        let (first, last) = (start.div_ceil(piece_bytes), (start + len_bytes) / piece_bytes);
        // Between them there must be a piece, and more than one to be worth the table.
        if last < first + 2 {
            return read_crc(log, start, len_bytes, 0);
        }
        let (inner_start, inner_end) = (first * piece_bytes, last * piece_bytes);
        let (before, whole) = (self.first_pieces(log, piece_bytes, first)?, self.first_pieces(log, piece_bytes, last)?);
        let inner_bytes = inner_end - inner_start;
        // What is before the range is taken away in the same way as it was added.
        let inner = combine(before, whole, inner_bytes);
        let head = read_crc(log, start, inner_start - start, 0)?;
        let crc = combine(head, inner, inner_bytes);
        read_crc(log, inner_end, start + len_bytes - inner_end, crc)
    }

    /// Returns the checksum of the first `count` pieces. Each is read once.
    fn first_pieces(&self, log: LogFile<'_>, piece_bytes: u64, count: u64) -> Result<u32, Error> {
        let mut ends = self.ends.lock();
        while (ends.len() as u64) < count {
            let crc = ends.last().copied().unwrap_or(0);
            let next = read_crc(log, ends.len() as u64 * piece_bytes, piece_bytes, crc)?;
            ends.push(next);
        }
        Ok(if count == 0 { 0 } else { ends[count as usize - 1] })
    }
}

/// Returns the checksum of two ranges in a row, of which the second is `len_bytes` long. As the checksum is linear, it
/// also returns that of the second range for those of the first and of both.
fn combine(first: u32, second: u32, len_bytes: u64) -> u32 {
    crc32c::crc32c_combine(first, second, usize::try_from(len_bytes).unwrap_or(usize::MAX))
}

/// Continues a checksum over a range of the file.
fn read_crc(log: LogFile<'_>, start: u64, len_bytes: u64, mut crc: u32) -> Result<u32, Error> {
    let mut buffer = vec![0; CHUNK_BYTES.min(len_bytes as usize)];
    let (mut at, end) = (start, start + len_bytes);
    while at < end {
        let part = &mut buffer[..CHUNK_BYTES.min((end - at) as usize)];
        log.read_exact_at(at, part)?;
        crc = crc32c::crc32c_append(crc, part);
        at += part.len() as u64;
    }
    Ok(crc)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out a source")]

    use proptest::prelude::*;

    use super::*;
    use crate::durable::ReaderKind;

    #[test]
    fn any_range_has_the_checksum_of_its_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let bytes: Vec<u8> = (0..300_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        let file = SourceFile::open(&path, ReaderKind::Pread).unwrap();
        let (sums, stop) = (RangeSums::default(), StopToken::new());
        let log = LogFile { file: &file, sums: &sums, stop: &stop };
        let check = |start: usize, len: usize| {
            let expected = crc32c::crc32c(&bytes[start..start + len]);
            assert_eq!(sums.crc32c(log, start as u64, len as u64).unwrap(), expected, "{len} bytes at {start}");
        };
        for (start, len) in
            [(0, 0), (0, 300_000), (4096, 8192), (4095, 8193), (1, 299_999), (299_999, 1), (8192, 12_288)]
        {
            check(start, len);
        }
        proptest!(|(start in 0_usize..300_000, len in 0_usize..300_000)| check(start, len.min(300_000 - start)));
    }
}
