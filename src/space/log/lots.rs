//! Reads records of a log from places that are drawn at random over its whole length.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::extent::{Content, Extent, Frame};
use super::reader::{Batch, Cursor};
use super::source::WalSource;
use super::wal::{HEADER_BYTES, MAGIC_BYTES, WalHeader};
use crate::durable::{SourceFile, Window, WindowError, read_again_if};
use crate::migration::{Error, check_stop};
use crate::pipeline::StopToken;
use crate::space::limits::{BLOCK_RECORDS_MAX, BLOCK_SOURCE_BYTES_MAX};

/// Records that are taken in a row. A place costs a search for the next record.
const RECORDS_PER_PLACE: u64 = 64;
/// Fewest and most places of a large sample.
const PLACES: std::ops::RangeInclusive<u64> = 16..=2_048;
/// A window has room for this many bytes at least.
const WINDOW_BYTES_MIN: u64 = 64 << 10;
/// Longest record that is taken.
const RECORD_BYTES_MAX: u64 = 32 << 20;
/// Bytes of one read of a search.
const SEARCH_STEP_BYTES: u64 = 32 << 10;
/// How far the next record is searched.
const SEARCH_BYTES_MAX: u64 = RECORD_BYTES_MAX;
/// Longest payload whose checksum says whether a header in the midst of other bytes is one.
const SUMMED_BYTES_MAX: u64 = 1 << 20;

/// Records in a row, as one extent.
pub struct Lot {
    /// The records.
    pub batch: Batch,
    /// True if bytes before them, within the place, are no record.
    pub follows_damage: bool,
    /// Which part of the bytes was in the page cache; `None` if that is not known.
    pub cached_share: Option<f64>,
}

/// What draws.
pub struct Lots<'a> {
    /// The log.
    pub source: &'a WalSource,
    /// About how long a record is.
    pub record_bytes: u64,
    /// Decides about the places.
    pub seed: u64,
    /// Ends it early.
    pub stop: &'a StopToken,
}

impl Lots<'_> {
    /// Draws about `records` records, in the order of the log and none twice, and passes them on. Each of the places is in
    /// a part of its own of the log, all equally long.
    pub fn draw(&self, records: u64, mut take: impl FnMut(Lot) -> Result<(), Error>) -> Result<(), Error> {
        let places = (records.div_ceil(RECORDS_PER_PLACE)).clamp(*PLACES.start(), *PLACES.end()).min(records);
        let mut walk = Walk { lots: self, file: 0, file_start: 0, at: 0 };
        let (total_bytes, mut left) = (self.source.total_bytes(), records);
        for place in 0..places {
            let wanted = left.div_ceil(places - place);
            let start = (u128::from(total_bytes) * u128::from(place) / u128::from(places)) as u64;
            let room = (total_bytes / places).saturating_sub(wanted.saturating_mul(self.record_bytes)).max(1);
            walk.go_to(start + number(self.seed, place) % room);
            left -= walk.take(wanted, &mut take)?.min(left);
        }
        Ok(())
    }

    /// Passes all records of the log on that can be found.
    pub fn all(&self, mut take: impl FnMut(Lot) -> Result<(), Error>) -> Result<(), Error> {
        Walk { lots: self, file: 0, file_start: 0, at: 0 }.take(u64::MAX, &mut take).map(drop)
    }
}

/// Returns a random number.
fn number(seed: u64, place: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("haul places of a log, version 1");
    hasher.update(&seed.to_le_bytes()).update(&place.to_le_bytes());
    let digest = hasher.finalize();
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("8 of 32 bytes"))
}

/// A walk through the files of a log, in one direction.
struct Walk<'a> {
    lots: &'a Lots<'a>,
    file: usize,
    /// Bytes of the files before that one.
    file_start: u64,
    /// Offset in the file, up to which records are taken.
    at: u64,
}

