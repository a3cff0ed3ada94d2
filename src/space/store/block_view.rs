//! A block in memory: checked once, then read without decoding.

use std::path::Path;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::layout::{
    BLOCK_ALIGN_BYTES, BLOCK_HEADER_BYTES, BLOCK_MAGIC, BLOCK_REBUILDS_SOURCE, BlockHeader, DIGEST_BYTES, DIMENSIONS,
    EMBEDDING_BYTES, FORMAT_VERSION, MATRIX_ALIGN_BYTES, NO_CONTENT, ROW_BYTES, Row, RowKind,
};
use super::node::{DualMemoryNode, LiveMemory, MemoryNodeType};
use super::table::corrupt;
use crate::migration::Error;
use crate::space::log::timestamp::Timestamp;
use crate::space::log::wal::{HEADER_BYTES, WalHeader};

#[cfg(target_endian = "big")]
compile_error!("the little-endian embedding matrix is borrowed as it is stored");

/// 64 bytes at a 64-byte boundary: what keeps the matrix of a block aligned.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Bytes at a 64-byte boundary.
#[derive(Debug, Clone, Default)]
pub struct AlignedBytes {
    lines: Vec<Line>,
    len: usize,
}

impl AlignedBytes {
    /// Makes the buffer this long; its content is unspecified.
    pub fn resize(&mut self, len: usize) {
        self.lines.resize(len.div_ceil(64), Line([0; 64]));
        self.len = len;
    }

    /// Returns the bytes, for filling.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.lines.as_mut_bytes()[..self.len]
    }
}

impl std::ops::Deref for AlignedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.lines.as_bytes()[..self.len]
    }
}

impl From<&[u8]> for AlignedBytes {
    fn from(bytes: &[u8]) -> Self {
        let mut aligned = Self::default();
        aligned.resize(bytes.len());
        aligned.as_mut_slice().copy_from_slice(bytes);
        aligned
    }
}

/// One block whose structure was checked. Its digest is checked by [`Block::digest_matches`].
#[derive(Debug, Clone)]
pub struct Block {
    bytes: AlignedBytes,
    header: BlockHeader,
}

impl Block {
    /// Checks that everything the header and the rows point to lies within the block. `path` and `offset` are for errors.
    pub fn parse(bytes: AlignedBytes, path: &Path, offset: u64) -> Result<Self, Error> {
        let wrong = |at: usize, what: &str| corrupt(path, offset + at as u64, what);
        let Ok((header, _)) = BlockHeader::read_from_prefix(&bytes) else {
            return Err(wrong(0, "block is shorter than its header"));
        };
        if header.magic != BLOCK_MAGIC {
            return Err(wrong(0, "wrong magic number of a block"));
        }
        if header.version.get() != FORMAT_VERSION || header.row_bytes.get() as usize != ROW_BYTES {
            return Err(wrong(8, "unknown version of a block"));
        }
        let block = Self { header, bytes };
        if !block.has_consistent_offsets() {
            return Err(wrong(0, "block header contradicts itself"));
        }
        let mut heap_end = 0;
        for (number, row) in block.rows().iter().enumerate() {
            if !block.row_is_sound(number as u32, row) {
                return Err(wrong(BLOCK_HEADER_BYTES + number * ROW_BYTES, "row points outside its block"));
            }
            // Rows that shared bytes of the heap could rebuild far more than the block holds.
            if u64::from(row.heap_offset.get()) != heap_end {
                return Err(wrong(BLOCK_HEADER_BYTES + number * ROW_BYTES, "heap entries do not follow each other"));
            }
            heap_end += u64::from(row.heap_bytes.get());
        }
        if heap_end != header.heap_bytes.get() {
            return Err(wrong(0, "heap entries do not fill the heap"));
        }
        Ok(block)
    }

