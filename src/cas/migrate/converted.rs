//! What objects of an old store turn out to be.

use std::ops::Range;
use std::path::PathBuf;

use super::source_chain::Link;
use crate::cas::format::frame::Compressor;
use crate::cas::format::key::Algorithm;
use crate::cas::format::record::ObjectRecord;
use crate::cas::outcome::RefusalReason;
use crate::cas::source::Item;
use crate::cas::source::identify::Scratch;
use crate::cas::source::read::ReadRefusal;
use crate::durable::CopyMethod;
use crate::pipeline::Buffer;

/// Where an object's new blob is.
#[derive(Debug)]
pub enum Blob {
    /// In the bytes of the batch.
    Bytes(Range<usize>),
    /// In a file that is to be renamed.
    Placed {
        /// That file.
        path: PathBuf,
        /// How it was filled; `None` if it was encoded anew.
        method: Option<CopyMethod>,
    },
    /// In the source, to be given a second name.
    Linked,
    /// Nowhere: a dry run does not keep what is large.
    Hashed,
}

/// What an item turned out to be.
#[derive(Debug)]
pub enum Verdict {
    /// An object that can be migrated.
    Object {
        /// How its old key was made.
        algorithm: Algorithm,
        /// What it is in the target.
        record: ObjectRecord,
        /// Its blob there.
        blob: Blob,
    },
    /// An object that cannot.
    Refused {
        /// Why.
        reason: RefusalReason,
        /// The same for people.
        text: String,
    },
    /// A sidecar without an object.
    LoneSidecar,
}

impl From<ReadRefusal> for Verdict {
    fn from(unread: ReadRefusal) -> Self {
        Self::Refused { reason: unread.reason, text: unread.text }
    }
}

/// An item that was gone through.
#[derive(Debug)]
pub struct ConvertedItem {
    /// As the inventory has it.
    pub item: Item,
    /// What it contributes to the proof of the source.
    pub link: Link,
    /// What it turned out to be.
    pub verdict: Verdict,
    /// What people should know although it was migrated.
    pub notes: Vec<String>,
}

/// A batch that was gone through.
#[derive(Debug)]
pub struct Converted {
    /// The items, in order.
    pub items: Vec<ConvertedItem>,
    /// The bytes that [`Blob::Bytes`] points into.
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
