//! What a store supplies to be taken through the life of a migration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::checkpoint::{Decode, Encode, Kind};
use super::context::Context;
use super::report::parts::Next;
use super::run::state::{Durability, Rules, RunState};
use super::stage::Stage;
use super::{Error, OutcomeCounts, SourceBytes};
use crate::durable::NewModes;
use crate::pipeline::{Ended, Expected};

/// How a step ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// This stage is reached. It is durable as soon as the checkpoint names it.
    Reached(Stage),
    /// What the caller asked for is done and durable; the next stage is not reached yet.
    Paused,
    /// A stop was requested; what is done so far is kept.
    Stopped,
}

/// What the run in the checkpoint means for a call that could continue it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The run is continued. If it has reached its goal, there is nothing to do.
    Continues,
    /// The run is over: a new one begins.
    Over,
    /// A stop was requested before this was known.
    Stopped,
}

/// A moment at which a run makes checks, before it changes anything.
pub enum Check<'a, S> {
    /// Before the lock is taken: the lock needs a directory, which must not be created in a wrong place.
    Places,
    /// Before a run begins.
    Target,
    /// Before an earlier run of the same plan is continued.
    Continued(&'a S),
}

/// What a plan of any store must tell.
pub trait RunPlan: Serialize {
    /// Returns the digest of everything that decides the result.
    fn digest(&self) -> [u8; 32];
    /// Returns the bytes that must be free; `None` if that is not known before the records are read.
    fn space_needed_bytes(&self) -> Option<u64>;
    /// Returns the number of files and directories that a run makes; `None` if they are few, or not known before.
    fn inodes_needed(&self) -> Option<u64> {
        None
    }
    /// Returns the records that a run will go through, as many as it may be; `None` if they are not counted before.
    fn records(&self) -> Option<u64> {
        None
    }
    /// Returns the bytes of source that a run will go through; `None` if they are not known before.
    fn source_bytes(&self) -> Option<u64> {
        None
    }
}

/// Where the records come from, and where they go.
pub struct Places {
    /// The source.
    pub source: PathBuf,
    /// The target, under the name that it is published by.
    pub target: PathBuf,
}

/// What only a store can tell of a run, for its report.
#[derive(Default)]
pub struct Summary {
    /// Where the records came from.
    pub source: String,
    /// Where they went.
    pub target: String,
    /// Bytes of the source by what they are.
    pub source_bytes: SourceBytes,
    /// Bytes of the target by what they are.
    pub written: BTreeMap<String, u64>,
    /// Bytes that were staged before they were published; 0 for a store that stages single files.
    pub staging_bytes: u64,
    /// Digests of what was made and of what it was made from, by what they are.
    pub digests: BTreeMap<String, String>,
    /// How the source is read, where there is a choice.
    pub reader: Option<String>,
    /// How much of the target is read again.
    pub verify: Option<String>,
    /// The commands that come next.
    pub next: Next,
    /// What only this kind of store reports: a JSON object.
    pub details: serde_json::Value,
}

/// The state of a run of this migration.
pub type StateOf<M> = RunState<<M as Migration>::Rules, <M as Migration>::Progress, <M as Migration>::Counts>;

/// A migration that a store's room carries out. [`run`](super::session::run) takes it through its life.
///
/// The methods are called in the order in which they stand here. Each may be called again after a crash anywhere in it
/// or after it, and then completes.
pub trait Migration: Sized {
    /// The command's name for this kind of store.
    const NOUN: &'static str;
    /// Tag of the checkpoint, and what starting over means for this store.
    const KIND: Kind;
    /// What differs if the plan of a run is another one, for the message that refuses it.
    const PLAN_PARTS: &'static str;
    /// What decides the result.
    type Rules: Rules;
    /// What only this kind of store keeps in the checkpoint.
    type Progress: Clone + Default + Encode + Decode<()>;
    /// Records by outcome.
    type Counts: OutcomeCounts + Copy + Default + Encode + Decode<()>;
    /// What a run would read and need.
    type Plan: RunPlan;

    /// Returns what decides the result of a run that begins.
    fn rules(&self) -> Self::Rules;

