//! Compares one object with its sidecar, its line in the index and its name.

use std::path::Path;

use super::blob::{BlobReadFault, BlobScratch, CheckedBlob, ContentFault, digest_blob};
use super::fault::{FaultKind, VerifyFault};
use super::index::line_path;
use super::join::Joined;
use super::reader::{Batch, Task};
use super::tally::Tally;
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Key;
use crate::cas::format::record::{ObjectRecord, Parsed, RECORD_BYTES_MAX, parse};
use crate::cas::paths::{OBJECTS_NAME, blob_path};
use crate::cas::source::bytes::ReadFault;
use crate::cas::source::inventory::{Entry, EntryKind};
use crate::cas::source::scan::unreadable_text;
use crate::cas::source::{Location, SourceRoot};
use crate::cas::store::sorted_index::{IndexFindingKind, IndexedObject};
use crate::durable::{BadSpots, DiskError, FaultClass, read_again, read_again_if, read_source_whole, source_identity};
use crate::migration::Error;
use crate::pipeline::{Converter, StopToken};

/// The result for a part of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct Totals {
    /// Objects whose blobs were read to their end.
    pub objects_read: u64,
    /// Those of them without an error.
    pub objects_ok: u64,
    /// Bytes of their blobs.
    pub blob_bytes: u64,
    /// Bytes of their contents, as far as they are known.
    pub content_bytes: u64,
    /// The faults.
    pub faults: Tally,
}

impl Totals {
    /// Adds the result for another part.
    pub fn merge(&mut self, other: Self) {
        self.objects_read += other.objects_read;
        self.objects_ok += other.objects_ok;
        self.blob_bytes += other.blob_bytes;
        self.content_bytes += other.content_bytes;
        self.faults.merge(other.faults);
    }
}

/// A batch that was checked.
pub struct Checked {
    /// The result for the batch.
    pub totals: Totals,
    /// The intact objects in the order of their keys, with the lengths of their contents.
    pub sound: Vec<(Key, u64)>,
    /// The number of the first item after the batch.
    pub next: u64,
}

/// Checks batches.
pub struct ObjectChecker<'a> {
    /// The store.
    pub root: &'a SourceRoot,
    /// Where objects may be that are not in the store; see
    /// [`VerifyRequest::merged_into`](super::VerifyRequest::merged_into).
    pub merged_into: Option<&'a Path>,
    /// Looked at inside of large objects.
    pub stop: &'a StopToken,
    /// Tells objects that cannot be read from a store whose device fails.
    pub spots: BadSpots,
}

/// Buffers of one thread.
#[derive(Default)]
pub struct CheckScratch {
    blob: BlobScratch,
    sidecar: Vec<u8>,
    canonical: Vec<u8>,
}

impl Converter for ObjectChecker<'_> {
    type Batch = Batch;
    type Output = Checked;
    type Scratch = CheckScratch;
    type Error = Error;

    fn convert(&self, scratch: &mut CheckScratch, batch: Batch) -> Result<Checked, Error> {
        let mut checked = Checked { totals: Totals::default(), sound: Vec::new(), next: batch.next };
        for task in &batch.tasks {
            self.check(task, scratch, &mut checked)?;
        }
        Ok(checked)
    }
}

