//! The record header of an Engram log, the kinds of records, and the names of log files.
//!
//! A log file is a plain run of records, each a 64-byte header followed by its payload, with nothing before, between or
//! after. This file knows headers and names only; walking a file and judging what is damaged is the reader's task.

use std::ffi::OsStr;
use std::path::Path;

use thiserror::Error;

/// Bytes of a record header.
pub const HEADER_BYTES: usize = 64;

/// First field of every header, stored little-endian: on disk `EF BE AD DE`.
pub const MAGIC: u32 = 0xDEAD_BEEF;

/// [`MAGIC`] as it lies on disk, for searching.
pub const MAGIC_BYTES: [u8; 4] = MAGIC.to_le_bytes();

/// A decoded record header (docs/source-engram.md, "Record header"). All integers are little-endian on disk, without
/// gaps between the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalHeader {
    /// Number that the writer gave the record; not unique and not chronological across files.
    pub sequence: u64,
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
    /// The raw type; [`WalHeader::kind`] names it.
    pub entry_type: u32,
    /// Bytes of payload that follow the header.
    pub payload_len_bytes: u32,
    /// CRC-32C of the payload.
    pub payload_crc: u32,
    /// Written as zeros by Engram; covered by the header's checksum.
    pub reserved: [u8; 20],
    /// Written as zeros by Engram; covered by no checksum.
    pub pad: [u8; 8],
}

/// Why 64 bytes are not a record header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The bytes do not begin with [`MAGIC_BYTES`].
    #[error("no record magic")]
    Magic,
    /// The magic is there, but the header's checksum does not match its fields.
    #[error("header checksum mismatch")]
    Crc,
}

/// What a record is, by its entry type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// 1: an episode was stored.
    Store,
    /// 2: a memory, written by Engram's dual backend only.
    Update,
    /// 3: an id was deleted; the payload is the id, without a length.
    Delete,
    /// 4: control record without a defined payload.
    Consolidation,
    /// 5: control record that holds a sequence number.
    Checkpoint,
    /// 6: control record without a defined payload.
    Compaction,
    /// Any other value, zero included; Engram reads it as a stored episode.
    Unknown(u32),
}

impl EntryKind {
    /// Names a raw entry type.
    pub const fn from_number(entry_type: u32) -> Self {
        match entry_type {
            1 => Self::Store,
            2 => Self::Update,
            3 => Self::Delete,
            4 => Self::Consolidation,
            5 => Self::Checkpoint,
            6 => Self::Compaction,
            other => Self::Unknown(other),
        }
    }

    /// Returns the raw entry type.
    pub const fn entry_type(self) -> u32 {
        match self {
            Self::Store => 1,
            Self::Update => 2,
            Self::Delete => 3,
            Self::Consolidation => 4,
            Self::Checkpoint => 5,
            Self::Compaction => 6,
            Self::Unknown(other) => other,
        }
    }

    /// Returns whether the payload is to be decoded as an episode: a store, or a type that Engram does not know.
    pub const fn holds_episode(self) -> bool {
        matches!(self, Self::Store | Self::Unknown(_))
    }
}

impl WalHeader {
    /// Decodes a header and checks its magic and its checksum. The payload's length and checksum are not looked at:
    /// compare the length with what is left of the file before touching the payload.
    #[inline]
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, HeaderError> {
        if bytes[..4] != MAGIC_BYTES {
            return Err(HeaderError::Magic);
        }
        if header_crc(bytes) != u32_at(bytes, 32) {
            return Err(HeaderError::Crc);
        }
        let mut reserved = [0; 20];
        reserved.copy_from_slice(&bytes[36..56]);
        let mut pad = [0; 8];
        pad.copy_from_slice(&bytes[56..]);
        Ok(Self {
            sequence: u64_at(bytes, 4),
            timestamp_ns: u64_at(bytes, 12),
            entry_type: u32_at(bytes, 20),
            payload_len_bytes: u32_at(bytes, 24),
            payload_crc: u32_at(bytes, 28),
            reserved,
            pad,
        })
    }

    /// Returns the header as it lies on disk, with its checksum.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC_BYTES);
        bytes[4..12].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.timestamp_ns.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.entry_type.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.payload_len_bytes.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[36..56].copy_from_slice(&self.reserved);
        bytes[56..].copy_from_slice(&self.pad);
        let crc = header_crc(&bytes);
        bytes[32..36].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Returns what the record is.
    pub const fn kind(&self) -> EntryKind {
        EntryKind::from_number(self.entry_type)
    }

    /// Returns whether the reserved or the pad bytes hold anything but zeros, which is accepted and noted.
    pub fn has_extra_bytes(&self) -> bool {
        self.reserved != [0; 20] || self.pad != [0; 8]
    }

    /// Returns whether `payload` has the checksum that the header states.
    #[inline]
    pub fn payload_matches(&self, payload: &[u8]) -> bool {
        crc32c::crc32c(payload) == self.payload_crc
    }
}

/// Returns the checksum over the fields before the checksum itself and the reserved bytes after it.
fn header_crc(bytes: &[u8; HEADER_BYTES]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..32]), &bytes[36..56])
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Appends one whole record, header and payload, to `log`; `write_payload` appends the payload in place.
///
/// # Panics
///
/// When the payload is longer than a header can state (4 GiB − 1).
pub fn append_record_with(
    log: &mut Vec<u8>,
    sequence: u64,
    timestamp_ns: u64,
    entry_type: u32,
    write_payload: impl FnOnce(&mut Vec<u8>),
) {
    let start = log.len();
    log.extend_from_slice(&[0; HEADER_BYTES]);
    write_payload(log);
    let (header_bytes, payload) = log[start..].split_at_mut(HEADER_BYTES);
    let header = WalHeader {
        sequence,
        timestamp_ns,
        entry_type,
        payload_len_bytes: u32::try_from(payload.len()).expect("a payload fits a 32-bit length"),
        payload_crc: crc32c::crc32c(payload),
        reserved: [0; 20],
        pad: [0; 8],
    };
    header_bytes.copy_from_slice(&header.encode());
}