    /// Returns the permissions that what is made of the source may have at most.
    fn modes(&self) -> Result<NewModes, Error> {
        Ok(NewModes::ANY)
    }

    /// Returns when this attempt is asked to make durable what it writes.
    fn durability(&self) -> Durability {
        Durability::Group
    }

    /// Returns the directories whose file systems this migration syncs as a whole; empty if it syncs each file anyway.
    /// They exist when a run begins or is continued.
    fn synced_as_a_whole(&self, _cx: &Context<'_>) -> Vec<PathBuf> {
        Vec::new()
    }

    /// Makes durable what attempts without durability have written. False: it is not known where all of it lies.
    fn sync_behind(&mut self, _cx: &Context<'_>) -> Result<bool, Error> {
        Ok(false)
    }

    /// Makes the checks of this moment. A run and its dry run make all of them here, so that the dry run refuses what
    /// the run refuses. [`Ended::Stopped`]: a stop was requested.
    fn preflight(&self, _cx: &Context<'_>, _check: Check<'_, StateOf<Self>>) -> Result<Ended, Error> {
        Ok(Ended::Complete)
    }

    /// Tells whether the run in the checkpoint is continued.
    fn standing(&mut self, _cx: &Context<'_>, _state: &StateOf<Self>) -> Result<Standing, Error> {
        Ok(Standing::Continues)
    }

    /// Brings what the last run was publishing to an end, before a restart checks the target and discards that run.
    fn end_publication(&mut self, _cx: &Context<'_>, _last: Option<&StateOf<Self>>) -> Result<(), Error> {
        Ok(())
    }

    /// Discards the last run, readable or not. What it has published stays.
    ///
    /// The checkpoint goes before what it describes: after a crash within, none describes what is half removed.
    fn discard(&mut self, cx: &Context<'_>) -> Result<(), Error>;

    /// Discards the last run because the operator asks for it.
    fn restart(&mut self, cx: &Context<'_>) -> Result<(), Error> {
        self.discard(cx)
    }

    /// Removes what a run that has no checkpoint has left.
    fn clear(&mut self, cx: &Context<'_>) -> Result<(), Error>;

    /// Makes the plan. Only looks where there is no lock. `None`: a stop was requested.
    fn plan(&mut self, cx: &Context<'_>, begins: bool) -> Result<Option<Self::Plan>, Error>;

    /// Tells whether the source of a plan, which is not that of the run, is proved to have the bytes that the run took:
    /// times change when files are copied back.
    fn proves_source(&mut self, _cx: &Context<'_>, _state: &StateOf<Self>) -> Result<bool, Error> {
        Ok(false)
    }

    /// Fills in the state of a run that begins. It is durable afterwards.
    fn begin(&mut self, cx: &Context<'_>, state: &mut StateOf<Self>, last: Option<&StateOf<Self>>)
    -> Result<(), Error>;

    /// Brings the state of a run that is continued up to what is on the disk.
    fn settle(&mut self, _cx: &Context<'_>, _state: &mut StateOf<Self>) -> Result<(), Error> {
        Ok(())
    }

    /// Returns where the records come from and where they go.
    fn places(&self, state: &StateOf<Self>) -> Places;

    /// Returns the records and the bytes of source that the attempts until now have migrated.
    fn migrated(&self, state: &StateOf<Self>) -> (u64, u64);

    /// Returns true if something of the source is not in the target that should be: the operator has to look at the report.
    fn leaves_out(&self, state: &StateOf<Self>) -> bool {
        state.counts.refused() > 0
    }

    /// Returns what the next step will go through.
    fn expected(&self, _state: &StateOf<Self>) -> Expected {
        Expected::UNKNOWN
    }

    /// Carries out the step to the next stage. `state` changes only with what has become durable.
    fn step(&mut self, cx: &Context<'_>, state: &mut StateOf<Self>) -> Result<Step, Error>;

    /// Returns what only this store can tell of the run.
    fn summary(&self, cx: &Context<'_>, state: &StateOf<Self>) -> Result<Summary, Error>;

    /// Removes what no attempt leaves behind, whether it succeeded or not.
    fn sweep(&mut self, _cx: &Context<'_>) -> Result<(), Error> {
        Ok(())
    }
}