    fn has_consistent_offsets(&self) -> bool {
        let header = &self.header;
        let nodes = u64::from(header.node_rows.get());
        let rows_end = BLOCK_HEADER_BYTES as u64 + (nodes + u64::from(header.other_rows.get())) * ROW_BYTES as u64;
        let heap_offset = header.heap_offset.get();
        let len = self.bytes.len() as u64;
        header.block_bytes.get() == len
            && len.is_multiple_of(BLOCK_ALIGN_BYTES)
            && header.matrix_offset.get() == rows_end.next_multiple_of(MATRIX_ALIGN_BYTES as u64)
            && heap_offset.checked_sub(header.matrix_offset.get()) == Some(nodes * EMBEDDING_BYTES as u64)
            && heap_offset
                .checked_add(header.heap_bytes.get())
                .and_then(|end| end.checked_add(DIGEST_BYTES as u64))
                .is_some_and(|end| end <= len)
    }

    fn row_is_sound(&self, number: u32, row: &Row) -> bool {
        let Some(kind) = RowKind::from_number(row.kind.get()) else { return false };
        let heap_bytes = u64::from(row.heap_bytes.get());
        let payload_bytes = u64::from(row.payload_bytes.get());
        let embedded = if kind.is_node() { EMBEDDING_BYTES as u64 } else { 0 };
        if kind.is_node() != (number < self.header.node_rows.get())
            || u64::from(row.heap_offset.get()) + heap_bytes > self.header.heap_bytes.get()
            || heap_bytes + embedded != payload_bytes
            || (kind.is_node() && u64::from(row.embedding_offset.get()) > heap_bytes)
        {
            return false;
        }
        let heap = self.heap(row);
        let content_sound = row.content_bytes.get() == NO_CONTENT
            || text(heap, row.content_offset.get(), row.content_bytes.get()).is_some();
        let id_sound = matches!(kind, RowKind::Update | RowKind::Control)
            || text(heap, id_offset(kind), row.id_bytes.get()).is_some();
        content_sound && id_sound
    }

    /// Gives the buffer back for the next block.
    pub fn into_bytes(self) -> AlignedBytes {
        self.bytes
    }

    /// Returns the header.
    pub fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// Returns the digest that ends the block.
    pub fn digest(&self) -> [u8; DIGEST_BYTES] {
        self.bytes[self.bytes.len() - DIGEST_BYTES..].try_into().expect("a slice of digest length")
    }

    /// Returns true if the block's bytes have the digest that ends it.
    pub fn digest_matches(&self) -> bool {
        let body = &self.bytes[..self.bytes.len() - DIGEST_BYTES];
        *blake3::hash(body).as_bytes() == self.digest()
    }

    /// Returns all rows: nodes first, then the others, each in source order.
    pub fn rows(&self) -> &[Row] {
        let count = (self.header.node_rows.get() + self.header.other_rows.get()) as usize;
        let bytes = &self.bytes[BLOCK_HEADER_BYTES..BLOCK_HEADER_BYTES + count * ROW_BYTES];
        <[Row]>::ref_from_bytes(bytes).expect("whole rows")
    }

    /// Returns the embeddings of the node rows: `node_rows × 768` f32, 64-byte aligned.
    pub fn embeddings(&self) -> &[[f32; DIMENSIONS]] {
        let start = self.header.matrix_offset.get() as usize;
        let bytes = &self.bytes[start..self.header.heap_offset.get() as usize];
        <[[f32; DIMENSIONS]]>::ref_from_bytes(bytes).expect("an aligned matrix of whole rows")
    }

