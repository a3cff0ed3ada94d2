//! Which metrics there are. `docs/metrics.md` has the same list, and a test compares them.

use super::run::RunMetrics;
use super::samples::{Sample, Samples, Value, number, numbers, times, whole, wholes};
use crate::observe::MigrationState;

/// What values of a family are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyType {
    /// A number that only grows, and begins at 0 again with a new process.
    Counter,
    /// A number.
    Gauge,
    /// Counts by size.
    Histogram,
    /// Always 1; the labels hold the facts.
    Info,
}

/// Where the name of a family begins, and which labels all its samples have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Name behind the prefix; labels `kind` and `migration`.
    Migration,
    /// Name as it is; labels `kind` and `migration`.
    Run,
    /// Name as it is; label `space`. For spaces alone.
    Space,
    /// Name as it is; no label. Once for a process.
    Process,
}

impl Scope {
    /// Labels that all samples have.
    pub fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Migration | Self::Run => &["kind", "migration"],
            Self::Space => &["space"],
            Self::Process => &[],
        }
    }
}

/// A family of metrics.
pub struct Family {
    /// Its name without prefix, and without the ending that its type brings: `_total`, `_info`.
    pub name: &'static str,
    /// Where its name begins.
    pub scope: Scope,
    /// What its values are.
    pub family_type: FamilyType,
    /// What it says, as one sentence.
    pub help: &'static str,
    /// Labels besides those of [`scope`](Self::scope).
    pub labels: &'static [&'static str],
    /// Returns what is known of a run.
    pub samples: fn(&RunMetrics) -> Samples,
}

impl Family {
    /// Returns the name as it is registered: with the prefix and without the ending.
    pub fn base_name(&self, prefix: &str) -> String {
        match (self.scope, self.name) {
            (Scope::Migration, "") => prefix.to_owned(),
            (Scope::Migration, name) => format!("{prefix}_{name}"),
            (_, name) => name.to_owned(),
        }
    }

    /// Returns the name as it is scraped.
    pub fn full_name(&self, prefix: &str) -> String {
        let ending = match self.family_type {
            FamilyType::Counter => "_total",
            FamilyType::Info => "_info",
            FamilyType::Gauge | FamilyType::Histogram => "",
        };
        self.base_name(prefix) + ending
    }
}

/// A family of the whole table in one line.
const fn of(
    (scope, name): (Scope, &'static str),
    family_type: FamilyType,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&RunMetrics) -> Samples,
) -> Family {
    Family { name, scope, family_type, help, labels, samples }
}

use FamilyType::{Counter, Gauge, Histogram, Info};
use Scope::{Migration, Process, Run, Space};

