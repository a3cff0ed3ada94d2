//! The fixed-width parts of a dual-memory store, byte for byte (tables in `docs/formats.md`).
//! All integers are little-endian; no field is pointer-sized.

use zerocopy::byteorder::little_endian::{F32, I64, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Version of every file of the store.
pub const FORMAT_VERSION: u32 = 1;
/// Values of one embedding.
pub const DIMENSIONS: usize = 768;
/// Bytes of one embedding.
pub const EMBEDDING_BYTES: usize = DIMENSIONS * 4;
/// Blocks start at multiples of this and are padded to it, so that each can be mapped alone.
pub const BLOCK_ALIGN_BYTES: u64 = 4096;
/// The embedding matrix starts at a multiple of this within its block.
pub const MATRIX_ALIGN_BYTES: usize = 64;
/// Bytes of the BLAKE3 digest that ends a block.
pub const DIGEST_BYTES: usize = 32;
/// A segment starts with this many bytes of header.
pub const SEGMENT_HEADER_BYTES: u64 = 4096;
/// Segment number of a table entry that has no block: a damaged region, a torn or zero tail.
pub const NO_SEGMENT: u32 = u32::MAX;

/// First bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"HAULSEG1";
/// First bytes of a block.
pub const BLOCK_MAGIC: [u8; 8] = *b"HAULBLK1";
/// First bytes of `blocks.index`.
pub const TABLE_MAGIC: [u8; 8] = *b"HAULTBL1";
/// First bytes of `ids.index`.
pub const IDS_MAGIC: [u8; 8] = *b"HAULIDS1";
/// First bytes of `marks.index`.
pub const MARKS_MAGIC: [u8; 8] = *b"HAULMRK1";

/// Start of a segment; the rest of its 4,096 bytes is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SegmentHeader {
    /// [`SEGMENT_MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub version: U32,
    /// Number of the segment, from 0.
    pub segment: U32,
}

/// Returns the first [`SEGMENT_HEADER_BYTES`] of a segment.
pub fn segment_header(segment: u32) -> [u8; SEGMENT_HEADER_BYTES as usize] {
    let header = SegmentHeader { magic: SEGMENT_MAGIC, version: U32::new(FORMAT_VERSION), segment: U32::new(segment) };
    let mut bytes = [0; SEGMENT_HEADER_BYTES as usize];
    bytes[..size_of::<SegmentHeader>()].copy_from_slice(header.as_bytes());
    bytes
}

/// Start of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BlockHeader {
    /// [`BLOCK_MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub version: U32,
    /// Bytes of one row: 160.
    pub row_bytes: U32,
    /// Number of the block: its place in `blocks.index`.
    pub block: U64,
    /// Rows that are nodes; they come first, each with an embedding.
    pub node_rows: U32,
    /// Rows that are other records of the log: deletions, updates that were not imported, control records.
    pub other_rows: U32,
    /// Offset of the embedding matrix in the block.
    pub matrix_offset: U64,
    /// Offset of the heap in the block.
    pub heap_offset: U64,
    /// Bytes of the heap.
    pub heap_bytes: U64,
    /// Bytes of the whole block, padding and digest included.
    pub block_bytes: U64,
    /// Number of the source file, in the order of the manifest.
    pub source_file: U32,
    /// 1 if the source bytes of the block can be rebuilt whole from its rows ([`BLOCK_REBUILDS_SOURCE`]).
    pub flags: U32,
    /// Where the block's source bytes start in that file.
    pub source_offset: U64,
    /// How many source bytes the block covers.
    pub source_bytes: U64,
    /// BLAKE3 of those source bytes.
    pub source_digest: [u8; DIGEST_BYTES],
    /// Zero.
    pub reserved: [u8; 136],
}

/// Every source byte of the block belongs to a row, and no header has bytes that the rows do not hold.
pub const BLOCK_REBUILDS_SOURCE: u32 = 1;

/// Bytes of [`BlockHeader`].
pub const BLOCK_HEADER_BYTES: usize = size_of::<BlockHeader>();