    /// Returns a node row. `None` if there is none with this number.
    pub fn node(&self, row: u32) -> Option<NodeRef<'_>> {
        (row < self.header.node_rows.get()).then(|| NodeRef {
            block: self,
            row: &self.rows()[row as usize],
            number: row,
        })
    }

    /// Returns the node rows.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeRef<'_>> {
        self.rows()[..self.header.node_rows.get() as usize].iter().enumerate().map(|(number, row)| NodeRef {
            block: self,
            row,
            number: number as u32,
        })
    }

    fn heap(&self, row: &Row) -> &[u8] {
        let start = self.header.heap_offset.get() as usize + row.heap_offset.get() as usize;
        &self.bytes[start..start + row.heap_bytes.get() as usize]
    }

    fn embedding_bytes(&self, row_number: u32) -> &[u8] {
        let start = self.header.matrix_offset.get() as usize + row_number as usize * EMBEDDING_BYTES;
        &self.bytes[start..start + EMBEDDING_BYTES]
    }

    /// Appends the original payload of a row to `out`.
    pub fn append_payload(&self, row_number: u32, out: &mut Vec<u8>) {
        let row = &self.rows()[row_number as usize];
        let heap = self.heap(row);
        if row_number < self.header.node_rows.get() {
            let (before, after) = heap.split_at(row.embedding_offset.get() as usize);
            out.extend_from_slice(before);
            out.extend_from_slice(self.embedding_bytes(row_number));
            out.extend_from_slice(after);
        } else {
            out.extend_from_slice(heap);
        }
    }

    /// Returns true if [`Block::append_source`] gives back all source bytes of the block.
    pub fn rebuilds_source(&self) -> bool {
        self.header.flags.get() & BLOCK_REBUILDS_SOURCE != 0
    }

    /// Appends the block's source bytes, headers and payloads in the order of the log.
    pub fn append_source(&self, out: &mut Vec<u8>) {
        let mut order: Vec<u32> = (0..self.rows().len() as u32).collect();
        order.sort_by_key(|&number| self.rows()[number as usize].source_offset.get());
        for number in order {
            out.extend_from_slice(&self.log_header(&self.rows()[number as usize]));
            self.append_payload(number, out);
        }
    }

    fn log_header(&self, row: &Row) -> [u8; HEADER_BYTES] {
        WalHeader {
            sequence: row.sequence.get(),
            timestamp_ns: row.wal_timestamp_ns.get(),
            entry_type: row.entry_type.get(),
            payload_len_bytes: row.payload_bytes.get(),
            payload_crc: row.payload_crc.get(),
            reserved: [0; 20],
            pad: [0; 8],
        }
        .encode()
    }
}

/// Finds the id string: it starts behind its length, except in a deletion, which is the id alone.
fn id_offset(kind: RowKind) -> u32 {
    if kind == RowKind::Delete { 0 } else { 8 }
}

fn text(heap: &[u8], offset: u32, len_bytes: u32) -> Option<&str> {
    let start = offset as usize;
    std::str::from_utf8(heap.get(start..start.checked_add(len_bytes as usize)?)?).ok()
}

/// A node row of a block.
#[derive(Debug, Clone, Copy)]
pub struct NodeRef<'a> {
    block: &'a Block,
    row: &'a Row,
    number: u32,
}

impl<'a> NodeRef<'a> {
    /// Node id by docs/source-engram.md, "Node ids", before rekeying.
    pub fn uuid(&self) -> uuid::Uuid {
        uuid::Uuid::from_bytes(self.row.uuid)
    }