impl ObjectChecker<'_> {
    fn check(&self, task: &Task, scratch: &mut CheckScratch, checked: &mut Checked) -> Result<(), Error> {
        let faults = &mut checked.totals.faults;
        match &task.found {
            Joined::LoneSidecar(location) => {
                let text = "a sidecar without a blob";
                let path = format!("{}.meta", object_path(location));
                faults.add(VerifyFault::new(FaultKind::LoneSidecar, path, Some(location.key()), text));
            }
            Joined::LineAlone(line) => self.check_line_alone(line, faults)?,
            Joined::Object { entry, has_sidecar, indexed } => {
                let mut check = ObjectCheck { checker: self, entry, faults: Vec::new(), is_on_spot: false };
                check.placing();
                if entry.location.is_in_place() {
                    check.line(indexed.as_ref());
                }
                let read = match task.is_read {
                    true => check.read(*has_sidecar, indexed.as_ref(), scratch)?,
                    false => {
                        check.sidecar_is_there(*has_sidecar);
                        check.length(indexed.as_ref());
                        None
                    }
                };
                check.finish(read, &mut checked.totals, &mut checked.sound);
            }
        }
        Ok(())
    }

    /// Checks a line without an object. If the store is to be merged into another one, the object may be there.
    fn check_line_alone(&self, line: &IndexedObject, faults: &mut Tally) -> Result<(), Error> {
        let record = &line.parsed.record;
        if let Some(store) = self.merged_into
            && let Some(identity) = source_identity(&blob_path(store, record.digest))?
            && identity.len_bytes == record.stored_size
        {
            return Ok(());
        }
        let text = format!("it lists {}, and there is no such blob in its place", record.digest);
        faults.add(VerifyFault::new(FaultKind::BlobMissing, line_path(line.line), Some(record.digest), text));
        if let Some(fault) = repeated(line) {
            faults.add(fault);
        }
        Ok(())
    }
}

/// The check of one object.
struct ObjectCheck<'a> {
    checker: &'a ObjectChecker<'a>,
    entry: &'a Entry,
    faults: Vec<VerifyFault>,
    /// True if the medium failed to give its sidecar: a blob that it fails to give too is no second item.
    is_on_spot: bool,
}

/// A blob that was read: the length of its content, if it could be decoded.
struct BlobRead {
    content_bytes: Option<u64>,
}