/// Appends one whole record, header and payload, to `log`.
///
/// # Panics
///
/// As [`append_record_with`].
pub fn append_record(log: &mut Vec<u8>, sequence: u64, timestamp_ns: u64, entry_type: u32, payload: &[u8]) {
    append_record_with(log, sequence, timestamp_ns, entry_type, |out| out.extend_from_slice(payload));
}

/// Returns one whole record, header and payload, for a test that writes a log by hand.
///
/// # Panics
///
/// As [`append_record`].
#[cfg(any(test, feature = "internals"))]
pub fn encode_record(sequence: u64, timestamp_ns: u64, entry_type: u32, payload: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER_BYTES + payload.len());
    append_record(&mut record, sequence, timestamp_ns, entry_type, payload);
    record
}

/// Returns the name that Engram gives a log opened `secs` seconds after the Unix epoch.
pub fn wal_file_name(secs: u64) -> String {
    format!("wal-{secs:016x}.log")
}

/// Returns whether Engram reads a file of this name (docs/source-engram.md, "Directory and file names"): valid UTF-8
/// that starts with `wal-` and has the extension `log`, in exactly this case. The digits between are not looked at.
pub fn is_wal_name(name: &OsStr) -> bool {
    name.to_str().is_some_and(|text| text.starts_with("wal-"))
        && Path::new(name).extension().is_some_and(|extension| extension == "log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header() -> impl Strategy<Value = WalHeader> {
        (any::<(u64, u64, u32, u32, u32)>(), any::<[u8; 20]>(), any::<[u8; 8]>()).prop_map(|(fields, reserved, pad)| {
            let (sequence, timestamp_ns, entry_type, payload_len_bytes, payload_crc) = fields;
            WalHeader { sequence, timestamp_ns, entry_type, payload_len_bytes, payload_crc, reserved, pad }
        })
    }

    proptest! {
        #[test]
        fn a_header_survives_the_disk(header in header()) {
            prop_assert_eq!(WalHeader::parse(&header.encode()), Ok(header));
        }

        #[test]
        fn any_damage_before_the_pad_is_found(header in header(), at in 0usize..56, flip in 1u8..) {
            let mut bytes = header.encode();
            bytes[at] ^= flip;
            let expected = if at < 4 { HeaderError::Magic } else { HeaderError::Crc };
            prop_assert_eq!(WalHeader::parse(&bytes), Err(expected));
        }

        #[test]
        fn pad_bytes_are_free(header in header(), pad in any::<[u8; 8]>()) {
            let mut bytes = header.encode();
            bytes[56..].copy_from_slice(&pad);
            prop_assert_eq!(WalHeader::parse(&bytes), Ok(WalHeader { pad, ..header }));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), HEADER_BYTES)) {
            let _ = WalHeader::parse(bytes.as_slice().try_into().unwrap());
        }
    }

    #[test]
    fn fields_lie_where_the_table_says() {
        let record = encode_record(0x0102, 0x0304, 3, b"123456789");
        assert_eq!(record.len(), 64 + 9);
        assert_eq!(record[..12], [0xEF, 0xBE, 0xAD, 0xDE, 2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(record[12..24], [4, 3, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(record[24..32], [9, 0, 0, 0, 0x83, 0x92, 0x06, 0xE3]);
        let header = WalHeader::parse(record[..64].try_into().unwrap()).unwrap();
        assert_eq!(header.kind(), EntryKind::Delete);
        assert!(header.payload_matches(b"123456789") && !header.payload_matches(b"12345678"));
        assert!(!header.has_extra_bytes());
        assert!(WalHeader { pad: [0, 0, 0, 0, 0, 0, 0, 1], ..header }.has_extra_bytes());
    }

    #[test]
    fn every_type_has_one_kind() {
        for raw in (0..8).chain([u32::MAX]) {
            assert_eq!(EntryKind::from_number(raw).entry_type(), raw);
        }
        assert!(EntryKind::from_number(0).holds_episode() && EntryKind::from_number(1).holds_episode());
        assert!(!EntryKind::from_number(2).holds_episode() && !EntryKind::from_number(5).holds_episode());
    }

    #[test]
    fn names_are_selected_as_engram_does() {
        for read in ["wal-0000000065a0b1c2.log", "wal-zzz.log", "wal-.log", "wal-1.tmp.log", "wal-é.log"] {
            assert!(is_wal_name(OsStr::new(read)), "{read}");
        }
        for other in ["foo.log", "wal-1.LOG", "WAL-1.log", "wal-1.log.tmp", "wal-log", "wal-", "wal-1.log.", ""] {
            assert!(!is_wal_name(OsStr::new(other)), "{other}");
        }
        assert_eq!(wal_file_name(0x65a0_b1c2), "wal-0000000065a0b1c2.log");
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_not_utf8_is_not_read() {
        use std::os::unix::ffi::OsStrExt;
        assert!(!is_wal_name(OsStr::from_bytes(b"wal-\xff.log")));
    }
}
