//! Converts objects of an old store into objects of a v2 store: reads, identifies and transcodes them.

use std::io::ErrorKind;

use super::converted::{Blob, ConvertScratch, Converted, ConvertedItem, ItemResult};
use super::known_objects::KnownObjects;
use super::large_blobs::BlobStaging;
use super::source_chain::{ABSENT, Link};
use super::transcode::Transcoder;
use crate::cas::format::digest::{CAS_PREFIX, Content, blake3_key};
use crate::cas::format::encoding::{Compress, Encoding};
use crate::cas::format::key::Key;
use crate::cas::format::record::{ObjectRecord, parse_hint};
use crate::cas::outcome::RefusalReason;
use crate::cas::source::bytes::{Bytes, ReadFault};
use crate::cas::source::identify::{Expected, Identification, Identified, identify, identify_streamed};
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::source::read::{ReadRefusal, Unread, can_be_read, is_in_doubt, open_blob, read_blob, read_sidecar};
use crate::cas::source::reader::{Batch, INLINE_BYTES_MAX};
use crate::cas::source::{Item, Location, SourceRoot};
use crate::durable::{DiskError, MediumFaults, read_again_if, source_identity};
use crate::migration::Error;
use crate::pipeline::{BufferPool, Converter, StopToken};

/// Buffers of larger batches are freed.
const BUFFER_BYTES_KEPT_MAX: usize = 4 << 20;

/// Converts batches of objects.
pub struct ObjectConverter<'a> {
    buffers: BufferPool,
    /// The source.
    pub root: &'a SourceRoot,
    /// How blobs are encoded in the target.
    pub compress: Compress,
    /// Whether blobs that stay as they are get a second name instead of a copy.
    pub link: bool,
    /// Where large blobs go; `None` in a dry run, which only hashes them.
    pub staging: Option<&'a BlobStaging>,
    /// Objects that are not read again.
    known: Option<&'a KnownObjects>,
    /// Looked at inside of large objects.
    stop: &'a StopToken,
    /// Tells an object that cannot be read from a source that fails.
    faults: MediumFaults,
}

impl<'a> ObjectConverter<'a> {
    /// Creates a converter of the `objects` in `root`.
    pub fn new(
        root: &'a SourceRoot,
        objects: u64,
        compress: Compress,
        link: bool,
        staging: Option<&'a BlobStaging>,
        stop: &'a StopToken,
    ) -> Self {
        let (buffers, faults) = (BufferPool::new(BUFFER_BYTES_KEPT_MAX), MediumFaults::new(objects));
        Self { buffers, root, compress, link, staging, known: None, stop, faults }
    }

    /// Leaves out what is known.
    pub fn without(self, known: Option<&'a KnownObjects>) -> Self {
        Self { known, ..self }
    }

    /// Returns the error if it is one of reading the source that its neighbours decide about.
    fn doubt<'e>(&self, error: &'e Error) -> Option<&'e DiskError> {
        match error {
            Error::Disk(error) if error.path.starts_with(self.root.objects()) && is_in_doubt(error) => Some(error),
            _ => None,
        }
    }

    fn transcoder(&self) -> Transcoder<'_> {
        Transcoder { compress: self.compress, staging: self.staging, stop: self.stop }
    }
}