impl ObjectCheck<'_> {
    fn add(&mut self, kind: FaultKind, text: impl Into<String>) {
        let path = object_path(&self.entry.location);
        self.faults.push(VerifyFault::new(kind, path, Some(self.entry.location.key()), text));
    }

    fn add_to_sidecar(&mut self, kind: FaultKind, text: impl Into<String>) {
        let path = format!("{}.meta", object_path(&self.entry.location));
        self.faults.push(VerifyFault::new(kind, path, Some(self.entry.location.key()), text));
    }

    /// Returns the error if it is a fault of the object.
    fn of_object(&mut self, error: DiskError) -> Result<DiskError, DiskError> {
        let is_same_spot = self.is_on_spot && error.fault_class() == FaultClass::Medium;
        if !is_same_spot && !self.checker.spots.is_of_file(&error) {
            return Err(error);
        }
        self.is_on_spot |= error.fault_class() == FaultClass::Medium;
        Ok(error)
    }

    fn placing(&mut self) {
        if self.entry.kind != EntryKind::File {
            self.add(FaultKind::NotAFile, self.entry.kind.text());
        }
        if !self.entry.location.is_in_place() {
            self.add(FaultKind::Misplaced, "it is in the wrong directory: no reader finds it");
        }
    }

    /// Checks the line in the index, as far as that is possible without the sidecar.
    fn line(&mut self, indexed: Option<&IndexedObject>) {
        match indexed {
            None => self.add(FaultKind::NotIndexed, "the index does not list it: no reader sees it"),
            Some(line) => self.faults.extend(repeated(line)),
        }
    }

    /// Compares the length of a blob that is not read with the index.
    fn length(&mut self, indexed: Option<&IndexedObject>) {
        let listed = indexed.map(|line| line.parsed.record.stored_size);
        if self.entry.kind == EntryKind::File && listed.is_some_and(|listed| listed != self.entry.len_bytes) {
            let (listed, found) = (listed.unwrap_or_default(), self.entry.len_bytes);
            self.add(FaultKind::StoredSizeWrong, format!("the index says {listed} bytes, the blob has {found}"));
        }
    }

    fn sidecar_is_there(&mut self, has_sidecar: bool) {
        if self.entry.kind == EntryKind::File && self.entry.location.is_in_place() && !has_sidecar {
            self.add(FaultKind::SidecarMissing, "it has no sidecar");
        }
    }

    /// Reads sidecar and blob. `None`: the blob could not be read.
    ///
    /// # Errors
    /// An error of the process or the device, which says nothing about the store.
    fn read(
        &mut self,
        has_sidecar: bool,
        indexed: Option<&IndexedObject>,
        scratch: &mut CheckScratch,
    ) -> Result<Option<BlobRead>, Error> {
        self.sidecar_is_there(has_sidecar);
        let line = indexed.map(|line| &line.parsed);
        let sidecar = if has_sidecar { self.read_sidecar(line, scratch)? } else { None };
        if let (Some(line), Some(sidecar)) = (indexed, &sidecar) {
            self.compare_line(line, &sidecar.record);
        }
        // Without a sidecar, the line in the index says what the content should be.
        let expected = sidecar.or(line.copied()).map(|parsed| parsed.record);
        let (encoding, content_bytes_max) =
            expected.map_or((Encoding::Identity, 0), |record| (record.encoding, record.original_size));
        let path = self.checker.root.blob(&self.entry.location);
        let read = || digest_blob(&path, self.entry, encoding, content_bytes_max, &mut scratch.blob, self.checker.stop);
        match read_again_if(read, BlobReadFault::of_disk) {
            Err(BlobReadFault::Unreadable(error)) => {
                let error = self.of_object(error)?;
                self.add(FaultKind::Unreadable, unreadable_text(&error));
                Ok(None)
            }
            Err(BlobReadFault::Stopped) => Err(ReadFault::Stopped.into()),
            Err(BlobReadFault::Changed(text)) => {
                self.add(FaultKind::ObjectChanged, format!("changed while it was verified: {text}"));
                Ok(None)
            }
            Ok(digests) => {
                if !self.is_on_spot {
                    self.checker.spots.note_readable();
                }
                let Some(expected) = &expected else { return Ok(Some(BlobRead { content_bytes: None })) };
                self.compare_blob(&path, expected, &digests)?;
                Ok(Some(BlobRead { content_bytes: digests.content.ok().map(|content| content.len_bytes) }))
            }
        }
    }

    /// Returns the record in the sidecar. A sidecar that has exactly the bytes of the line's record is not parsed: that
    /// is the normal case, and parsing JSON costs more than comparing bytes.
    fn read_sidecar(&mut self, line: Option<&Parsed>, scratch: &mut CheckScratch) -> Result<Option<Parsed>, DiskError> {
        let CheckScratch { sidecar, canonical, .. } = scratch;
        let path = self.checker.root.sidecar(&self.entry.location);
        let read = || {
            sidecar.clear();
            read_source_whole(&path, RECORD_BYTES_MAX, sidecar)
        };
        if let Err(error) = read_again(read) {
            let error = self.of_object(error)?;
            self.add_to_sidecar(FaultKind::Unreadable, unreadable_text(&error));
            return Ok(None);
        }
        let parsed = match line {
            Some(line) if line.created_at_present && is_canonical_text(&line.record, sidecar, canonical) => {
                Parsed { is_canonical: true, ..*line }
            }
            _ => match parse(sidecar) {
                Ok(parsed) => parsed,
                Err(fault) => {
                    self.add_to_sidecar(FaultKind::SidecarMalformed, fault.to_string());
                    return Ok(None);
                }
            },
        };
        self.check_sidecar(&parsed);
        Ok(Some(parsed))
    }

    fn check_sidecar(&mut self, parsed: &Parsed) {
        if parsed.record.digest != self.entry.location.key() {
            let text = format!("it belongs to {}", parsed.record.digest);
            self.add_to_sidecar(FaultKind::SidecarOfAnother, text);
        }
        if !parsed.is_canonical {
            self.add_to_sidecar(FaultKind::SidecarNotCanonical, "it is not in canonical form");
        }
        if !parsed.created_at_present {
            self.add_to_sidecar(FaultKind::SidecarNoCreatedAt, "it has no created_at");
        }
    }

    fn compare_line(&mut self, line: &IndexedObject, sidecar: &ObjectRecord) {
        let found = differences(&line.parsed.record, sidecar);
        if !found.is_empty() {
            let text = format!("its line in the index says {}", found.join(", "));
            let key = Some(self.entry.location.key());
            self.faults.push(VerifyFault::new(FaultKind::IndexDiffers, line_path(line.line), key, text));
        }
    }

    /// Compares the blob with its record. A blob that differs may be changing; then the differences are not reported.
    fn compare_blob(&mut self, path: &Path, expected: &ObjectRecord, digests: &CheckedBlob) -> Result<(), DiskError> {
        let before = self.faults.len();
        self.compare_digests(expected, digests);
        if self.faults.len() == before {
            return Ok(());
        }
        let now = source_identity(path)?;
        if now.map(|now| Entry::new(self.entry.location, EntryKind::File, Some(now))) != Some(*self.entry) {
            self.faults.truncate(before);
            self.add(FaultKind::ObjectChanged, "changed while it was verified");
        }
        Ok(())
    }

    fn compare_digests(&mut self, expected: &ObjectRecord, digests: &CheckedBlob) {
        if expected.stored_size != self.entry.len_bytes {
            let text = format!("stored_size is {}, the blob has {} bytes", expected.stored_size, self.entry.len_bytes);
            self.add(FaultKind::StoredSizeWrong, text);
        }
        if expected.stored_blob_hash != digests.stored_hash {
            let text =
                format!("stored_blob_hash is {}, the blob has {}", expected.stored_blob_hash, digests.stored_hash);
            self.add(FaultKind::StoredHashWrong, text);
        }
        match &digests.content {
            Err(ContentFault::Undecodable(what)) => self.add(FaultKind::Undecodable, what.clone()),
            Err(ContentFault::Longer) => {
                let text = format!("original_size is {}, the content is longer", expected.original_size);
                self.add(FaultKind::OriginalSizeWrong, text);
            }
            Ok(content) => {
                if content.len_bytes != expected.original_size {
                    let found = content.len_bytes;
                    let text = format!("original_size is {}, the content has {found} bytes", expected.original_size);
                    self.add(FaultKind::OriginalSizeWrong, text);
                }
                if content.key != self.entry.location.key() {
                    self.add(FaultKind::WrongContent, format!("its content has the key {}", content.key));
                }
            }
        }
    }

    fn finish(self, read: Option<BlobRead>, totals: &mut Totals, sound: &mut Vec<(Key, u64)>) {
        let is_ok = !self.faults.iter().any(VerifyFault::is_error);
        self.faults.into_iter().for_each(|fault| totals.faults.add(fault));
        let Some(read) = read else { return };
        totals.objects_read += 1;
        totals.blob_bytes += self.entry.len_bytes;
        totals.content_bytes += read.content_bytes.unwrap_or(0);
        if let Some(content_bytes) = read.content_bytes.filter(|_| is_ok) {
            totals.objects_ok += 1;
            sound.push((self.entry.location.key(), content_bytes));
        }
    }
}