/// All of them, in the order in which they are written.
pub const FAMILIES: [Family; 32] = [
    // The label values of the process are put in where it is written.
    of((Process, "haul_build"), Info, &["version", "commit"], "The haul that has written this.", |_| Samples::new()),
    of((Migration, ""), Info, &["run_id", "version"], "The run, and the haul that carries it out.", info),
    of((Migration, "state"), Gauge, &["state"], "1 for the state that the migration is in, 0 for the others.", state),
    of((Migration, "progress_ratio"), Gauge, &[], "Share of the whole run that is done, by expected time.", |run| {
        number(run.progress_ratio)
    }),
    of((Migration, "phase_progress_ratio"), Gauge, &["phase"], "Share of the phase under way that is done.", phase),
    of((Migration, "records"), Counter, &["outcome"], "Records by outcome, with those of earlier attempts.", |run| {
        wholes(run.records.iter().map(|(outcome, &count)| (outcome.as_str(), count)))
    }),
    of((Migration, "records_expected"), Gauge, &[], "Records of the whole migration, as planned.", |run| {
        whole(run.records_expected)
    }),
    of((Migration, "source_bytes"), Counter, &[], "Bytes of the source that this attempt has read.", |run| {
        whole(run.source_bytes)
    }),
    of((Migration, "target_bytes"), Counter, &["what"], "Bytes written to the target, by what they are.", |run| {
        wholes(run.target_bytes.iter().map(|(what, &bytes)| (what.as_str(), bytes)))
    }),
    of((Migration, "batch_duration_seconds"), Histogram, &["stage"], "Time that a stage takes for a batch.", stages),
    of((Migration, "sync_duration_seconds"), Histogram, &[], "Time that the disk takes to sync a commit.", |run| {
        run.stages.get("sync").map(|sync| times(vec![], sync)).into_iter().collect()
    }),
    of((Migration, "memory_usage_bytes"), Gauge, &[], "Memory that batches in flight hold.", |run| {
        whole(run.memory_usage_bytes)
    }),
    of((Migration, "memory_budget_bytes"), Gauge, &[], "Memory that batches in flight may hold.", |run| {
        whole(run.memory_budget_bytes)
    }),
    // The help is that of every other process, because a scraper that merges files compares it.
    of((Run, "process_resident_memory_bytes"), Gauge, &[], "Resident memory size in bytes.", |run| {
        whole(run.resident_bytes)
    }),
    of((Migration, "waiting_seconds"), Counter, &["reason"], "Time that the run has waited, by reason.", |run| {
        numbers(run.waiting_seconds.iter().map(|(reason, &seconds)| (reason.as_str(), seconds)))
    }),
    of((Migration, "queue_batches"), Gauge, &["queue"], "Batches in front of a stage or in it.", |run| {
        wholes(run.queues())
    }),
    of((Migration, "checkpoint_writes"), Counter, &[], "Checkpoints that this attempt has written.", |run| {
        whole(run.checkpoints)
    }),
    of((Migration, "checkpoint_timestamp_seconds"), Gauge, &[], "When the last checkpoint was written.", |run| {
        number(run.checkpoint_at)
    }),
    of((Migration, "started_timestamp_seconds"), Gauge, &[], "When this attempt began.", |run| number(run.started_at)),
    of((Migration, "heartbeat_timestamp_seconds"), Gauge, &[], "When the run was last heard of.", |run| {
        number(run.heartbeat_at)
    }),
    of((Migration, "finished_timestamp_seconds"), Gauge, &[], "When the last attempt ended.", |run| {
        number(run.finished_at)
    }),
    of((Migration, "last_success_timestamp_seconds"), Gauge, &[], "When a run has last reached its goal.", |run| {
        number(run.last_success_at)
    }),
    of((Migration, "eta_seconds"), Gauge, &[], "Time until the whole run ends, as expected now.", |run| {
        number(run.eta_seconds)
    }),
    of(
        (Migration, "estimate_seconds"),
        Gauge,
        &["percentile"],
        "Time of the whole run, as expected before it.",
        |run| {
            let figures = run.estimate.iter().flat_map(|all| [("10", all.p10), ("50", all.p50), ("90", all.p90)]);
            numbers(figures)
        },
    ),
    of((Migration, "duration_seconds"), Gauge, &[], "Time that the last attempt took, or has taken so far.", |run| {
        number(run.duration_seconds)
    }),
    of((Migration, "findings"), Counter, &["severity"], "Findings by severity.", |run| {
        wholes(run.findings.iter().map(|(severity, &count)| (severity.as_str(), count)))
    }),
    of(
        (Run, "haul_events_dropped"),
        Counter,
        &[],
        "Events that were only added up, as too many came at once.",
        |run| whole(run.events_dropped),
    ),
    of((Space, "engram_migration_progress_ratio"), Gauge, &[], "Share of the whole run that is done.", |run| {
        number(run.progress_ratio)
    }),
    of((Space, "engram_migration_nodes_migrated"), Counter, &[], "Nodes that are migrated.", |run| {
        whole(run.records.get("migrated").copied())
    }),
    of(
        (Space, "engram_migration_batch_duration_seconds"),
        Histogram,
        &[],
        "Time that a batch takes to convert.",
        |run| run.stages.get("convert").map(|convert| times(vec![], convert)).into_iter().collect(),
    ),
    of((Space, "engram_migration_memory_usage_bytes"), Gauge, &[], "Memory that batches in flight hold.", |run| {
        whole(run.memory_usage_bytes)
    }),
    of((Space, "engram_migration_checkpoint_writes"), Counter, &[], "Checkpoints that were written.", |run| {
        whole(run.checkpoints)
    }),
];

fn info(run: &RunMetrics) -> Samples {
    let is_known = !run.run_id.is_empty();
    let labels = vec![run.run_id.clone(), run.version.clone()];
    is_known.then_some(Sample { labels, value: Value::Info }).into_iter().collect()
}

fn state(run: &RunMetrics) -> Samples {
    let Some(now) = run.state else { return Samples::new() };
    wholes(MigrationState::IN_METRICS.map(|state| (state.name(), u64::from(state == now))))
}

fn phase(run: &RunMetrics) -> Samples {
    let known = run.phase.as_ref().and_then(|(phase, ratio)| Some((phase.as_str(), (*ratio)?)));
    numbers(known)
}

/// Returns the stages that work on batches. A sync has a family of its own.
fn stages(run: &RunMetrics) -> Samples {
    let of_batches = run.stages.iter().filter(|(stage, _)| *stage != "sync");
    of_batches.map(|(stage, summary)| times(vec![stage.clone()], summary)).collect()
}
