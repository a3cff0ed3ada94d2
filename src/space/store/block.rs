//! Encodes one block: header, rows, embedding matrix, heap, digest.

use zerocopy::IntoBytes;
use zerocopy::byteorder::little_endian::{U32, U64};

use super::layout::{
    BLOCK_ALIGN_BYTES, BLOCK_HEADER_BYTES, BLOCK_MAGIC, BlockHeader, DIGEST_BYTES, EMBEDDING_BYTES, FORMAT_VERSION,
    MATRIX_ALIGN_BYTES, ROW_BYTES, Row,
};

/// A record on its way into a block. `row` lacks the heap position only.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The fixed-width fields.
    pub row: Row,
    /// The record's payload; for a node the embedding lies at `row.embedding_offset` in it.
    pub payload: &'a [u8],
}

/// Where a block's source bytes came from.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Number of the block.
    pub block: u64,
    /// Number of the source file.
    pub source_file: u32,
    /// Offset of the source bytes.
    pub source_offset: u64,
    /// Length of the source bytes.
    pub source_bytes: u64,
    /// BLAKE3 of the source bytes.
    pub source_digest: [u8; DIGEST_BYTES],
    /// `BLOCK_*` flags.
    pub flags: u32,
}

/// Upper bound of the bytes of a block of `records` from `source_bytes`.
pub fn block_bytes_max(records: usize, source_bytes: usize) -> usize {
    BLOCK_HEADER_BYTES
        + records * ROW_BYTES
        + source_bytes
        + MATRIX_ALIGN_BYTES
        + DIGEST_BYTES
        + BLOCK_ALIGN_BYTES as usize
}

/// Appends a block to `out`, whose length is a multiple of the block alignment, and returns the block's digest.
///
/// # Panics
/// If the heap of several records exceeds 4 GiB; the limits of an extent exclude that.
pub fn encode_block(
    out: &mut Vec<u8>,
    origin: &Origin,
    nodes: &[Entry<'_>],
    others: &[Entry<'_>],
) -> [u8; DIGEST_BYTES] {
    let start = out.len();
    debug_assert_eq!(start as u64 % BLOCK_ALIGN_BYTES, 0);
    let rows_end = BLOCK_HEADER_BYTES + (nodes.len() + others.len()) * ROW_BYTES;
    let matrix_offset = rows_end.next_multiple_of(MATRIX_ALIGN_BYTES);
    let heap_offset = matrix_offset + nodes.len() * EMBEDDING_BYTES;
    let heap_bytes = nodes.iter().map(|entry| entry.payload.len() - EMBEDDING_BYTES).sum::<usize>()
        + others.iter().map(|entry| entry.payload.len()).sum::<usize>();
    let block_bytes = (heap_offset + heap_bytes + DIGEST_BYTES).next_multiple_of(BLOCK_ALIGN_BYTES as usize);
    out.reserve(block_bytes);
    let header = BlockHeader {
        magic: BLOCK_MAGIC,
        version: U32::new(FORMAT_VERSION),
        row_bytes: U32::new(ROW_BYTES as u32),
        block: U64::new(origin.block),
        node_rows: U32::new(nodes.len() as u32),
        other_rows: U32::new(others.len() as u32),
        matrix_offset: U64::new(matrix_offset as u64),
        heap_offset: U64::new(heap_offset as u64),
        heap_bytes: U64::new(heap_bytes as u64),
        block_bytes: U64::new(block_bytes as u64),
        source_file: U32::new(origin.source_file),
        flags: U32::new(origin.flags),
        source_offset: U64::new(origin.source_offset),
        source_bytes: U64::new(origin.source_bytes),
        source_digest: origin.source_digest,
        reserved: [0; 136],
    };
    out.extend_from_slice(header.as_bytes());
    append_rows(out, nodes, others);
    out.resize(start + matrix_offset, 0);
    for entry in nodes {
        let at = entry.row.embedding_offset.get() as usize;
        out.extend_from_slice(&entry.payload[at..at + EMBEDDING_BYTES]);
    }
    append_heap(out, nodes, others);
    out.resize(start + block_bytes - DIGEST_BYTES, 0);
    let digest = *blake3::hash(&out[start..]).as_bytes();
    out.extend_from_slice(&digest);
    digest
}

fn append_rows(out: &mut Vec<u8>, nodes: &[Entry<'_>], others: &[Entry<'_>]) {
    let mut heap_offset = 0_u64;
    let with_node_sizes = nodes.iter().map(|entry| (entry, entry.payload.len() - EMBEDDING_BYTES));
    let with_sizes = with_node_sizes.chain(others.iter().map(|entry| (entry, entry.payload.len())));
    for (entry, heap_bytes) in with_sizes {
        let mut row = entry.row;
        row.heap_offset = U32::new(u32::try_from(heap_offset).expect("a block's heap starts each entry below 4 GiB"));
        row.heap_bytes = U32::new(u32::try_from(heap_bytes).expect("a payload is shorter than 4 GiB"));
        out.extend_from_slice(row.as_bytes());
        heap_offset += heap_bytes as u64;
    }
}

fn append_heap(out: &mut Vec<u8>, nodes: &[Entry<'_>], others: &[Entry<'_>]) {
    for entry in nodes {
        let at = entry.row.embedding_offset.get() as usize;
        out.extend_from_slice(&entry.payload[..at]);
        out.extend_from_slice(&entry.payload[at + EMBEDDING_BYTES..]);
    }
    for entry in others {
        out.extend_from_slice(entry.payload);
    }
}