/// Returns the path of an object relative to its store.
pub fn object_path(location: &Location) -> String {
    format!("{OBJECTS_NAME}/{location}")
}

fn repeated(line: &IndexedObject) -> Option<VerifyFault> {
    let (key, lines) = (line.parsed.record.digest, line.lines);
    let text = || IndexFindingKind::Repeated { key, lines }.to_string();
    (lines > 1).then(|| VerifyFault::new(FaultKind::IndexRepeatedKey, line_path(line.line), Some(key), text()))
}

fn is_canonical_text(record: &ObjectRecord, text: &[u8], scratch: &mut Vec<u8>) -> bool {
    scratch.clear();
    record.push_json(scratch);
    scratch == text
}

/// Returns the fields of a line that differ from the sidecar's, in words.
fn differences(line: &ObjectRecord, sidecar: &ObjectRecord) -> Vec<String> {
    if line == sidecar {
        return Vec::new();
    }
    let pairs = fields(line).into_iter().zip(fields(sidecar)).filter(|(line, sidecar)| line != sidecar);
    pairs.map(|((name, line), (_, sidecar))| format!("{name} {line} where the sidecar says {sidecar}")).collect()
}

fn fields(record: &ObjectRecord) -> [(&'static str, String); 6] {
    [
        ("digest", record.digest.to_string()),
        ("encoding", record.encoding.to_string()),
        ("original_size", record.original_size.to_string()),
        ("stored_size", record.stored_size.to_string()),
        ("stored_blob_hash", record.stored_blob_hash.to_string()),
        ("created_at", record.created_at.to_string()),
    ]
}
