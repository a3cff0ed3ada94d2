//! Converts objects of an old store into objects of a v2 store: reads, identifies and transcodes them.

use super::converted::{Blob, ConvertScratch, Converted, ConvertedItem, ItemResult};
use super::large_blobs::BlobStaging;
use super::source_chain::{ABSENT, Link};
use super::transcode::Transcoder;
use crate::cas::format::digest::{CAS_PREFIX, Content, blake3_key};
use crate::cas::format::encoding::{Compress, Encoding};
use crate::cas::format::key::Key;
use crate::cas::format::record::{ObjectRecord, parse_hint};
use crate::cas::outcome::RefusalReason;
use crate::cas::source::bytes::Bytes;
use crate::cas::source::identify::{Identification, Identified, identify, identify_streamed};
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::source::read::{ReadRefusal, open_blob, read_blob, read_sidecar};
use crate::cas::source::reader::{Batch, INLINE_BYTES_MAX};
use crate::cas::source::scan::unreadable_text;
use crate::cas::source::{Item, Location, SourceRoot};
use crate::durable::source_identity;
use crate::migration::Error;
use crate::pipeline::{BufferPool, Converter};

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
}

impl<'a> ObjectConverter<'a> {
    /// Creates a converter of the objects in `root`.
    pub fn new(root: &'a SourceRoot, compress: Compress, link: bool, staging: Option<&'a BlobStaging>) -> Self {
        Self { buffers: BufferPool::new(BUFFER_BYTES_KEPT_MAX), root, compress, link, staging }
    }

