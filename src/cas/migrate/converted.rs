//! The results of a conversion.

use std::ops::Range;
use std::path::PathBuf;

use super::known_objects::KnownObject;
use super::source_chain::Link;
use crate::cas::format::frame::Compressor;
use crate::cas::format::key::Algorithm;
use crate::cas::format::record::ObjectRecord;
use crate::cas::outcome::RefusalReason;
use crate::cas::source::Item;
use crate::cas::source::identify::Scratch;
use crate::cas::source::read::ReadRefusal;
use crate::cas::state::BlobMethod;
use crate::pipeline::Buffer;

/// Where an object's new blob is.
#[derive(Debug)]
pub enum Blob {
    /// In the bytes of the batch.
    Bytes(Range<usize>),
    /// In a file that will be renamed.
    Staged {
        /// The file.
        path: PathBuf,
        /// How its bytes came there.
        method: BlobMethod,
    },
    /// In the source, to be given a second name.
    Linked,
    /// Not kept: a dry run discards large blobs.
    Hashed,
}

/// The result for an item.
#[derive(Debug)]
pub enum ItemResult {
    /// An object that can be migrated.
    Object {
        /// The algorithm of its old key.
        algorithm: Algorithm,
        /// Its record in the target.
        record: ObjectRecord,
        /// Its blob.
        blob: Blob,
    },
    /// An object that cannot be migrated.
    Refused {
        /// Why.
        reason: RefusalReason,
        /// The same for people.
        text: String,
    },
    /// An object that the store which is merged into has from an earlier run.
    Known(KnownObject),
    /// A sidecar without an object.
    LoneSidecar,
}

impl ItemResult {
    /// Returns true if the bytes of the object could not be read, or not as the walk saw them.
    pub fn is_unread(&self) -> bool {
        matches!(self, Self::Refused { reason: RefusalReason::Unreadable | RefusalReason::Changed, .. })
    }
}

impl From<ReadRefusal> for ItemResult {
    fn from(unread: ReadRefusal) -> Self {
        Self::Refused { reason: unread.reason, text: unread.text }
    }
}

/// An item that was converted.
#[derive(Debug)]
pub struct ConvertedItem {
    /// The item of the inventory.
    pub item: Item,
    /// What it contributes to the digest of the source.
    pub link: Link,
    /// The result.
    pub result: ItemResult,
    /// Notes about an object that was migrated all the same.
    pub notes: Vec<String>,
}

/// A batch that was converted.
#[derive(Debug)]
pub struct Converted {
    /// The items, in order.
    pub items: Vec<ConvertedItem>,
    /// The bytes that [`Blob::Bytes`] refers to.
    pub bytes: Buffer,
}

/// Buffers of one thread.
#[derive(Default)]
pub struct ConvertScratch {
    /// For the identification.
    pub identify: Scratch,
    /// For zstd.
    pub compressor: Compressor,
    /// For the sidecar.
    pub sidecar: Vec<u8>,
}
