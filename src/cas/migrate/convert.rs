//! Turns objects of an old store into objects of a v2 store: reads, identifies, encodes.

use std::ops::Range;
use std::path::PathBuf;

use super::large_blobs::{Bytes, Intake, ReadFault};
use super::source_chain::{ABSENT, Link};
use super::transcode::{recode, recode_large};
use crate::cas::format::digest::{CAS_PREFIX, Content, blake3_key};
use crate::cas::format::frame::Compressor;
use crate::cas::format::key::Algorithm;
use crate::cas::format::record::{Encoding, ObjectRecord, parse_hint};
use crate::cas::options::Compress;
use crate::cas::outcome::RefusalReason;
use crate::cas::source::identify::{Answer, Identified, Scratch, identify, identify_streamed};
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::source::read::{Unread, open_blob, read_blob, read_sidecar};
use crate::cas::source::reader::{Batch, INLINE_BYTES_MAX};
use crate::cas::source::scan::unreadable_text;
use crate::cas::source::{Item, Location, SourceRoot};
use crate::durable::{CopyMethod, WindowError, source_identity};
use crate::migration::Error;
use crate::pipeline::{Buffer, BufferPool, Converter};

/// Buffers of larger batches are given back to the system.
const BUFFER_BYTES_KEPT_MAX: usize = 4 << 20;

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

impl From<Unread> for Verdict {
    fn from(unread: Unread) -> Self {
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

/// Settings of a conversion.
pub struct ObjectConverter<'a> {
    buffers: BufferPool,
    /// The source.
    pub root: &'a SourceRoot,
    /// How blobs are to be encoded.
    pub compress: Compress,
    /// Whether blobs that stay as they are get a second name instead of a copy.
    pub link: bool,
    /// Where large blobs go; `None` in a dry run, which only hashes them.
    pub intake: Option<&'a Intake>,
}

impl<'a> ObjectConverter<'a> {
    /// Returns a converter of the objects in `root`.
    pub fn new(root: &'a SourceRoot, compress: Compress, link: bool, intake: Option<&'a Intake>) -> Self {
        Self { buffers: BufferPool::new(BUFFER_BYTES_KEPT_MAX), root, compress, link, intake }
    }
}

/// Buffers of one thread.
#[derive(Default)]
pub struct ConvertScratch {
    /// For the identification.
    pub identify: Scratch,
    /// For zstd.
    pub compressor: Compressor,
    sidecar: Vec<u8>,
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
                    ConvertedItem { item: *item, link, verdict: Verdict::LoneSidecar, notes: Vec::new() }
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
                    let (link, verdict) = task.run(*has_sidecar)?;
                    ConvertedItem { item: *item, link, verdict, notes: task.notes }
                }
            };
            converted.items.push(item);
        }
        Ok(converted)
    }
}

/// What a sidecar says that is of use, and its digest.
struct SidecarHint {
    digest: crate::cas::Key,
    encoding: Option<Encoding>,
    created_at: u64,
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
    fn run(&mut self, has_sidecar: bool) -> Result<(Link, Verdict), Error> {
        let location = &self.entry.location;
        if self.entry.kind != EntryKind::File {
            let text = self.entry.kind.text().to_owned();
            let verdict = Verdict::Refused { reason: RefusalReason::NotAFile, text };
            return Ok((Link { stored: ABSENT, sidecar: ABSENT }, verdict));
        }
        let sidecar = if has_sidecar { self.read_sidecar(location) } else { SidecarHint::none() };
        let (stored, verdict) = match self.converter.intake {
            Some(intake) if self.goes_through_a_file(intake) => self.through_a_file(intake, &sidecar)?,
            _ if self.entry.len_bytes > INLINE_BYTES_MAX => self.in_place(&sidecar)?,
            _ => self.in_memory(&sidecar)?,
        };
        if matches!(verdict, Verdict::Object { .. }) && location.is_misplaced() {
            self.notes.push("in the wrong directory; migrated by its name".into());
        }
        Ok((Link { stored, sidecar: sidecar.digest }, verdict))
    }

