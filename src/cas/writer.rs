//! Takes converted objects in the order of the source: places them, and keeps the log, the findings and the counts.

use std::sync::Arc;

use super::convert::{BufferPool, Converted, ConvertedItem, Verdict};
use super::moved::{Fate, Moved, MovedLog};
use super::options::Durability;
use super::outcome::{Outcome, RefusalReason, SkipReason};
use super::place::{Arrival, Placer, Placing};
use super::proof::chain;
use super::source::inventory::Entry;
use super::source::{Item, Location, SourceRoot};
use super::state::RunState;
use crate::durable::{Disk, DiskFileSystem};
use crate::migration::{CheckpointFile, Error, Finding, FindingsLog, Severity};
use crate::pipeline::{Commit, Writer};

/// The writer of a migration.
pub struct ObjectWriter<'a> {
    /// The disk of the target.
    pub disk: Arc<dyn Disk>,
    /// The source, to name its paths.
    pub root: &'a SourceRoot,
    /// Where objects go.
    pub placer: Placer,
    /// Takes the bytes of batches back.
    pub buffers: &'a BufferPool,
    /// What became of each.
    pub moved: MovedLog,
    /// What there is to say.
    pub findings: FindingsLog,
    /// State as of what is written.
    pub state: RunState,
    /// The file system of the target.
    pub file_system: Arc<dyn DiskFileSystem>,
    /// The checkpoint.
    pub checkpoint: Arc<CheckpointFile>,
    /// When what is written is made durable.
    pub durability: Durability,
}

impl Writer for ObjectWriter<'_> {
    type Output = Converted;
    type Error = Error;
    type Commit = GroupCommit;

    fn write(&mut self, converted: Converted) -> Result<(), Error> {
        for item in &converted.items {
            self.take(item, &converted.bytes)?;
        }
        self.buffers.give_back(converted.bytes);
        Ok(())
    }

    fn commit_point(&mut self) -> Result<GroupCommit, Error> {
        self.moved.flush()?;
        self.state.findings_bytes = self.findings.flush()?;
        Ok(GroupCommit {
            disk: self.disk.clone(),
            file_system: self.file_system.clone(),
            checkpoint: self.checkpoint.clone(),
            state: self.state.clone(),
            durability: self.durability,
        })
    }
}

impl ObjectWriter<'_> {
    fn take(&mut self, item: &ConvertedItem, bytes: &[u8]) -> Result<(), Error> {
        self.state.items += 1;
        self.state.records += 1;
        match item.item {
            Item::LoneSidecar(location) => {
                self.state.counts.add(Outcome::Skipped(SkipReason::LoneSidecar));
                self.find(Severity::Note, &location, 0, "a sidecar without its object".into(), None)
            }
            Item::Object { entry, .. } => self.take_object(item, &entry, bytes),
        }
    }

    fn take_object(&mut self, item: &ConvertedItem, entry: &Entry, bytes: &[u8]) -> Result<(), Error> {
        self.state.objects += 1;
        self.state.source_bytes += entry.len_bytes;
        self.state.source_chain = chain(&self.state.source_chain, entry, &item.link);
        for note in &item.notes {
            self.find(Severity::Note, &entry.location, entry.len_bytes, note.clone(), None)?;
        }
        let (algorithm, record, blob) = match &item.verdict {
            Verdict::Object { algorithm, record, blob } => (*algorithm, record, blob),
            Verdict::Refused { reason, text } => return self.refuse(entry, *reason, text.clone()),
            Verdict::LoneSidecar => unreachable!("an object is not a sidecar"),
        };
        let source = self.root.blob(&entry.location);
        let arrival = Arrival { record, blob, bytes, source: &source, entry };
        let fate = match self.placer.place(&arrival)? {
            Placing::Done(fate) => fate,
            Placing::SourceChanged => {
                let text = "changed during the run: another file stands under its name".into();
                return self.refuse(entry, RefusalReason::Changed, text);
            }
        };
        self.state.generations[algorithm as usize] += 1;
        match fate {
            Fate::Migrated => {
                self.state.stored_bytes += record.stored_size;
                self.state.counts.add(Outcome::Migrated);
            }
            Fate::Duplicate => {
                self.state.counts.add(Outcome::Duplicate);
                let text = "another object has the same content".into();
                self.find(Severity::Note, &entry.location, entry.len_bytes, text, Some(record.digest.to_string()))?;
            }
            Fate::InTarget => self.state.counts.add(Outcome::InTarget),
            Fate::Refused => unreachable!("nothing that is placed is refused"),
        }
        self.moved.push(&Moved { fate, old_key: entry.location.key(), algorithm, record: *record })
    }

    fn refuse(&mut self, entry: &Entry, reason: RefusalReason, text: String) -> Result<(), Error> {
        self.state.counts.add(Outcome::Refused(reason));
        self.find(Severity::Refused, &entry.location, entry.len_bytes, text, None)?;
        self.moved.push(&Moved::refused(entry.location.key()))
    }

    fn find(
        &mut self,
        severity: Severity,
        location: &Location,
        length: u64,
        reason: String,
        related: Option<String>,
    ) -> Result<(), Error> {
        let id = Some(location.key().to_string());
        let file = location.to_string();
        self.findings.append(&Finding { severity, file, offset: 0, length, reason, id, sequence: None, related })
    }
}

/// Makes everything that was written durable in one go, then the checkpoint that speaks of it.
pub struct GroupCommit {
    disk: Arc<dyn Disk>,
    file_system: Arc<dyn DiskFileSystem>,
    checkpoint: Arc<CheckpointFile>,
    state: RunState,
    durability: Durability,
}

impl Commit for GroupCommit {
    type Error = Error;

    fn commit(self) -> Result<(), Error> {
        if self.durability != Durability::None {
            self.file_system.sync()?;
        }
        self.checkpoint.store(&*self.disk, &self.state)
    }
}
