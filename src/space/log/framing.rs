//! Cuts the bytes of a log file into extents: runs of complete records, and regions without a record.
//!
//! Where an extent ends depends on the file and the policy alone, and cutting can begin again at the end of any
//! extent with the same result: a resumed run makes the same blocks.

use super::damage::{self, Damage};
use super::extent::{Content, Extent, Frame};
use super::range_sums::LogFile;
use super::wal::{HEADER_BYTES, HeaderError, WalHeader};
use crate::migration::Error;
use crate::space::limits::{BLOCK_RECORDS_MAX, BLOCK_SOURCE_BYTES_MAX};
use crate::space::policy::Corruption;

/// The longest payload that is loaded before its checksum is known to be right. It decides where extents end, so it does
/// not depend on the memory budget.
const PAYLOAD_BELIEVED_BYTES: u32 = 32 << 20;
/// The longest payload that is summed in the view.
const SUMMED_AT_ONCE_BYTES: usize = 64 << 10;

/// Result of one cut.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// The extent at the asked offset.
    Extent(Extent),
    /// The window must reach this many bytes past the asked offset.
    NeedsBytes(u64),
}

/// A loaded part of a file.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Offset of `bytes` in the file.
    pub base: u64,
    /// The bytes.
    pub bytes: &'a [u8],
    /// Length of the whole file.
    pub file_len_bytes: u64,
}

impl<'a> View<'a> {
    /// Returns the bytes from `offset` on, if the view holds `len` of them.
    pub fn get(&self, offset: u64, len: u64) -> Option<&'a [u8]> {
        let start = usize::try_from(offset.checked_sub(self.base)?).ok()?;
        self.bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?)
    }
}

/// What the bytes at an offset are.
enum Look {
    End,
    Record(WalHeader),
    NoRecord(Damage),
    OutsideView,
}

fn look(view: &View<'_>, offset: u64) -> Look {
    let left = view.file_len_bytes - offset;
    if left == 0 {
        return Look::End;
    }
    if left < HEADER_BYTES as u64 {
        return Look::NoRecord(Damage::Short);
    }
    let Some(bytes) = view.get(offset, HEADER_BYTES as u64) else { return Look::OutsideView };
    match WalHeader::parse(bytes.try_into().expect("a slice of header length")) {
        Ok(header) if u64::from(header.payload_len_bytes) > left - HEADER_BYTES as u64 => {
            Look::NoRecord(Damage::PayloadBeyondEnd)
        }
        Ok(header) => Look::Record(header),
        Err(HeaderError::Magic) => Look::NoRecord(Damage::Magic),
        Err(HeaderError::Crc) => Look::NoRecord(Damage::HeaderChecksum),
    }
}

/// Cuts the extent that begins at `start`, which is before the end of the file.
pub fn cut(log: LogFile<'_>, view: &View<'_>, start: u64, policy: Corruption) -> Result<Cut, Error> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut at = start;
    loop {
        match look(view, at) {
            Look::OutsideView => return Ok(Cut::NeedsBytes(at + HEADER_BYTES as u64 - start)),
            Look::End => return Ok(framed(start, at, frames)),
            Look::NoRecord(damage) => return close_at_damage(log, view, start, at, frames, damage, policy),
            Look::Record(header) => {
                let frame = Frame { offset: at, header };
                let end = at + frame.total_bytes();
                let full = frames.len() == BLOCK_RECORDS_MAX || end - start > BLOCK_SOURCE_BYTES_MAX;
                if full && !frames.is_empty() {
                    return Ok(framed(start, at, frames));
                }
                // A length is believed before its bytes are loaded only up to here: a header of 64 bytes may claim 4 GiB.
                if header.payload_len_bytes > PAYLOAD_BELIEVED_BYTES && !damage::payload_matches(log, at, &header)? {
                    return Ok(match frames.is_empty() {
                        true => Cut::Extent(damage::enormous(log, at, end, policy)?),
                        false => framed(start, at, frames),
                    });
                }
                if view.get(at, frame.total_bytes()).is_none() {
                    return Ok(Cut::NeedsBytes(end - start + HEADER_BYTES as u64));
                }
                frames.push(frame);
                at = end;
            }
        }
    }
}

fn framed(start: u64, end: u64, frames: Vec<Frame>) -> Cut {
    Cut::Extent(Extent { start, len_bytes: end - start, content: Content::Frames(frames) })
}

/// Ends an extent where no record follows, or the last record's length proves to be wrong.
fn close_at_damage(
    log: LogFile<'_>,
    view: &View<'_>,
    start: u64,
    at: u64,
    mut frames: Vec<Frame>,
    damage: Damage,
    policy: Corruption,
) -> Result<Cut, Error> {
    // A wrong length in the last header makes good bytes after it look like damage. Only its payload's checksum tells
    // whether the damage starts at `at` or already in that record.
    let Some(last) = frames.last().copied() else {
        return Ok(Cut::Extent(damage::region(log, at, at + 1, damage, policy)?));
    };
    if policy == Corruption::Skip || payload_matches(log, view, &last)? || length_is_trusted(log, &last, at, damage)? {
        return Ok(framed(start, at, frames));
    }
    frames.pop();
    if frames.is_empty() {
        let search_from = last.offset + HEADER_BYTES as u64;
        return Ok(Cut::Extent(damage::region(log, last.offset, search_from, Damage::LyingLength, policy)?));
    }
    Ok(framed(start, last.offset, frames))
}

/// Returns true if a record whose payload fails its checksum ends at `at` nonetheless: a valid header follows, or the
/// tail of the file does and the payload swallowed no complete record.
fn length_is_trusted(log: LogFile<'_>, last: &Frame, at: u64, damage: Damage) -> Result<bool, Error> {
    if damage == Damage::PayloadBeyondEnd {
        return Ok(true);
    }
    if damage::tail_kind(log, at, damage)?.is_none() {
        return Ok(false);
    }
    let swallowed = damage::find_record(log, last.offset + HEADER_BYTES as u64)?;
    Ok(swallowed.is_none())
}

fn payload_matches(log: LogFile<'_>, view: &View<'_>, frame: &Frame) -> Result<bool, Error> {
    let len_bytes = u64::from(frame.header.payload_len_bytes);
    match view.get(frame.offset + HEADER_BYTES as u64, len_bytes) {
        // Many headers may end in the same stray bytes. Longer ranges are not summed for each of them again.
        Some(payload) if payload.len() <= SUMMED_AT_ONCE_BYTES => {
            Ok(crc32c::crc32c(payload) == frame.header.payload_crc)
        }
        _ => damage::payload_matches(log, frame.offset, &frame.header),
    }
}