impl Walk<'_> {
    fn current(&self) -> Option<Arc<SourceFile>> {
        self.lots.source.files().get(self.file).cloned()
    }

    fn next_file(&mut self, len_bytes: u64) {
        (self.file, self.file_start, self.at) = (self.file + 1, self.file_start + len_bytes, 0);
    }

    /// Moves to an offset of the whole log, but never back.
    fn go_to(&mut self, offset: u64) {
        while let Some(file) = self.current() {
            let len_bytes = file.identity().len_bytes;
            if offset < self.file_start + len_bytes {
                self.at = self.at.max(offset.saturating_sub(self.file_start));
                return;
            }
            self.next_file(len_bytes);
        }
    }

    /// Takes `wanted` records in a row, also from the next files, and returns how many there were.
    fn take(&mut self, wanted: u64, take: &mut impl FnMut(Lot) -> Result<(), Error>) -> Result<u64, Error> {
        let (mut taken, mut is_in_row) = (0, false);
        while taken < wanted {
            check_stop(self.lots.stop)?;
            let Some(file) = self.current() else { break };
            let len_bytes = file.identity().len_bytes;
            let expected = self.window_bytes(wanted - taken).min(len_bytes.saturating_sub(self.at));
            let cached_share = file.cached_share(self.at, expected as usize);
            match self.find_record(&file)? {
                Found::At(offset) => {
                    let follows_damage = is_in_row && offset > self.at;
                    self.at = offset;
                    if let Some(batch) = self.records(file, wanted - taken)? {
                        taken += batch.extents[0].records();
                        take(Lot { batch, follows_damage, cached_share })?;
                    }
                    is_in_row = true;
                }
                Found::Nothing => {
                    self.next_file(len_bytes);
                    is_in_row = false;
                }
                Found::NotNear => break,
            }
        }
        Ok(taken)
    }

    fn window_bytes(&self, records: u64) -> u64 {
        let wanted = records.saturating_mul(self.lots.record_bytes + self.lots.record_bytes / 4);
        wanted.clamp(WINDOW_BYTES_MIN, BLOCK_SOURCE_BYTES_MAX + WINDOW_BYTES_MIN)
    }

    /// Searches for the next record from where the walk is.
    fn find_record(&self, file: &SourceFile) -> Result<Found, Error> {
        let end = file.identity().len_bytes;
        let mut at = self.at;
        while at + HEADER_BYTES as u64 <= end {
            check_stop(self.lots.stop)?;
            if at - self.at > SEARCH_BYTES_MAX {
                return Ok(Found::NotNear);
            }
            let step = SEARCH_STEP_BYTES.min(end - at);
            let window = read(file, at, step)?;
            for hit in memchr::memmem::find_iter(&window, &MAGIC_BYTES) {
                if is_record(file, at + hit as u64)? {
                    return Ok(Found::At(at + hit as u64));
                }
            }
            // A magic number may lie across two steps.
            at += step - (MAGIC_BYTES.len() as u64 - 1);
        }
        Ok(Found::Nothing)
    }

    /// Reads records in a row, as many as an extent may have, from where the walk is: there is one. `None` if the first is
    /// too long to be read at once; it is passed over.
    fn records(&mut self, file: Arc<SourceFile>, wanted: u64) -> Result<Option<Batch>, Error> {
        let (start, end) = (self.at, file.identity().len_bytes);
        let mut window = read(&file, start, self.window_bytes(wanted).min(end - start))?;
        let wanted = wanted.min(BLOCK_RECORDS_MAX as u64) as usize;
        let mut frames = Vec::new();
        while frames.len() < wanted && self.at - start <= BLOCK_SOURCE_BYTES_MAX {
            let ControlFlow::Continue(frame) = next_frame(&window, start, self.at, end) else { break };
            let frame_end = self.at + frame.total_bytes();
            if frame_end - start > window.len() as u64 {
                match frames.is_empty() {
                    false => break,
                    true if frame.total_bytes() > RECORD_BYTES_MAX => {
                        self.at = frame_end;
                        return Ok(None);
                    }
                    true => window = read(&file, start, frame.total_bytes())?,
                }
            }
            frames.push(frame);
            self.at = frame_end;
        }
        let extents = vec![Extent { start, len_bytes: self.at - start, content: Content::Frames(frames) }];
        let after = Cursor { file: self.file as u32, offset: self.at, extent: 1 };
        Ok(Some(Batch { file_number: self.file as u32, file, window_offset: start, window, extents, after }))
    }
}

/// What a search has found.
enum Found {
    /// A record at this offset.
    At(u64),
    /// None to the end of the file.
    Nothing,
    /// None as far as it was looked for.
    NotNear,
}

/// Returns the record at `at` if its header is in the window, which begins at `start`.
fn next_frame(window: &[u8], start: u64, at: u64, file_end: u64) -> ControlFlow<(), Frame> {
    let bytes = window.get((at - start) as usize..).and_then(|rest| rest.first_chunk::<HEADER_BYTES>());
    let header = bytes.and_then(|bytes| WalHeader::parse(bytes).ok());
    let frame = header.map(|header| Frame { offset: at, header });
    match frame.filter(|frame| at + frame.total_bytes() <= file_end) {
        Some(frame) => ControlFlow::Continue(frame),
        None => ControlFlow::Break(()),
    }
}

/// Returns true if a record begins there: its header is right, and the next header, the end of the file or the payload's
/// checksum shows that its length is too.
fn is_record(file: &SourceFile, offset: u64) -> Result<bool, Error> {
    let file_end = file.identity().len_bytes;
    let Some(header) = header_at(file, offset)? else { return Ok(false) };
    let payload = offset + HEADER_BYTES as u64;
    let end = payload + u64::from(header.payload_len_bytes);
    if end >= file_end {
        return Ok(end == file_end);
    }
    if header_at(file, end)?.is_some() {
        return Ok(true);
    }
    let is_short = end - payload <= SUMMED_BYTES_MAX;
    Ok(is_short && header.payload_matches(&read(file, payload, end - payload)?))
}