/// One record: the node's fixed-width fields and where the record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Row {
    /// Node id by docs/source-engram.md, "Node ids", before any rekeying. For a deletion the id that its target would
    /// have.
    pub uuid: [u8; 16],
    /// First 16 bytes of the BLAKE3 of the exact id string.
    pub id_digest: [u8; 16],
    /// Sequence number in the log.
    pub sequence: U64,
    /// Offset of the record's header in its source file.
    pub source_offset: U64,
    /// Header time, nanoseconds since the epoch.
    pub wal_timestamp_ns: U64,
    /// Entry type as in the header.
    pub entry_type: U32,
    /// Payload bytes, embedding included.
    pub payload_bytes: U32,
    /// CRC-32C of the payload, as in the header.
    pub payload_crc: U32,
    /// [`RowKind`].
    pub kind: U32,
    /// Creation time, seconds since the epoch.
    pub created_at_seconds: I64,
    /// Last access, seconds since the epoch.
    pub last_access_seconds: I64,
    /// Nanoseconds of the creation time; 10⁹ and more within a leap second.
    pub created_at_nanos: U32,
    /// Nanoseconds of the last access.
    pub last_access_nanos: U32,
    /// Strength of the episode.
    pub strength: F32,
    /// Activation.
    pub activation: F32,
    /// Confidence, the record's exact bits.
    pub confidence: F32,
    /// Consolidation score.
    pub consolidation_score: F32,
    /// Recall count of an episode, access count of a memory.
    pub access_count: U64,
    /// Offset of the record's bytes in the heap: the payload without the embedding.
    pub heap_offset: U32,
    /// Length of those bytes.
    pub heap_bytes: U32,
    /// Where in the payload the embedding stood.
    pub embedding_offset: U32,
    /// Bytes of the id string, which starts 8 bytes into the heap entry (at 0 for a deletion).
    pub id_bytes: U32,
    /// Offset of the content text in the heap entry.
    pub content_offset: U32,
    /// Bytes of the content text; all ones if there is none.
    pub content_bytes: U32,
    /// [`NODE_TYPE_EPISODE`]; other types are reserved.
    pub node_type: U32,
    /// `NOTE_*` bits: what was unusual about the record.
    pub notes: U32,
    /// Zero.
    pub reserved: [u8; 8],
}

/// Bytes of [`Row`].
pub const ROW_BYTES: usize = size_of::<Row>();

/// `node_type` of an episode; the log of Engram holds no other.
pub const NODE_TYPE_EPISODE: u32 = 0;
/// `content_bytes` of a memory without content.
pub const NO_CONTENT: u32 = u32::MAX;

/// What a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum RowKind {
    /// A node made from an episode record.
    Episode = 1,
    /// A node made from a memory record (type 2, imported).
    Memory = 2,
    /// A deletion: the payload is the id.
    Delete = 3,
    /// A memory record that was not imported.
    Update = 4,
    /// A control record.
    Control = 5,
}

impl RowKind {
    /// Returns the kind with this number, for tests of the format.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Episode),
            2 => Some(Self::Memory),
            3 => Some(Self::Delete),
            4 => Some(Self::Update),
            5 => Some(Self::Control),
            _ => None,
        }
    }

    /// Returns true if the row has an embedding and can be a node.
    pub fn is_node(self) -> bool {
        matches!(self, Self::Episode | Self::Memory)
    }
}

/// Reserved or pad bytes of the header are not zero; they are not kept.
pub const NOTE_HEADER_BYTES: u32 = 1;
/// The entry type is unknown to Engram and was read as an episode.
pub const NOTE_UNKNOWN_TYPE: u32 = 1 << 1;
/// Bytes follow the decoded payload.
pub const NOTE_TRAILING_BYTES: u32 = 1 << 2;
/// A metadata key is repeated.
pub const NOTE_REPEATED_KEY: u32 = 1 << 3;
/// The embedding holds a NaN or an infinity.
pub const NOTE_NON_FINITE: u32 = 1 << 4;
/// A timestamp is not in the form that Engram writes.
pub const NOTE_TIME_FORM: u32 = 1 << 5;
/// A value is out of Engram's range and was kept on request.
pub const NOTE_OUT_OF_RANGE: u32 = 1 << 6;

