//! Limits that cutting the log and laying out a block agree on. They decide where a block ends, and so the bytes of a store.

/// Records that a block covers at most. Few enough that a block is read for one node, enough that its fixed part is small.
pub const BLOCK_RECORDS_MAX: usize = 250;
/// Source bytes that a block covers at most, unless a single record is larger.
pub const BLOCK_SOURCE_BYTES_MAX: u64 = 1 << 20;