    /// Which encoder a blob meets must not depend on what the file system can do: nothing is shared of a blob that is
    /// compressed anew, and it goes through a file for its length alone.
    fn goes_through_a_file(&self, intake: &Intake) -> bool {
        let len_bytes = self.entry.len_bytes;
        let may_share = !matches!(self.converter.compress, Compress::Zstd(_)) || len_bytes > INLINE_BYTES_MAX;
        !self.converter.link && may_share && intake.takes(len_bytes)
    }

    /// A sidecar is a hint: whatever is wrong with it costs a note.
    fn read_sidecar(&mut self, location: &Location) -> SidecarHint {
        match read_sidecar(self.converter.root, location, &mut self.scratch.sidecar) {
            Err(error) => {
                self.notes.push(format!("sidecar not used: {}", unreadable_text(&error)));
                SidecarHint::none()
            }
            Ok(()) => {
                let hint = parse_hint(&self.scratch.sidecar);
                if let Some(fault) = &hint.fault {
                    self.notes.push(format!("sidecar used in part: {fault}"));
                } else if hint.digest != Some(location.key()) {
                    self.notes.push("the sidecar is that of another object".into());
                }
                SidecarHint {
                    digest: blake3_key(&self.scratch.sidecar),
                    encoding: hint.encoding,
                    created_at: hint.created_at.unwrap_or(0),
                }
            }
        }
    }