impl Converter for ObjectConverter<'_> {
    type Batch = Batch;
    type Output = Converted;
    type Scratch = ConvertScratch;
    type Error = Error;

    fn convert(&self, scratch: &mut ConvertScratch, batch: Batch) -> Result<Converted, Error> {
        let bytes = self.buffers.take(usize::try_from(batch.memory_bytes).unwrap_or(0));
        let mut converted = Converted { items: Vec::with_capacity(batch.items.len()), bytes };
        let known = self.known.map_or(Ok(Vec::new()), |known| known.find(&batch.items))?;
        for (index, (number, item)) in (batch.first_item..).zip(&batch.items).enumerate() {
            let item = match item {
                Item::Object { .. } if let Some(known) = known.get(index).copied().flatten() => ConvertedItem {
                    item: *item,
                    link: Link::UNREAD,
                    result: ItemResult::Known(known),
                    notes: Vec::new(),
                },
                Item::LoneSidecar(_) => ConvertedItem {
                    item: *item,
                    link: Link::UNREAD,
                    result: ItemResult::LoneSidecar,
                    notes: Vec::new(),
                },
                Item::Object { entry, has_sidecar } => {
                    let mut task = ObjectTask {
                        converter: self,
                        scratch,
                        start: converted.bytes.len(),
                        bytes: &mut converted.bytes,
                        batch: &batch,
                        index,
                        number,
                        entry,
                        notes: Vec::new(),
                    };
                    let (link, result) = task.run(*has_sidecar)?;
                    ConvertedItem { item: *item, link, result, notes: task.notes }
                }
            };
            converted.items.push(item);
        }
        Ok(converted)
    }
}

/// The useful values of a sidecar, and its digest.
struct SidecarHint {
    digest: Key,
    encoding: Option<Encoding>,
    original_size: Option<u64>,
    created_at: u64,
}

impl SidecarHint {
    const NONE: Self = Self { digest: ABSENT, encoding: None, original_size: None, created_at: 0 };

    fn expected<'a>(&self, stop: &'a StopToken) -> Expected<'a> {
        Expected { encoding: self.encoding, original_size: self.original_size, stop }
    }
}

/// The conversion of one object.
struct ObjectTask<'a> {
    converter: &'a ObjectConverter<'a>,
    scratch: &'a mut ConvertScratch,
    bytes: &'a mut Vec<u8>,
    /// Where the bytes of the object begin.
    start: usize,
    batch: &'a Batch,
    index: usize,
    number: u64,
    entry: &'a Entry,
    notes: Vec<String>,
}

