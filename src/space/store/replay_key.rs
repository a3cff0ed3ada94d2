//! What the replay needs to know of a record, as a key that sorts into the order in which it is decided.

use super::layout::{Row, RowKind};
use crate::space::policy::Duplicates;

/// Bytes of an encoded [`Candidate`].
pub const CANDIDATE_BYTES: usize = 74;

/// A record that may become a live node, or a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Node id by docs/source-engram.md, "Node ids".
    pub uuid: [u8; 16],
    /// Digest of the exact id string.
    pub id_digest: [u8; 16],
    /// Sequence number.
    pub sequence: u64,
    /// Number of the source file.
    pub file: u32,
    /// Offset of the record in it.
    pub offset: u64,
    /// Episode, memory or deletion.
    pub kind: RowKind,
    /// Block number.
    pub block: u64,
    /// Row in the block.
    pub row: u32,
}

impl Candidate {
    /// Returns the candidate of a row; `None` for rows that the replay ignores.
    pub fn from_row(row: &Row, file: u32, block: u64, row_number: u32) -> Option<Self> {
        let kind = RowKind::from_number(row.kind.get())?;
        matches!(kind, RowKind::Episode | RowKind::Memory | RowKind::Delete).then(|| Self {
            uuid: row.uuid,
            id_digest: row.id_digest,
            sequence: row.sequence.get(),
            file,
            offset: row.source_offset.get(),
            kind,
            block,
            row: row_number,
        })
    }

    /// Canonical order: sequence, file name, offset (docs/source-engram.md, "Replay order and duplicates").
    pub fn canonical_order(&self) -> (u64, u32, u64) {
        (self.sequence, self.file, self.offset)
    }

    /// Returns the key: node id, id string, imports last, then the order that the policy prescribes. Big-endian, so
    /// that keys compare as bytes.
    pub fn encode(&self, duplicates: Duplicates) -> [u8; CANDIDATE_BYTES] {
        let order = if duplicates == Duplicates::Latest && self.kind != RowKind::Memory { 0 } else { self.sequence };
        let mut key = [0; CANDIDATE_BYTES];
        key[..16].copy_from_slice(&self.uuid);
        key[16..32].copy_from_slice(&self.id_digest);
        key[32] = u8::from(self.kind == RowKind::Memory);
        key[33..41].copy_from_slice(&order.to_be_bytes());
        key[41..45].copy_from_slice(&self.file.to_be_bytes());
        key[45..53].copy_from_slice(&self.offset.to_be_bytes());
        key[53..61].copy_from_slice(&self.sequence.to_be_bytes());
        key[61] = self.kind as u8;
        key[62..70].copy_from_slice(&self.block.to_be_bytes());
        key[70..].copy_from_slice(&self.row.to_be_bytes());
        key
    }

    /// Returns what [`Candidate::encode`] made.
    ///
    /// # Panics
    /// If the key was not made by it.
    pub fn decode(key: &[u8; CANDIDATE_BYTES]) -> Self {
        fn field<const N: usize>(key: &[u8], at: usize) -> [u8; N] {
            key[at..at + N].try_into().expect("the range has this length")
        }
        Self {
            uuid: field(key, 0),
            id_digest: field(key, 16),
            sequence: u64::from_be_bytes(field(key, 53)),
            file: u32::from_be_bytes(field(key, 41)),
            offset: u64::from_be_bytes(field(key, 45)),
            kind: RowKind::from_number(u32::from(key[61])).expect("keys come from encode"),
            block: u64::from_be_bytes(field(key, 62)),
            row: u32::from_be_bytes(field(key, 70)),
        }
    }
}