/// Header of the three index files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IndexHeader {
    /// [`TABLE_MAGIC`], [`IDS_MAGIC`] or [`MARKS_MAGIC`].
    pub magic: [u8; 8],
    /// [`FORMAT_VERSION`].
    pub version: U32,
    /// Bytes of one entry.
    pub entry_bytes: U32,
    /// Zero.
    pub reserved: [u8; 48],
}

/// Bytes of [`IndexHeader`].
pub const INDEX_HEADER_BYTES: u64 = size_of::<IndexHeader>() as u64;

impl IndexHeader {
    /// Returns a header for entries of this size.
    pub fn new(magic: [u8; 8], entry_bytes: usize) -> Self {
        Self { magic, version: U32::new(FORMAT_VERSION), entry_bytes: U32::new(entry_bytes as u32), reserved: [0; 48] }
    }
}

/// Entry of `blocks.index`: one stretch of the source, in source order, and the block made from it.
/// The stretches of a file follow each other without a gap and cover it whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct TableEntry {
    /// Segment that holds the block, or [`NO_SEGMENT`].
    pub segment: U32,
    /// Number of the source file.
    pub source_file: U32,
    /// Offset of the block in its segment.
    pub block_offset: U64,
    /// Bytes of the block.
    pub block_bytes: U64,
    /// Offset of the stretch in its source file.
    pub source_offset: U64,
    /// Bytes of the stretch.
    pub source_bytes: U64,
    /// Rows that are nodes.
    pub node_rows: U32,
    /// Other rows.
    pub other_rows: U32,
    /// [`RegionKind`] of a stretch without block, else 0.
    pub region: U32,
    /// Zero.
    pub reserved: [u8; 12],
    /// The digest that ends the block; zero without a block.
    pub block_digest: [u8; DIGEST_BYTES],
    /// BLAKE3 of the source bytes.
    pub source_digest: [u8; DIGEST_BYTES],
}

/// Bytes of [`TableEntry`].
pub const TABLE_ENTRY_BYTES: usize = size_of::<TableEntry>();

/// Entry of `ids.index`, sorted by node id: the live nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct IdEntry {
    /// Node id.
    pub uuid: [u8; 16],
    /// Block number.
    pub block: U64,
    /// Row in the block.
    pub row: U32,
    /// 1 if the id differs from the row's because of a collision.
    pub rekeyed: U32,
}

/// Bytes of [`IdEntry`].
pub const ID_ENTRY_BYTES: usize = size_of::<IdEntry>();

/// Entry of `marks.index`, sorted by (block, row): node rows that are not live under their own id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MarkEntry {
    /// Block number.
    pub block: U64,
    /// Row in the block.
    pub row: U32,
    /// [`MarkKind`].
    pub kind: U32,
    /// The id that a rekeyed node has instead; else zero.
    pub uuid: [u8; 16],
}

/// Bytes of [`MarkEntry`].
pub const MARK_ENTRY_BYTES: usize = size_of::<MarkEntry>();

/// Why a node row is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum MarkKind {
    /// Loser among equals: all fields are those of the winner.
    DuplicateIdentical = 1,
    /// Loser among records of one id that differ.
    DuplicateDifferent = 2,
    /// Removed by a later deletion.
    Deleted = 3,
    /// A memory record whose id was live already.
    NotApplied = 4,
    /// Live under another node id because of a collision.
    Rekeyed = 5,
}

#[cfg(any(test, feature = "internals"))]
impl MarkKind {
    /// Returns the kind with this number, for tests of the format.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::DuplicateIdentical),
            2 => Some(Self::DuplicateDifferent),
            3 => Some(Self::Deleted),
            4 => Some(Self::NotApplied),
            5 => Some(Self::Rekeyed),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_have_the_documented_sizes() {
        assert_eq!(size_of::<SegmentHeader>(), 16);
        assert_eq!(BLOCK_HEADER_BYTES, 256);
        assert_eq!(ROW_BYTES, 160);
        assert_eq!(INDEX_HEADER_BYTES, 64);
        assert_eq!(TABLE_ENTRY_BYTES, 128);
        assert_eq!(ID_ENTRY_BYTES, 32);
        assert_eq!(MARK_ENTRY_BYTES, 32);
    }
}
