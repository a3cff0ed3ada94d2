//! Takes converted objects in the order of the source: places them, and keeps the log, the findings and the counts.

use std::sync::Arc;

use super::accounting::{Destination, enter};
use super::converted::Converted;
use super::object_log::{Moved, MovedLog};
use super::placer::{Arrival, Placer, Placing};
use crate::cas::options::Durability;
use crate::cas::source::SourceRoot;
use crate::cas::state::RunState;
use crate::durable::{Disk, DiskFileSystem};
use crate::migration::{CheckpointFile, Error, Finding, FindingsLog};
use crate::pipeline::{Commit, Writer};

/// The writer of a migration.
pub struct ObjectWriter<'a> {
    /// The disk of the target.
    pub disk: Arc<dyn Disk>,
    /// The source, to name its paths.
    pub root: &'a SourceRoot,
    /// Where objects and what is said of them go.
    pub staged: Staged,
    /// State as of what is written.
    pub state: RunState,
    /// The file system of the target.
    pub file_system: Arc<dyn DiskFileSystem>,
    /// The checkpoint.
    pub checkpoint: Arc<CheckpointFile>,
    /// When what is written is made durable.
    pub durability: Durability,
}

/// A store that is being made, and what is written beside it.
pub struct Staged {
    /// Where objects go.
    pub placer: Placer,
    /// What became of each.
    pub moved: MovedLog,
    /// What there is to say.
    pub findings: FindingsLog,
}

impl Destination for Staged {
    fn place(&mut self, arrival: &Arrival<'_>) -> Result<Placing, Error> {
        self.placer.place(arrival)
    }

    fn keep(&mut self, moved: &Moved) -> Result<(), Error> {
        self.moved.push(moved)
    }

    fn find(&mut self, finding: Finding) -> Result<(), Error> {
        self.findings.append(&finding)
    }
}

impl Writer for ObjectWriter<'_> {
    type Output = Converted;
    type Error = Error;
    type Commit = GroupCommit;

    fn write(&mut self, converted: Converted) -> Result<(), Error> {
        enter(&mut self.state, self.root, &mut self.staged, &converted)
    }

    fn commit_point(&mut self) -> Result<GroupCommit, Error> {
        self.staged.moved.flush()?;
        self.state.findings_bytes = self.staged.findings.flush()?;
        Ok(GroupCommit {
            disk: self.disk.clone(),
            file_system: self.file_system.clone(),
            checkpoint: self.checkpoint.clone(),
            state: self.state.clone(),
            durability: self.durability,
        })
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
