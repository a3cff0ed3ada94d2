//! What a run tells its observer: one stream of events. The engine itself prints nothing.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Consumes the events of a run. Called from several threads at once; should return quickly.
pub trait Observer: Send + Sync {
    /// Takes note of one event.
    fn observe(&self, event: &Event);
}

/// An observer that ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn observe(&self, _event: &Event) {}
}

/// Something that happened. As JSON it is an object whose `event` field names the variant in snake case.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A run began or goes on: it has its lock and its plan.
    RunStarted(Box<RunStart>),
    /// The run ended. Its report is written.
    RunEnded {
        /// How: the stage that is reached, `stopped`, or `failed`.
        outcome: String,
        /// Exit code of a program that does nothing else.
        exit_code: u8,
    },
    /// A phase began.
    PhaseStarted {
        /// Which.
        phase: Phase,
        /// Records that it will go through, if known.
        records_expected: Option<u64>,
        /// Bytes of source that it will go through, if known.
        bytes_expected: Option<u64>,
    },
    /// More is known about what the innermost phase will go through.
    ExpectedChanged {
        /// Records that it will go through.
        records: Option<u64>,
        /// Bytes of source that it will go through.
        bytes: Option<u64>,
        /// True if this is all; false while it still grows.
        is_exact: bool,
    },
    /// A phase ended.
    PhaseEnded {
        /// Which.
        phase: Phase,
    },
    /// The limit on records a second has let records pass.
    BatchAdmitted {
        /// How many.
        records: u64,
    },
    /// A batch of a migration was written, not yet durably. Each record is counted once in a run, whatever other phases
    /// read it again.
    BatchWritten {
        /// Records in it.
        records: u64,
        /// Bytes of source that it covered.
        source_bytes: u64,
        /// Bytes of the budget that the batches behind it hold.
        budget_in_use_bytes: u64,
    },
    /// A phase that migrates nothing came further: it scans, verifies or sorts.
    Progressed {
        /// Records that it went through.
        records: u64,
        /// Bytes of source that it went through.
        source_bytes: u64,
        /// Bytes of the budget that the batches behind it hold.
        budget_in_use_bytes: u64,
    },
    /// The run began to wait.
    Waiting {
        /// For what.
        reason: Wait,
    },
    /// The run waits no more.
    Waited {
        /// For what it has waited.
        reason: Wait,
        /// How long.
        waited_us: u64,
    },
    /// A stage has done its work on one batch.
    StageTimed {
        /// Which.
        stage: EngineStage,
        /// How long it took.
        took_us: u64,
    },
    /// What the writer has counted since the migration began, with earlier attempts.
    Counted(Box<Counted>),
    /// A checkpoint became durable.
    CheckpointWritten {
        /// Records that this run had written when the checkpoint was taken.
        records_total: u64,
    },
    /// Something that a person should read.
    Note {
        /// A lower-case fragment.
        text: String,
    },
    /// The work on one of several tenants began.
    TenantStarted {
        /// The name of a schema or a database.
        tenant: String,
    },
    /// Something happened in the work on one of several tenants.
    OfTenant {
        /// The name of a schema or a database.
        tenant: String,
        /// What happened.
        inner: Box<Event>,
    },
    /// The work on one of several tenants ended.
    TenantEnded {
        /// The name of a schema or a database.
        tenant: String,
        /// How: `done`, `nothing_to_do`, `failed`, `locked` or `stopped`.
        outcome: &'static str,
    },
}

impl Event {
    /// Returns the end of a wait.
    pub(crate) fn waited(reason: Wait, time: Duration) -> Self {
        Self::Waited { reason, waited_us: microseconds(time) }
    }