fn header_at(file: &SourceFile, offset: u64) -> Result<Option<WalHeader>, Error> {
    let mut bytes = [0; HEADER_BYTES];
    if offset + HEADER_BYTES as u64 > file.identity().len_bytes {
        return Ok(None);
    }
    read_again_if(|| file.read_exact_at(offset, &mut bytes), WindowError::of_disk)?;
    Ok(WalHeader::parse(&bytes).ok())
}

fn read(file: &SourceFile, offset: u64, len_bytes: u64) -> Result<Window, Error> {
    Ok(read_again_if(|| file.window(offset, len_bytes as usize), WindowError::of_disk)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out a source")]

    use super::*;
    use crate::durable::ReaderKind;
    use crate::space::log::wal::encode_record;

    /// Writes log files of records with these sequence numbers and payloads of 100 to 299 bytes.
    fn log(files: &[std::ops::Range<u64>]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (number, sequences) in files.iter().enumerate() {
            let records =
                sequences.clone().flat_map(|n| encode_record(n, 1, 1, &vec![7; 100 + (n as usize * 37) % 200]));
            std::fs::write(directory.path().join(format!("wal-{number}.log")), records.collect::<Vec<_>>()).unwrap();
        }
        directory
    }

    fn draw(directory: &tempfile::TempDir, records: u64, seed: u64) -> (Vec<u64>, u64) {
        let source = WalSource::open(directory.path(), ReaderKind::Pread).unwrap();
        let stop = StopToken::new();
        let lots = Lots { source: &source, record_bytes: 264, seed, stop: &stop };
        let (mut sequences, mut damaged) = (Vec::new(), 0);
        let take = |lot: Lot| {
            let Content::Frames(frames) = &lot.batch.extents[0].content else { unreachable!("no regions are drawn") };
            sequences.extend(frames.iter().map(|frame| frame.header.sequence));
            damaged += u64::from(lot.follows_damage);
            Ok(())
        };
        if records == u64::MAX {
            lots.all(take).unwrap()
        } else {
            lots.draw(records, take).unwrap()
        };
        (sequences, damaged)
    }

    #[test]
    fn records_are_drawn_from_the_whole_log_and_none_twice() {
        let directory = log(&[0..3_000, 3_000..3_001, 3_001..3_001, 3_001..10_000]);
        for records in [1, 10, 100, 2_000, 9_000] {
            let (drawn, damaged) = draw(&directory, records, 1);
            assert_eq!(damaged, 0);
            assert!(drawn.is_sorted_by(|a, b| a < b), "{records}");
            let found = drawn.len() as u64;
            assert!((records * 9 / 10..=records).contains(&found), "{found} of {records}");
            let tenths: std::collections::BTreeSet<_> = drawn.iter().map(|sequence| sequence / 1_000).collect();
            assert!(records < 100 || tenths.len() == 10, "{records}: {tenths:?}");
        }
        assert_eq!(draw(&directory, u64::MAX, 1).0, (0..10_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_seed_draws_the_same_records_each_time_and_another_one_others() {
        let directory = log(&[0..5_000, 5_000..5_001]);
        assert_eq!(draw(&directory, 300, 1), draw(&directory, 300, 1));
        assert_ne!(draw(&directory, 300, 1), draw(&directory, 300, 2));
    }

    #[test]
    fn damage_is_passed_over_and_counted() {
        let directory = log(&[0..1_000, 1_000..1_000]);
        let path = directory.path().join("wal-0.log");
        let mut bytes = std::fs::read(&path).unwrap();
        let (middle, len) = (bytes.len() / 2, bytes.len());
        bytes[middle..middle + 1_000].fill(0xA5);
        std::fs::write(&path, &bytes).unwrap();
        let (drawn, damaged) = draw(&directory, u64::MAX, 1);
        assert_eq!(damaged, 1);
        assert!((990..1_000).contains(&drawn.len()), "{}", drawn.len());
        // A tail without a record is the end.
        bytes[len - 10..].fill(0);
        bytes.extend_from_slice(&[0; 5_000]);
        std::fs::write(&path, &bytes).unwrap();
        assert!(draw(&directory, u64::MAX, 1).0.ends_with(&[998]) || draw(&directory, u64::MAX, 1).0.ends_with(&[999]));
        std::fs::write(&path, b"").unwrap();
        assert_eq!(draw(&directory, 10, 1), (Vec::new(), 0));
    }
}
