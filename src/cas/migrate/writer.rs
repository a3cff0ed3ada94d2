//! Receives placed objects in the order of the source, and keeps the log, the findings and the counts.

use std::collections::VecDeque;
use std::sync::Arc;

use super::accounting::{Destination, record_batch};
use super::object_log::{LoggedObject, ObjectLog};
use super::placer::{IncomingObject, PlaceResult};
use super::placing::PlacedBatch;
use crate::cas::source::SourceRoot;
use crate::cas::state::{RunState, written};
use crate::durable::{Disk, DiskFileSystem};
use crate::migration::{CheckpointFile, Durability, Error, Finding, FindingsCount, FindingsLog, counted};
use crate::pipeline::{Commit, Counted, Writer};

/// The writer of a migration.
pub struct ObjectWriter<'a> {
    /// The disk of the target.
    pub disk: Arc<dyn Disk>,
    /// The source, for the paths in findings.
    pub root: &'a SourceRoot,
    /// Where objects and their outcomes go.
    pub staged: StagedStore,
    /// State of everything that is written.
    pub state: RunState,
    /// The file system of the target.
    pub file_system: Arc<dyn DiskFileSystem>,
    /// The checkpoint.
    pub checkpoint: Arc<CheckpointFile>,
    /// When objects are made durable.
    pub durability: Durability,
}

/// A store that is being written, with its log and findings.
pub struct StagedStore {
    /// Results of the objects of the batch that is taken.
    pub placed: VecDeque<PlaceResult>,
    /// The outcome of each object.
    pub log: ObjectLog,
    /// The findings.
    pub findings: FindingsLog,
    /// How many of them there are.
    pub findings_count: FindingsCount,
}

impl Destination for StagedStore {
    fn place(&mut self, _incoming: &IncomingObject<'_>) -> Result<PlaceResult, Error> {
        Ok(self.placed.pop_front().expect("every object of a batch is placed before"))
    }

    fn log_object(&mut self, object: &LoggedObject) -> Result<(), Error> {
        self.log.push(object)
    }

    fn add_finding(&mut self, finding: Finding) -> Result<(), Error> {
        self.findings_count.add(finding.severity);
        self.findings.append(&finding)
    }
}

impl Writer for ObjectWriter<'_> {
    type Output = PlacedBatch;
    type Error = Error;
    type Commit = GroupCommit;

    fn write(&mut self, batch: PlacedBatch) -> Result<(), Error> {
        self.staged.placed = batch.results.into();
        record_batch(&mut self.state, self.root, &mut self.staged, &batch.items)
    }

    fn commit_point(&mut self) -> Result<GroupCommit, Error> {
        self.staged.log.flush()?;
        self.state.findings_bytes = self.staged.findings.flush()?;
        Ok(GroupCommit {
            disk: self.disk.clone(),
            file_system: self.file_system.clone(),
            checkpoint: self.checkpoint.clone(),
            state: self.state.clone(),
            durability: self.durability,
        })
    }

    fn counted(&self) -> Option<Counted> {
        let written = written(&self.state).into_iter().filter(|(_, bytes)| *bytes > 0);
        Some(counted(&self.state.counts, written, &self.staged.findings_count))
    }
}

/// Makes everything that was written durable, then the checkpoint that covers it.
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
