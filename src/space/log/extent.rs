//! Stretches of a log file: runs of complete records, and bytes that belong to none.

use super::wal::{HEADER_BYTES, WalHeader};

/// Source bytes that belong to no complete record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum RegionKind {
    /// A record cut by the end of its file.
    TornTail = 1,
    /// Zeros up to the end of the file.
    ZeroTail = 2,
    /// Any other bytes that are not a record.
    Damaged = 3,
}

#[cfg(any(test, feature = "internals"))]
impl RegionKind {
    /// Returns the kind with this number, for tests of the format.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::TornTail),
            2 => Some(Self::ZeroTail),
            3 => Some(Self::Damaged),
            _ => None,
        }
    }
}

/// A complete record: its header and where it stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Offset of the header in the file.
    pub offset: u64,
    /// The header, its checksum verified. The payload's is not.
    pub header: WalHeader,
}

impl Frame {
    /// Returns the bytes of header and payload.
    pub fn total_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.header.payload_len_bytes)
    }
}

/// Bytes that belong to no complete record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// What they are.
    pub kind: RegionKind,
    /// Why they are not a record.
    pub reason: &'static str,
}

/// What an extent consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Records that follow each other without a gap; at least one.
    Frames(Vec<Frame>),
    /// Bytes without a record.
    Region(Region),
}

/// A stretch of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Offset of its first byte.
    pub start: u64,
    /// Its length; never 0.
    pub len_bytes: u64,
    /// What it consists of.
    pub content: Content,
}

impl Extent {
    /// Returns the offset just after its last byte.
    pub fn end(&self) -> u64 {
        self.start + self.len_bytes
    }

    /// Returns how many records it holds.
    pub fn records(&self) -> u64 {
        match &self.content {
            Content::Frames(frames) => frames.len() as u64,
            Content::Region(_) => 0,
        }
    }
}