    /// An object that is held in memory until it is written.
    fn in_memory(&mut self, sidecar: &SidecarHint) -> Result<(crate::cas::Key, Verdict), Error> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&CAS_PREFIX);
        if let Err(unread) = read_blob(self.converter.root, self.entry, self.bytes) {
            self.bytes.truncate(start);
            return Ok((ABSENT, unread.into()));
        }
        let stored = Content::behind_prefix(&self.bytes[start..]);
        let answer = identify(stored, self.entry.location.key(), sidecar.encoding, &mut self.scratch.identify);
        let identified = match answer.identified {
            Ok(identified) => identified,
            Err(digests) => {
                self.bytes.truncate(start);
                return Ok((answer.stored_hash, self.unidentified(&digests)));
            }
        };
        let stays = self.stays(&identified);
        let record = record(&identified, self.entry.len_bytes, answer.stored_hash, sidecar.created_at);
        let content_start = start + CAS_PREFIX.len();
        let (record, blob) = if !stays {
            let stored = content_start..self.bytes.len();
            recode(self.converter, self.scratch, self.bytes, stored, record, (self.number, self.memory_bytes))?
        } else if self.converter.link {
            self.bytes.truncate(start);
            (record, Blob::Linked)
        } else {
            (record, Blob::Bytes(content_start..self.bytes.len()))
        };
        Ok((answer.stored_hash, Verdict::Object { algorithm: identified.algorithm, record, blob }))
    }

    /// A large object, copied first: what is hashed is the copy.
    fn through_a_file(&mut self, intake: &Intake, sidecar: &SidecarHint) -> Result<(crate::cas::Key, Verdict), Error> {
        let source = match open_blob(self.converter.root, self.entry) {
            Ok(source) => source,
            Err(unread) => return Ok((ABSENT, unread.into())),
        };
        let (placed, method) = match intake.copy(self.number, &source) {
            Ok(copied) => copied,
            Err(error) if error.path == *source.path() => return Ok((ABSENT, Unread::unreadable(&error).into())),
            Err(error) => return Err(error.into()),
        };
        let (answer, verdict) = match self.identify_large(&placed.file, sidecar)? {
            Ok(found) => found,
            Err(verdict) => {
                intake.discard(&placed)?;
                return Ok((ABSENT, verdict));
            }
        };
        let verdict = match verdict {
            Ok((identified, record)) if self.stays(&identified) => {
                let blob = Blob::Placed { path: placed.path, method: Some(method) };
                Verdict::Object { algorithm: identified.algorithm, record, blob }
            }
            Ok((identified, record)) => {
                let recoded = recode_large(self.converter, &placed.file, record, self.number)?;
                intake.discard(&placed)?;
                Verdict::Object { algorithm: identified.algorithm, record: recoded.0, blob: recoded.1 }
            }
            Err(refused) => {
                intake.discard(&placed)?;
                refused
            }
        };
        Ok((answer, verdict))
    }

    /// A large object that is not copied: it is linked, or the run is dry.
    fn in_place(&mut self, sidecar: &SidecarHint) -> Result<(crate::cas::Key, Verdict), Error> {
        let source = match open_blob(self.converter.root, self.entry) {
            Ok(source) => source,
            Err(unread) => return Ok((ABSENT, unread.into())),
        };
        let (stored_hash, verdict) = match self.identify_large(&source, sidecar)? {
            Ok(found) => found,
            Err(verdict) => return Ok((ABSENT, verdict)),
        };
        if let Err(change) = source.check_unchanged() {
            return Ok((stored_hash, Unread::changed(&change.what).into()));
        }
        let verdict = match verdict {
            Err(refused) => refused,
            Ok((identified, record)) if self.stays(&identified) => {
                let blob = if self.converter.link { Blob::Linked } else { Blob::Hashed };
                Verdict::Object { algorithm: identified.algorithm, record, blob }
            }
            Ok((identified, record)) => {
                let (record, blob) = recode_large(self.converter, &source, record, self.number)?;
                Verdict::Object { algorithm: identified.algorithm, record, blob }
            }
        };
        Ok((stored_hash, verdict))
    }

    /// The hash of the stored bytes with what they are, or a refusal where they cannot be read.
    #[expect(clippy::type_complexity, reason = "three ways to end, one of them the run's")]
    fn identify_large(
        &mut self,
        bytes: &dyn Bytes,
        sidecar: &SidecarHint,
    ) -> Result<Result<(crate::cas::Key, Result<(Identified, ObjectRecord), Verdict>), Verdict>, Error> {
        let name = self.entry.location.key();
        let answer = identify_streamed(bytes, name, sidecar.encoding, &mut self.scratch.identify);
        let Answer { identified, stored_hash } = match answer {
            Ok(answer) => answer,
            Err(ReadFault::Target(error)) => return Err(error.into()),
            Err(ReadFault::Source(WindowError::Changed(change))) => {
                return Ok(Err(Unread::changed(&change.what).into()));
            }
            Err(ReadFault::Source(WindowError::Disk(error))) => return Ok(Err(Unread::unreadable(&error).into())),
        };
        Ok(Ok((
            stored_hash,
            match identified {
                Ok(identified) => {
                    let record = record(&identified, self.entry.len_bytes, stored_hash, sidecar.created_at);
                    Ok((identified, record))
                }
                Err(digests) => Err(self.unidentified(&digests)),
            },
        )))
    }

    /// True if the target takes the blob as it is in the source.
    fn stays(&self, identified: &Identified) -> bool {
        match self.converter.compress {
            Compress::AsStored => true,
            Compress::Identity => identified.encoding == Encoding::Identity,
            Compress::Zstd(_) => false,
        }
    }

    /// The refusal of an object whose content has another name, or that is being written.
    fn unidentified(&self, digests: &str) -> Verdict {
        let path = self.converter.root.blob(&self.entry.location);
        let now = source_identity(&path).ok().flatten();
        if now.map(|now| Entry::new(self.entry.location, EntryKind::File, Some(now))) != Some(*self.entry) {
            return Unread::changed("its content does not match its name").into();
        }
        let text = format!("{} bytes whose digest by no algorithm is its name: {digests}", self.entry.len_bytes);
        Verdict::Refused { reason: RefusalReason::Unidentified, text }
    }
}

impl SidecarHint {
    fn none() -> Self {
        Self { digest: ABSENT, encoding: None, created_at: 0 }
    }
}

fn record(identified: &Identified, stored_size: u64, stored_hash: crate::cas::Key, created_at: u64) -> ObjectRecord {
    ObjectRecord {
        digest: identified.new_key,
        encoding: identified.encoding,
        original_size: identified.original_size,
        stored_size,
        stored_blob_hash: stored_hash,
        created_at,
    }
}