    fn transcoder(&self) -> Transcoder<'_> {
        Transcoder { compress: self.compress, staging: self.staging }
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
        for (number, item) in (batch.first_item..).zip(&batch.items) {
            let item = match item {
                Item::LoneSidecar(_) => {
                    let link = Link { stored: ABSENT, sidecar: ABSENT };
                    ConvertedItem { item: *item, link, result: ItemResult::LoneSidecar, notes: Vec::new() }
                }
                Item::Object { entry, has_sidecar } => {
                    let mut task = ObjectTask {
                        converter: self,
                        scratch,
                        bytes: &mut converted.bytes,
                        memory_bytes: batch.memory_bytes,
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
    created_at: u64,
}

impl SidecarHint {
    const NONE: Self = Self { digest: ABSENT, encoding: None, created_at: 0 };
}

/// The conversion of one object.
struct ObjectTask<'a> {
    converter: &'a ObjectConverter<'a>,
    scratch: &'a mut ConvertScratch,
    bytes: &'a mut Vec<u8>,
    memory_bytes: u64,
    number: u64,
    entry: &'a Entry,
    notes: Vec<String>,
}

impl ObjectTask<'_> {
    fn run(&mut self, has_sidecar: bool) -> Result<(Link, ItemResult), Error> {
        let location = &self.entry.location;
        if self.entry.kind != EntryKind::File {
            let text = self.entry.kind.text().to_owned();
            let result = ItemResult::Refused { reason: RefusalReason::NotAFile, text };
            return Ok((Link { stored: ABSENT, sidecar: ABSENT }, result));
        }
        let sidecar = if has_sidecar { self.read_sidecar(location) } else { SidecarHint::NONE };
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

    /// Reads a sidecar. It is only a hint: whatever is wrong with it becomes a note.
    fn read_sidecar(&mut self, location: &Location) -> SidecarHint {
        match read_sidecar(self.converter.root, location, &mut self.scratch.sidecar) {
            Err(error) => {
                self.notes.push(format!("sidecar not used: {}", unreadable_text(&error)));
                SidecarHint::NONE
            }
            Ok(()) => {
                let hint = parse_hint(&self.scratch.sidecar);
                if let Some(fault) = &hint.fault {
                    self.notes.push(format!("sidecar used in part: {fault}"));
                } else if hint.digest != Some(location.key()) {
                    self.notes.push("the sidecar belongs to another object".into());
                }
                SidecarHint {
                    digest: blake3_key(&self.scratch.sidecar),
                    encoding: hint.encoding,
                    created_at: hint.created_at.unwrap_or(0),
                }
            }
        }
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
            return Ok((ABSENT, unread.into()));
        }
        let stored = start + CAS_PREFIX.len()..self.bytes.len();
        let content = Content::behind_prefix(&self.bytes[start..]);
        let name = self.entry.location.key();
        let Identification { identified, stored_hash } =
            identify(content, name, sidecar.encoding, &mut self.scratch.identify);
        let kept = if self.converter.link { Blob::Linked } else { Blob::Bytes(stored.clone()) };
        let result = self.result(identified, stored_hash, sidecar, kept, |task, record| {
            let (number, memory_bytes) = (task.number, task.memory_bytes);
            task.converter.transcoder().in_memory(task.scratch, task.bytes, stored, record, number, memory_bytes)
        })?;
        Ok((stored_hash, result))
    }

    /// Converts a large object that is copied first. The copy is what is hashed, so a source that changes afterwards
    /// does no harm.
    fn through_a_file(&mut self, staging: &BlobStaging, sidecar: &SidecarHint) -> Result<(Key, ItemResult), Error> {
        let source = match open_blob(self.converter.root, self.entry) {
            Ok(source) => source,
            Err(unread) => return Ok((ABSENT, unread.into())),
        };
        let copy = match staging.copy(self.number, &source) {
            Ok(copied) => copied,
            Err(error) if error.path == *source.path() => return Ok((ABSENT, ReadRefusal::unreadable(&error).into())),
            Err(error) => return Err(error.into()),
        };
        let kept = Blob::Staged(copy.path.clone());
        let (stored_hash, result) = self.convert_streamed(&copy.file, kept, sidecar)?;
        let is_kept = matches!(&result, ItemResult::Object { blob: Blob::Staged(path), .. } if *path == copy.path);
        if !is_kept {
            staging.discard(&copy)?;
        }
        Ok((stored_hash, result))
    }

    /// Converts a large object that is not copied: it is linked, or the run is dry.
    fn in_place(&mut self, sidecar: &SidecarHint) -> Result<(Key, ItemResult), Error> {
        let kept = if self.converter.link { Blob::Linked } else { Blob::Hashed };
        match open_blob(self.converter.root, self.entry) {
            Ok(source) => self.convert_streamed(&source, kept, sidecar),
            Err(unread) => Ok((ABSENT, unread.into())),
        }
    }

    fn convert_streamed(
        &mut self,
        bytes: &dyn Bytes,
        kept: Blob,
        sidecar: &SidecarHint,
    ) -> Result<(Key, ItemResult), Error> {
        let name = self.entry.location.key();
        let answer = identify_streamed(bytes, name, sidecar.encoding, &mut self.scratch.identify);
        let Identification { identified, stored_hash } = match answer {
            Ok(answer) => answer,
            Err(fault) => return Ok((ABSENT, ReadRefusal::of_source(fault)?.into())),
        };
        if let Err(fault) = bytes.check_unchanged() {
            return Ok((stored_hash, ReadRefusal::of_source(fault)?.into()));
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
            Err(digests) => return Ok(self.unidentified(&digests)),
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
    fn unidentified(&self, digests: &str) -> ItemResult {
        let path = self.converter.root.blob(&self.entry.location);
        let now = source_identity(&path).ok().flatten();
        if now.map(|now| Entry::new(self.entry.location, EntryKind::File, Some(now))) != Some(*self.entry) {
            return ReadRefusal::changed("its content does not match its name").into();
        }
        let text = format!("none of the digests of its {} bytes is its name: {digests}", self.entry.len_bytes);
        ItemResult::Refused { reason: RefusalReason::Unidentified, text }
    }
}