    /// Number of the row.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Returns the fixed-width fields.
    pub fn row(&self) -> &'a Row {
        self.row
    }

    /// Returns what the node was made from.
    pub fn kind(&self) -> RowKind {
        RowKind::from_number(self.row.kind.get()).expect("checked when the block was parsed")
    }

    /// Returns the original string id.
    pub fn episode_id(&self) -> &'a str {
        text(self.block.heap(self.row), id_offset(self.kind()), self.row.id_bytes.get())
            .expect("checked when the block was parsed")
    }

    /// Returns the content text.
    pub fn content(&self) -> Option<&'a str> {
        if self.row.content_bytes.get() == NO_CONTENT {
            return None;
        }
        text(self.block.heap(self.row), self.row.content_offset.get(), self.row.content_bytes.get())
    }

    /// Returns the embedding, borrowed from the matrix.
    pub fn embedding(&self) -> &'a [f32; DIMENSIONS] {
        &self.block.embeddings()[self.number as usize]
    }

    /// Creation time.
    pub fn created_at(&self) -> Timestamp {
        Timestamp { seconds: self.row.created_at_seconds.get(), nanos: self.row.created_at_nanos.get() }
    }

    /// Returns the time of the last access.
    pub fn last_access(&self) -> Timestamp {
        Timestamp { seconds: self.row.last_access_seconds.get(), nanos: self.row.last_access_nanos.get() }
    }

    /// Returns the original payload, byte for byte.
    pub fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.row.payload_bytes.get() as usize);
        self.block.append_payload(self.number, &mut payload);
        payload
    }

    /// Returns the node under the id `id`, which differs from [`NodeRef::uuid`] only after rekeying.
    pub fn to_node(&self, id: uuid::Uuid) -> DualMemoryNode {
        DualMemoryNode {
            id,
            node_type: MemoryNodeType::Episode {
                episode_id: self.episode_id().to_owned(),
                strength: self.row.strength.get(),
                consolidation_score: self.row.consolidation_score.get(),
            },
            embedding: Box::new(*self.embedding()),
            activation: self.row.activation.get(),
            confidence: self.row.confidence.get(),
            last_access: self.last_access(),
            created_at: self.created_at(),
        }
    }

    /// Returns the memory as Engram's own conversion gives it back (docs/source-engram.md, "Conversion back to
    /// Engram").
    pub fn to_memory(&self) -> LiveMemory {
        self.to_node(self.uuid()).to_memory()
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;
    use zerocopy::byteorder::little_endian::U32;

    use super::super::block::{Entry, Origin, encode_block};
    use super::*;

    /// Returns a block of deletions with these ids, its rows changed before it gets its digest.
    fn block_of(ids: &[&str], change: impl Fn(&mut [Row])) -> Result<Block, Error> {
        let row = |id: &str| {
            let mut row = Row::new_zeroed();
            row.kind = U32::new(RowKind::Delete as u32);
            row.payload_bytes = U32::new(id.len() as u32);
            row.id_bytes = U32::new(id.len() as u32);
            row.content_bytes = U32::new(NO_CONTENT);
            row
        };
        let entries: Vec<_> = ids.iter().map(|id| Entry { row: row(id), payload: id.as_bytes() }).collect();
        let origin =
            Origin { block: 0, source_file: 0, source_offset: 0, source_bytes: 0, source_digest: [0; 32], flags: 0 };
        let mut bytes = Vec::new();
        encode_block(&mut bytes, &origin, &[], &entries);
        let rows_end = BLOCK_HEADER_BYTES + ids.len() * ROW_BYTES;
        change(<[Row]>::mut_from_bytes(&mut bytes[BLOCK_HEADER_BYTES..rows_end]).expect("whole rows"));
        let body_bytes = bytes.len() - DIGEST_BYTES;
        let digest = *blake3::hash(&bytes[..body_bytes]).as_bytes();
        bytes[body_bytes..].copy_from_slice(&digest);
        Block::parse(AlignedBytes::from(bytes.as_slice()), Path::new("segment"), 0)
    }

    #[test]
    fn rows_that_share_heap_bytes_are_refused() {
        block_of(&["first", "later"], |_| ()).unwrap();
        let shared = block_of(&["first", "later"], |rows| rows[1].heap_offset = U32::new(0));
        assert!(shared.unwrap_err().to_string().contains("do not follow each other"));
        let unused = block_of(&["first", "later"], |rows| {
            rows[1].heap_bytes = U32::new(4);
            rows[1].payload_bytes = U32::new(4);
            rows[1].id_bytes = U32::new(4);
        });
        assert!(unused.unwrap_err().to_string().contains("do not fill the heap"));
    }
}
