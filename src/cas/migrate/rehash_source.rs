//! Reads a source again and chains its digests, to compare it with the source of a migration.

use super::object_log::{LoggedObjects, ObjectOutcome};
use super::source_chain::{ABSENT, CHAIN_START, Link, chain};
use crate::cas::format::digest::blake3_key;
use crate::cas::format::encoding::Compress;
use crate::cas::format::key::{Algorithm, Key};
use crate::cas::options::MigrateOptions;
use crate::cas::outcome::RefusalReason;
use crate::cas::source::bytes::ReadFault;
use crate::cas::source::identify::hash_stored;
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::source::left_out::LeftOut;
use crate::cas::source::read::{ReadRefusal, Unread, open_blob, read_blob, read_sidecar};
use crate::cas::source::reader::{Batch, INLINE_BYTES_MAX, SourceReader};
use crate::cas::source::walk::Walked;
use crate::cas::source::{Item, SourceRoot};
use crate::durable::read_again_if;
use crate::migration::{Error, stopped_inside};
use crate::pipeline::{Control, Converter, Ended, Expected, Phase, StopToken, pass};

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

/// Reads every object of the source that was walked, except for those that the migration could not read. `logged` are the
/// outcomes of the objects, if the migration has not read some of them again. `Ok(None)`: a stop was requested.
///
/// # Errors
/// [`Error::SourceChanged`] if names were added or removed meanwhile; [`Error::Disk`] if an object cannot be read: it
/// may be whole.
pub fn rehash_source(
    root: &SourceRoot,
    left_out: &LeftOut,
    mut logged: Option<LoggedObjects>,
    walked: Walked,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<Option<SourceDigest>, Error> {
    let Walked { sums, inventory, .. } = walked;
    let reader = SourceReader::new(inventory, 0, options.run.batch_records, Compress::AsStored)?;
    let mut digest = SourceDigest { objects: 0, bytes: 0, chain: CHAIN_START };
    let ended = control.phase(Phase::Rollback, Expected::both(sums.objects, sums.object_bytes), || {
        pass(reader, &LinkConverter { root, left_out, stop: control.stop }, &options.engine(), control, |links| {
            for (entry, link) in &links {
                let outcome = logged.as_mut().map_or(Ok(None), LoggedObjects::next)?.map(|object| object.outcome);
                let link = if outcome == Some(ObjectOutcome::Known) { &Link::UNREAD } else { link };
                digest.objects += 1;
                digest.bytes += entry.len_bytes;
                digest.chain = chain(&digest.chain, entry, link);
            }
            Ok::<_, Error>(())
        })
    });
    if stopped_inside(ended)? == Ended::Stopped {
        return Ok(None);
    }
    sums.check_unchanged(root)?;
    Ok(Some(digest))
}

/// Finds what each object contributes to the chain, exactly as the conversion of a migration does.
struct LinkConverter<'a> {
    root: &'a SourceRoot,
    left_out: &'a LeftOut,
    stop: &'a StopToken,
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
            Item::Object { entry, has_sidecar } => Some((entry, *has_sidecar)),
            Item::LoneSidecar(_) => None,
        });
        links.map(|(entry, has_sidecar)| Ok((*entry, self.link(scratch, entry, has_sidecar)?))).collect()
    }
}

impl LinkConverter<'_> {
    fn link(&self, scratch: &mut LinkScratch, entry: &Entry, has_sidecar: bool) -> Result<Link, Error> {
        if entry.kind != EntryKind::File || self.left_out.has(&entry.location) {
            return Ok(Link::UNREAD);
        }
        let mut sidecar = ABSENT;
        if has_sidecar {
            self.read(entry, || read_sidecar(self.root, &entry.location, &mut scratch.sidecar))?;
            sidecar = blake3_key(&scratch.sidecar);
        }
        let stored = self.read(entry, || self.stored(&mut scratch.blob, entry))?;
        Ok(Link { stored, sidecar })
    }

    /// Reads, and fails unless that succeeds: what cannot be read is not called changed.
    fn read<T>(&self, entry: &Entry, mut read: impl FnMut() -> Result<T, Unread>) -> Result<T, Error> {
        read_again_if(&mut read, Unread::of_disk).map_err(|unread| match unread {
            Unread::Failed(error) => error.into(),
            Unread::Stopped => ReadFault::Stopped.into(),
            Unread::Refused(ReadRefusal { reason: RefusalReason::Changed, text }) => {
                Error::SourceChanged { path: self.root.blob(&entry.location), what: text }
            }
            Unread::Refused(ReadRefusal { text, .. }) => Error::Usage {
                what: text,
                next: "give this user access to that path, then run the same command again".into(),
            },
        })
    }

    /// Returns the hash of the blob.
    fn stored(&self, buffer: &mut Vec<u8>, entry: &Entry) -> Result<Key, Unread> {
        if entry.len_bytes > INLINE_BYTES_MAX {
            let digests = hash_stored(&open_blob(self.root, entry)?, &[Algorithm::Blake3], self.stop)?;
            return Ok(digests.get(Algorithm::Blake3).expect("it was requested"));
        }
        buffer.clear();
        read_blob(self.root, entry, buffer)?;
        Ok(blake3_key(buffer))
    }
}