    /// Returns what a stage took for one batch.
    pub(crate) fn timed(stage: EngineStage, took: Duration) -> Self {
        Self::StageTimed { stage, took_us: microseconds(took) }
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What a run tells about itself when it starts.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct RunStart {
    /// Id of the run.
    pub run_id: String,
    /// Which store: `space`, `cas`, `manifest`, `upgrade`, `db`.
    pub kind: &'static str,
    /// Where the records come from.
    pub source: String,
    /// Where they go.
    pub target: String,
    /// The directory of the run's state, if it has one.
    pub directory: Option<PathBuf>,
    /// True if it continues an earlier attempt.
    pub is_resumed: bool,
    /// Records that earlier attempts have migrated.
    pub records_before: u64,
    /// Bytes of source that earlier attempts have migrated.
    pub source_bytes_before: u64,
    /// Records of the whole migration, if planned.
    pub records_planned: Option<u64>,
    /// Bytes of source of the whole migration, if planned.
    pub source_bytes_planned: Option<u64>,
    /// Threads that convert.
    pub parallel_workers: u64,
    /// The memory budget; 0 if there is none.
    pub budget_bytes: u64,
    /// Limit on records a second.
    pub rate_limit: Option<u64>,
    /// How long it was expected to take.
    pub forecast: Option<ForecastFigures>,
}

/// How long a run is expected to take, in seconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ForecastFigures {
    /// One run in ten is sooner.
    pub p10: f64,
    /// One run in two is sooner.
    pub p50: f64,
    /// Nine runs in ten are sooner.
    pub p90: f64,
    /// From what it was made: `probe` or `history`.
    pub basis: String,
    /// The phases in order, with the share of `p50` that each takes.
    pub phases: Vec<(Phase, f64)>,
}

/// What a writer has counted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Records by outcome.
    pub outcomes: Vec<(Cow<'static, str>, u64)>,
    /// Bytes of the target by what they are.
    pub written: Vec<(Cow<'static, str>, u64)>,
    /// Findings by severity: `note`, `refused`, `fatal`.
    pub findings: Vec<(Cow<'static, str>, u64)>,
}

/// What a run can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Memory that batches in flight hold.
    Memory,
    /// The limit on records a second.
    Limit,
    /// A sync or a commit that is under way.
    Disk,
}

impl Wait {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Limit, Self::Disk];
}

/// A stage whose work on each batch is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineStage {
    /// The reader fills a batch.
    Read,
    /// A worker converts it.
    Convert,
    /// The writer writes it. Batches that were placed together have equal parts of the time that took.
    Write,
    /// The committer makes what is written durable and replaces the checkpoint.
    Commit,
    /// The part of a commit in which the disk syncs.
    Sync,
}

impl EngineStage {
    /// All of them, in the order of the pipeline.
    pub const ALL: [Self; 5] = [Self::Read, Self::Convert, Self::Write, Self::Commit, Self::Sync];
}

impl fmt::Display for EngineStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Convert => "convert",
            Self::Write => "write",
            Self::Commit => "commit",
            Self::Sync => "sync",
        })
    }
}

/// A part of a migration's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Reads the source and says what would be done.
    Plan,
    /// Moves the records.
    Run,
    /// Makes the staged store complete and durable.
    Seal,
    /// Builds the index.
    Index,
    /// Reads the target again and compares.
    Verify,
    /// Makes the target the live store.
    Publish,
    /// Makes the source the live store again.
    Rollback,
    /// Removes what is no longer needed.
    Clean,
    /// Writes the target back in the format of the source.
    Export,
    /// Copies what is about to be changed.
    Backup,
    /// Changes the rows of a database, page by page.
    Backfill,
    /// Reads the source and counts what is in it.
    Scan,
    /// Makes up a source.
    Generate,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Plan => "plan",
            Phase::Run => "run",
            Phase::Seal => "seal",
            Phase::Index => "index",
            Phase::Verify => "verify",
            Phase::Publish => "publish",
            Phase::Rollback => "rollback",
            Phase::Clean => "clean",
            Phase::Export => "export",
            Phase::Backup => "backup",
            Phase::Backfill => "backfill",
            Phase::Scan => "scan",
            Phase::Generate => "generate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_flat_json_objects() {
        let text = |event: &Event| serde_json::to_string(event).expect("plain data");
        assert_eq!(
            text(&Event::PhaseStarted { phase: Phase::Run, records_expected: Some(3), bytes_expected: None }),
            r#"{"event":"phase_started","phase":"run","records_expected":3,"bytes_expected":null}"#
        );
        assert_eq!(
            text(&Event::CheckpointWritten { records_total: 7 }),
            r#"{"event":"checkpoint_written","records_total":7}"#
        );
        assert_eq!(text(&Event::Note { text: "hm".into() }), r#"{"event":"note","text":"hm"}"#);
        let inner = Box::new(Event::PhaseEnded { phase: Phase::Run });
        assert_eq!(
            text(&Event::OfTenant { tenant: "a".into(), inner }),
            r#"{"event":"of_tenant","tenant":"a","inner":{"event":"phase_ended","phase":"run"}}"#
        );
    }

    #[test]
    fn a_phase_is_displayed_as_it_is_serialized() {
        use Phase::*;
        for phase in
            [Plan, Run, Seal, Index, Verify, Publish, Rollback, Clean, Export, Backup, Backfill, Scan, Generate]
        {
            assert_eq!(serde_json::to_value(phase).expect("plain data"), phase.to_string());
        }
    }
}
