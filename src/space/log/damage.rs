//! Classifies the bytes of a log file where no complete record starts, and searches for the next record.

use super::extent::{Content, Extent, Region, RegionKind};
use super::range_sums::LogFile;
use super::wal::{HEADER_BYTES, MAGIC, WalHeader};
use crate::migration::Error;
use crate::space::policy::Corruption;

const CHUNK_BYTES: usize = 1 << 20;

/// Why no complete record starts at an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Fewer bytes are left than a header has.
    Short,
    /// The header is right, but the file ends within the payload.
    PayloadBeyondEnd,
    /// Wrong magic number.
    Magic,
    /// Wrong header checksum.
    HeaderChecksum,
    /// A framed payload fails its checksum and no record follows it: its length is not to be trusted.
    LyingLength,
}

impl Damage {
    fn reason(self) -> &'static str {
        match self {
            Self::Short => "trailing bytes that are no torn record",
            Self::PayloadBeyondEnd => "payload reaches past the end of the file, with a complete record inside",
            Self::Magic => "wrong magic number",
            Self::HeaderChecksum => "header checksum mismatch",
            Self::LyingLength => "payload checksum mismatch and no record where it ends",
        }
    }
}

/// Returns the extent without records that begins at `start`. After damage the next record is searched from
/// `search_from` on, except under `skip`, which gives up the rest of the file.
pub fn region(
    log: LogFile<'_>,
    start: u64,
    search_from: u64,
    damage: Damage,
    policy: Corruption,
) -> Result<Extent, Error> {
    let file_end = log.file.identity().len_bytes;
    if let Some(kind) = tail_kind(log, start, damage)? {
        let reason = match kind {
            RegionKind::ZeroTail => "zero-filled tail",
            _ if damage == Damage::Short => "torn tail: cut within a header",
            _ => "torn tail: cut within a payload",
        };
        return Ok(extent(start, file_end, Region { kind, reason }));
    }
    // `fail` searches as well: its report then says where readable records start again.
    let end = match policy {
        Corruption::Skip => file_end,
        Corruption::Fail | Corruption::Resync => find_record(log, search_from)?.unwrap_or(file_end),
    };
    Ok(extent(start, end, Region { kind: RegionKind::Damaged, reason: damage.reason() }))
}

fn extent(start: u64, end: u64, region: Region) -> Extent {
    Extent { start, len_bytes: end - start, content: Content::Region(region) }
}

/// Returns the kind of tail from `start` to the end of the file; `None` if the bytes are damage.
pub fn tail_kind(log: LogFile<'_>, start: u64, damage: Damage) -> Result<Option<RegionKind>, Error> {
    let left = log.file.identity().len_bytes - start;
    Ok(match damage {
        Damage::LyingLength => None,
        Damage::PayloadBeyondEnd => find_record(log, start + 1)?.is_none().then_some(RegionKind::TornTail),
        _ if is_zero_to_end(log, start)? => Some(RegionKind::ZeroTail),
        Damage::Short => {
            let mut head = [0; 4];
            let head = &mut head[..left.min(4) as usize];
            log.read_exact_at(start, head)?;
            MAGIC.to_le_bytes().starts_with(head).then_some(RegionKind::TornTail)
        }
        Damage::Magic | Damage::HeaderChecksum => None,
    })
}

fn is_zero_to_end(log: LogFile<'_>, start: u64) -> Result<bool, Error> {
    let end = log.file.identity().len_bytes;
    let mut buffer = vec![0; CHUNK_BYTES.min((end - start) as usize)];
    let mut at = start;
    while at < end {
        let part = &mut buffer[..CHUNK_BYTES.min((end - at) as usize)];
        log.read_exact_at(at, part)?;
        if part.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        at += part.len() as u64;
    }
    Ok(true)
}

/// Returns the offset of the first complete record at or after `from`: magic, header checksum and payload checksum all
/// right.
pub fn find_record(log: LogFile<'_>, from: u64) -> Result<Option<u64>, Error> {
    let end = log.file.identity().len_bytes;
    let magic = MAGIC.to_le_bytes();
    let mut buffer = vec![0; CHUNK_BYTES.min(end.saturating_sub(from) as usize)];
    let mut at = from;
    while at + (HEADER_BYTES as u64) <= end {
        let part = &mut buffer[..CHUNK_BYTES.min((end - at) as usize)];
        log.read_exact_at(at, part)?;
        for hit in memchr::memmem::find_iter(part, &magic) {
            if is_record(log, at + hit as u64)? {
                return Ok(Some(at + hit as u64));
            }
        }
        // A magic number may lie across two chunks.
        at += (part.len() - (magic.len() - 1)) as u64;
    }
    Ok(None)
}

fn is_record(log: LogFile<'_>, offset: u64) -> Result<bool, Error> {
    let end = log.file.identity().len_bytes;
    if offset + HEADER_BYTES as u64 > end {
        return Ok(false);
    }
    let mut bytes = [0; HEADER_BYTES];
    log.read_exact_at(offset, &mut bytes)?;
    let Ok(header) = WalHeader::parse(&bytes) else { return Ok(false) };
    let payload = offset + HEADER_BYTES as u64;
    if u64::from(header.payload_len_bytes) > end - payload {
        return Ok(false);
    }
    payload_matches(log, offset, &header)
}

/// Returns true if the payload after the header at `offset` has the checksum that the header says. It must lie within the
/// file.
pub fn payload_matches(log: LogFile<'_>, offset: u64, header: &WalHeader) -> Result<bool, Error> {
    let len_bytes = u64::from(header.payload_len_bytes);
    Ok(log.sums.crc32c(log, offset + HEADER_BYTES as u64, len_bytes)? == header.payload_crc)
}

/// Returns the extent of a record with an enormous payload that fails its checksum. It ends where the record ends, if
/// that is to be trusted, else as any damage does.
pub fn enormous(log: LogFile<'_>, offset: u64, end: u64, policy: Corruption) -> Result<Extent, Error> {
    let mut header = [0; HEADER_BYTES];
    let left = log.file.identity().len_bytes - end;
    let next = match left >= HEADER_BYTES as u64 {
        true => {
            log.read_exact_at(end, &mut header)?;
            WalHeader::parse(&header).is_ok()
        }
        false => left == 0,
    };
    if next {
        let reason = "payload checksum mismatch in a record of more than 32 MiB";
        return Ok(extent(offset, end, Region { kind: RegionKind::Damaged, reason }));
    }
    region(log, offset, offset + HEADER_BYTES as u64, Damage::LyingLength, policy)
}