impl ObjectTask<'_> {
    /// Converts the object. What a medium cannot return is read once more, and an object that is gone is looked for once
    /// more: a file system may have been away for a moment.
    fn run(&mut self, has_sidecar: bool) -> Result<(Link, ItemResult), Error> {
        let converter = self.converter;
        let mut result = read_again_if(|| self.attempt(has_sidecar), |error| converter.doubt(error));
        if result.as_ref().err().and_then(|error| converter.doubt(error)).is_some_and(is_gone) {
            result = self.attempt(has_sidecar);
        }
        let result = match result {
            Err(error) if converter.doubt(&error).is_some() => self.judge(error),
            result => result,
        };
        result.map(|(link, result)| (if result.is_unread() { Link::UNREAD } else { link }, result))
    }

    /// Refuses the object that could not be read if its neighbours can, else fails: then it may be whole.
    fn judge(&self, error: Error) -> Result<(Link, ItemResult), Error> {
        let root = self.converter.root;
        let each = |entry: &Entry| can_be_read(root, entry).transpose();
        let (before, after) = (self.batch.before(self.index), self.batch.after(self.index));
        if !self.converter.faults.is_of_item(before.filter_map(each), after.filter_map(each))? {
            return Err(error);
        }
        match error {
            Error::Disk(error) if is_gone(&error) => Ok((Link::UNREAD, ReadRefusal::changed("it was removed").into())),
            Error::Disk(error) => Ok((Link::UNREAD, ReadRefusal::unreadable(&error).into())),
            error => Err(error),
        }
    }

    fn attempt(&mut self, has_sidecar: bool) -> Result<(Link, ItemResult), Error> {
        self.bytes.truncate(self.start);
        self.notes.clear();
        let location = &self.entry.location;
        if self.entry.kind != EntryKind::File {
            let text = self.entry.kind.text().to_owned();
            let result = ItemResult::Refused { reason: RefusalReason::NotAFile, text };
            return Ok((Link::UNREAD, result));
        }
        let sidecar = match has_sidecar.then(|| self.read_sidecar(location)) {
            Some(Err(unread)) => return Ok((Link::UNREAD, refused(unread)?)),
            Some(Ok(sidecar)) => sidecar,
            None => SidecarHint::NONE,
        };
        let (stored, result) = match self.converter.staging {
            Some(staging) if self.goes_through_a_file(staging) => self.through_a_file(staging, &sidecar)?,
            _ if self.entry.len_bytes > INLINE_BYTES_MAX => self.in_place(&sidecar)?,
            _ => self.in_memory(&sidecar)?,
        };
        if matches!(result, ItemResult::Object { .. }) && location.is_misplaced() {
            self.notes.push("in the wrong directory; migrated by its name".into());
        }
        Ok((Link { stored, sidecar: sidecar.digest }, result))
    }

    /// Returns true for a blob that is copied before it is hashed. Which encoder a blob meets must not depend on the
    /// file system. So a blob that is compressed goes through a file because of its length only, even where the file
    /// system could share its blocks.
    fn goes_through_a_file(&self, staging: &BlobStaging) -> bool {
        let len_bytes = self.entry.len_bytes;
        let may_share = !matches!(self.converter.compress, Compress::Zstd(_)) || len_bytes > INLINE_BYTES_MAX;
        !self.converter.link && may_share && staging.is_copied(len_bytes)
    }

    /// Reads a sidecar. What it says is only a hint: whatever is wrong with its text becomes a note. But one that cannot
    /// be read is not absent, because the time in it would be lost.
    fn read_sidecar(&mut self, location: &Location) -> Result<SidecarHint, Unread> {
        read_sidecar(self.converter.root, location, &mut self.scratch.sidecar)?;
        let hint = parse_hint(&self.scratch.sidecar);
        if let Some(fault) = &hint.fault {
            self.notes.push(format!("sidecar used in part: {fault}"));
        } else if hint.digest != Some(location.key()) {
            self.notes.push("the sidecar belongs to another object".into());
        }
        Ok(SidecarHint {
            digest: blake3_key(&self.scratch.sidecar),
            encoding: hint.encoding,
            original_size: hint.original_size,
            created_at: hint.created_at.unwrap_or(0),
        })
    }

    /// Converts an object that is held in memory until it is written.
    fn in_memory(&mut self, sidecar: &SidecarHint) -> Result<(Key, ItemResult), Error> {
        let start = self.bytes.len();
        let (stored_hash, result) = self.convert_in_memory(sidecar)?;
        if !matches!(result, ItemResult::Object { blob: Blob::Bytes(_), .. }) {
            self.bytes.truncate(start);
        }
        Ok((stored_hash, result))
    }

    fn convert_in_memory(&mut self, sidecar: &SidecarHint) -> Result<(Key, ItemResult), Error> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&CAS_PREFIX);
        if let Err(unread) = read_blob(self.converter.root, self.entry, self.bytes) {
            return Ok((ABSENT, refused(unread)?));
        }
        let stored = start + CAS_PREFIX.len()..self.bytes.len();
        let content = Content::behind_prefix(&self.bytes[start..]);
        let name = self.entry.location.key();
        let Identification { identified, stored_hash } =
            identify(content, name, sidecar.expected(self.converter.stop), &mut self.scratch.identify)?;
        let kept = if self.converter.link { Blob::Linked } else { Blob::Bytes(stored.clone()) };
        let result = self.result(identified, stored_hash, sidecar, kept, |task, record| {
            let (number, memory_bytes) = (task.number, task.batch.memory_bytes);
            task.converter.transcoder().in_memory(task.scratch, task.bytes, stored, record, number, memory_bytes)
        })?;
        Ok((stored_hash, result))
    }

    /// Converts a large object that is copied first. The copy is what is hashed, so a source that changes afterwards
    /// does no harm.
    fn through_a_file(&mut self, staging: &BlobStaging, sidecar: &SidecarHint) -> Result<(Key, ItemResult), Error> {
        let source = match open_blob(self.converter.root, self.entry) {
            Ok(source) => source,
            Err(unread) => return Ok((ABSENT, refused(unread)?)),
        };
        let copy = match staging.copy(self.number, &source, self.converter.stop) {
            Ok(copied) => copied,
            Err(error) if error.path == *source.path() => return Ok((ABSENT, refused(error.into())?)),
            Err(error) => return Err(error.into()),
        };
        let (path, file) = (copy.path.clone(), copy.file.clone());
        let (stored_hash, result) = self.convert_streamed(&file, copy.into_blob(), sidecar)?;
        let is_kept =
            matches!(&result, ItemResult::Object { blob: Blob::Staged { path: kept, .. }, .. } if *kept == path);
        if !is_kept {
            staging.discard(&path)?;
        }
        Ok((stored_hash, result))
    }

    /// Converts a large object that is not copied: it is linked, or the run is dry.
    fn in_place(&mut self, sidecar: &SidecarHint) -> Result<(Key, ItemResult), Error> {
        let kept = if self.converter.link { Blob::Linked } else { Blob::Hashed };
        match open_blob(self.converter.root, self.entry) {
            Ok(source) => self.convert_streamed(&source, kept, sidecar),
            Err(unread) => Ok((ABSENT, refused(unread)?)),
        }
    }

    fn convert_streamed(
        &mut self,
        bytes: &dyn Bytes,
        kept: Blob,
        sidecar: &SidecarHint,
    ) -> Result<(Key, ItemResult), Error> {
        let name = self.entry.location.key();
        let answer = identify_streamed(bytes, name, sidecar.expected(self.converter.stop), &mut self.scratch.identify);
        let Identification { identified, stored_hash } = match answer {
            Ok(answer) => answer,
            Err(fault) => return Ok((ABSENT, refused(fault.into())?)),
        };
        if let Err(fault) = bytes.check_unchanged() {
            return Ok((stored_hash, refused(fault.into())?));
        }
        let result = self.result(identified, stored_hash, sidecar, kept, |task, record| {
            task.converter.transcoder().through_a_file(bytes, record, task.number)
        })?;
        Ok((stored_hash, result))
    }

    /// Returns the object in the target: with the blob `kept` if its encoding stays, else as `transcode` makes it.
    fn result(
        &mut self,
        identified: Result<Identified, String>,
        stored_hash: Key,
        sidecar: &SidecarHint,
        kept: Blob,
        transcode: impl FnOnce(&mut Self, ObjectRecord) -> Result<(ObjectRecord, Blob), Error>,
    ) -> Result<ItemResult, Error> {
        let identified = match identified {
            Ok(identified) => identified,
            Err(digests) => return self.unidentified(&digests),
        };
        let record = ObjectRecord {
            digest: identified.new_key,
            encoding: identified.encoding,
            original_size: identified.original_size,
            stored_size: self.entry.len_bytes,
            stored_blob_hash: stored_hash,
            created_at: sidecar.created_at,
        };
        let stays = self.converter.transcoder().keeps(identified.encoding);
        let (record, blob) = if stays { (record, kept) } else { transcode(self, record)? };
        Ok(ItemResult::Object { algorithm: identified.algorithm, record, blob })
    }

    /// Returns the refusal of an object whose content does not match its name, or that is being written.
    fn unidentified(&self, digests: &str) -> Result<ItemResult, Error> {
        let path = self.converter.root.blob(&self.entry.location);
        let now = source_identity(&path)?;
        if now.map(|now| Entry::new(self.entry.location, EntryKind::File, Some(now))) != Some(*self.entry) {
            return Ok(ReadRefusal::changed("its content does not match its name").into());
        }
        let text = format!("none of the digests of its {} bytes is its name: {digests}", self.entry.len_bytes);
        Ok(ItemResult::Refused { reason: RefusalReason::Unidentified, text })
    }
}

/// Returns the result for an object that could not be read, if the object is at fault.
fn refused(unread: Unread) -> Result<ItemResult, Error> {
    match unread {
        Unread::Refused(refusal) => Ok(refusal.into()),
        Unread::Failed(error) => Err(error.into()),
        Unread::Stopped => Err(ReadFault::Stopped.into()),
    }
}

fn is_gone(error: &DiskError) -> bool {
    error.kind() == ErrorKind::NotFound
}
