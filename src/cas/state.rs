//! The contents of a migration's checkpoint.

use bincode::Decode;
use bincode::de::Decoder;
use bincode::error::DecodeError;
use serde::Serialize;

use super::options::CasRules;
use super::outcome::Counts;
use crate::durable::{CopyMethod, FileDigest};
use crate::migration;
use crate::migration::checkpoint::Kind;

/// The tag of the checkpoint file.
pub const CHECKPOINT_KIND: Kind =
    Kind { tag: *b"cas\0\0\0\0\0", restart: "start over with --restart (the source is untouched)" };

/// The state of a run at a point that is durable.
pub type RunState = migration::RunState<CasRules, Progress, Counts>;

/// How far a run has come. Files that were staged after this point are removed when the run continues.
#[derive(Debug, Clone, PartialEq, Eq, Default, bincode::Encode, bincode::Decode)]
pub struct Progress {
    /// Items of the inventory that are done.
    pub items: u64,
    /// Objects among them. This is also the number of records in the object log.
    pub objects: u64,
    /// Objects by the algorithm of their old keys, in the order of [`Algorithm::ALL`](super::Algorithm::ALL).
    pub generations: [u64; 4],
    /// Bytes of the source's blobs that were read.
    pub source_bytes: u64,
    /// Bytes of the blobs that the target takes.
    pub stored_bytes: u64,
    /// The digest of all objects so far, in order: location, length, stored bytes, sidecar. It starts as zeros. See
    /// [`chain`](super::migrate::source_chain::chain).
    pub source_chain: [u8; 32],
    /// The index, after it was sealed.
    pub index: Option<SealedIndex>,
    /// What later versions count.
    pub more: LaterCounts,
}

/// Counts that checkpoints of earlier versions do not have. They are the end of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, bincode::Encode)]
pub struct LaterCounts {
    /// How the blobs of the migrated objects came into the target.
    pub blobs: BlobMethods,
    /// Whether objects that an earlier run has migrated are not read again.
    pub is_second_pass: bool,
    /// Objects that were not read again.
    pub not_read_again: u64,
    /// Bytes of the sidecars of the migrated objects.
    pub sidecar_bytes: u64,
}

impl<C> Decode<C> for LaterCounts {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        match BlobMethods::decode(decoder) {
            // The digest of the checkpoint is right, so this is where an earlier version ended it.
            Err(DecodeError::UnexpectedEnd { .. }) => Ok(Self::default()),
            blobs => Ok(Self {
                blobs: blobs?,
                is_second_pass: Decode::decode(decoder)?,
                not_read_again: Decode::decode(decoder)?,
                sidecar_bytes: match Decode::decode(decoder) {
                    Err(DecodeError::UnexpectedEnd { .. }) => 0,
                    bytes => bytes?,
                },
            }),
        }
    }
}

bincode::impl_borrow_decode!(LaterCounts);

/// How the blobs of migrated objects came into the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, bincode::Encode, bincode::Decode)]
pub struct BlobMethods {
    /// Blobs that are the source's own files under a second name.
    pub linked: u64,
    /// Copies that share their blocks with the source.
    pub cloned: u64,
    /// Blobs that were copied or encoded.
    pub copied: u64,
}

/// How a blob came into the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobMethod {
    /// See [`BlobMethods::linked`].
    Linked,
    /// See [`BlobMethods::cloned`].
    Cloned,
    /// See [`BlobMethods::copied`].
    Copied,
}

impl From<CopyMethod> for BlobMethod {
    fn from(method: CopyMethod) -> Self {
        match method {
            CopyMethod::Reflink => Self::Cloned,
            CopyMethod::CopyFileRange | CopyMethod::ReadWrite => Self::Copied,
        }
    }
}

impl BlobMethods {
    /// Counts one blob.
    pub fn add(&mut self, method: BlobMethod) {
        match method {
            BlobMethod::Linked => self.linked += 1,
            BlobMethod::Cloned => self.cloned += 1,
            BlobMethod::Copied => self.copied += 1,
        }
    }
}

/// The index file that a run has sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct SealedIndex {
    /// Lines that the run adds: one for each migrated object.
    pub rows: u64,
    /// The length of the file.
    pub len_bytes: u64,
    /// The BLAKE3 digest of the file.
    pub digest: [u8; 32],
}

impl SealedIndex {
    /// Returns the digest and the length that the index file must have.
    pub fn file(&self) -> FileDigest {
        FileDigest { digest: self.digest, len_bytes: self.len_bytes }
    }
}

/// Returns the bytes of the target by what they are. The map lies next to the target.
pub fn written(state: &RunState) -> [(&'static str, u64); 3] {
    let Progress { stored_bytes, index, more, .. } = &state.progress;
    [("blobs", *stored_bytes), ("sidecars", more.sidecar_bytes), ("index", index.map_or(0, |index| index.len_bytes))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_without_the_later_counts_is_read_as_one_that_has_none() {
        let config = bincode::config::standard();
        let progress = Progress { items: 7, ..Progress::default() };
        let bytes = bincode::encode_to_vec(&progress, config).unwrap();
        let later = bincode::encode_to_vec(progress.more, config).unwrap();
        let earlier = &bytes[..bytes.len() - later.len()];
        let (read, read_bytes): (Progress, usize) = bincode::decode_from_slice(earlier, config).unwrap();
        assert_eq!((read, read_bytes), (progress, earlier.len()));
    }
}
