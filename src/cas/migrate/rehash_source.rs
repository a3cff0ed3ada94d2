//! Reads a source again and chains its digests, to compare it with the source of a migration.

use super::source_chain::{ABSENT, CHAIN_START, Link, chain};
use crate::cas::format::digest::blake3_key;
use crate::cas::format::encoding::Compress;
use crate::cas::format::key::{Algorithm, Key};
use crate::cas::options::MigrateOptions;
use crate::cas::source::identify::hash_stored;
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::source::read::{open_blob, read_blob, read_sidecar};
use crate::cas::source::reader::{Batch, INLINE_BYTES_MAX, SourceReader};
use crate::cas::source::walk::Walked;
use crate::cas::source::{Item, SourceRoot};
use crate::migration::Error;
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, pass};

/// A source as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceDigest {
    /// Objects that were read, whether they can be migrated or not.
    pub objects: u64,
    /// Bytes of their blobs.
    pub bytes: u64,
    /// The chain over them, as [`chain`] makes it.
    pub chain: [u8; 32],
}

/// Reads every object of the source that was walked. `Ok(None)`: a stop was requested.
///
/// # Errors
/// [`Error::SourceChanged`] if names were added or removed meanwhile.
pub fn rehash_source(
    root: &SourceRoot,
    walked: Walked,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<SourceDigest>, Error> {
    let Walked { sums, inventory, .. } = walked;
    let reader = SourceReader::new(inventory, 0, options.run.batch_records, Compress::AsStored)?;
    let mut digest = SourceDigest { objects: 0, bytes: 0, chain: CHAIN_START };
    let ended = control.phase(Phase::Rollback, Expected::both(sums.objects, sums.object_bytes), || {
        pass(reader, &LinkConverter { root }, &options.engine(), control, |links| {
            for (entry, link) in &links {
                digest.objects += 1;
                digest.bytes += entry.len_bytes;
                digest.chain = chain(&digest.chain, entry, link);
            }
            Ok(())
        })
    })?;
    if ended == Ended::Stopped {
        return Ok(None);
    }
    sums.check_unchanged(root)?;
    Ok(Some(digest))
}

/// Finds what each object contributes to the chain, exactly as the conversion of a migration does.
struct LinkConverter<'a> {
    root: &'a SourceRoot,
}

/// Buffers of one thread.
#[derive(Default)]
struct LinkScratch {
    blob: Vec<u8>,
    sidecar: Vec<u8>,
}

impl Converter for LinkConverter<'_> {
    type Batch = Batch;
    type Output = Vec<(Entry, Link)>;
    type Scratch = LinkScratch;
    type Error = Error;

    fn convert(&self, scratch: &mut LinkScratch, batch: Batch) -> Result<Vec<(Entry, Link)>, Error> {
        let links = batch.items.iter().filter_map(|item| match item {
            Item::Object { entry, has_sidecar } => Some((*entry, self.link(scratch, entry, *has_sidecar))),
            Item::LoneSidecar(_) => None,
        });
        Ok(links.collect())
    }
}

impl LinkConverter<'_> {
    fn link(&self, scratch: &mut LinkScratch, entry: &Entry, has_sidecar: bool) -> Link {
        if entry.kind != EntryKind::File {
            return Link { stored: ABSENT, sidecar: ABSENT };
        }
        let sidecar = match has_sidecar.then(|| read_sidecar(self.root, &entry.location, &mut scratch.sidecar)) {
            Some(Ok(())) => blake3_key(&scratch.sidecar),
            Some(Err(_)) | None => ABSENT,
        };
        Link { stored: self.stored(&mut scratch.blob, entry).unwrap_or(ABSENT), sidecar }
    }

    /// Returns the hash of the blob, `None` if its bytes cannot be read.
    fn stored(&self, buffer: &mut Vec<u8>, entry: &Entry) -> Option<Key> {
        if entry.len_bytes > INLINE_BYTES_MAX {
            let blob = open_blob(self.root, entry).ok()?;
            return hash_stored(&blob, &[Algorithm::Blake3]).ok()?.get(Algorithm::Blake3);
        }
        buffer.clear();
        read_blob(self.root, entry, buffer).ok()?;
        Some(blake3_key(buffer))
    }
}
