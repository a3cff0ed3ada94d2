//! The plan of an upgrade, as `plan.json` and `migration-plan-DATE.json` hold it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::upgrade::backfill::{FileFacts, MeasureValue, SetFacts};
use crate::upgrade::facts::{Baseline, FileState};
use crate::upgrade::set::Member;

/// Where phases 2 to 4 work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// On copies; the files are switched all at once after phase 4.
    #[default]
    Staged,
    /// On the live files. The backup is the only way back.
    InPlace,
}

/// The plan of an upgrade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this form.
    pub version: u32,
    /// Version of haul.
    pub tool_version: String,
    /// When it was made, RFC 3339 in UTC.
    pub made_at: String,
    /// Name of the definition.
    pub upgrade: String,
    /// SHA-256 of the definition with all its scripts.
    pub definition_sha256: String,
    /// Release that the databases are of.
    pub from: String,
    /// Release that they become.
    pub to: String,
    /// Release or commit of the application, if it is known.
    pub application: Option<String>,
    /// Where phases 2 to 4 work.
    pub mode: Mode,
    /// The time zone of instants that name none: `UTC`, `+02:00` or `America/New_York`.
    pub assume_tz: String,
    /// SHA-256 of each input, by name.
    pub inputs_sha256: BTreeMap<String, String>,
    /// The numbers that SQL of the definition reads, with those that the operator has changed.
    pub settings: BTreeMap<String, f64>,
    /// What the plan was made with.
    pub environment: Environment,
    /// Every database of the set.
    pub members: Vec<MemberPlan>,
    /// Numbers that were read in the databases, for backfills of others.
    pub measures: Vec<MeasureValue>,
    /// Files that were left out with `--exclude`.
    pub excluded: Vec<String>,
    /// Why the upgrade cannot begin. Empty if it can.
    pub blocks: Vec<Block>,
    /// What is wrong with the databases and does not keep the upgrade from beginning.
    pub notes: Vec<PlanNote>,
    /// How long each phase may take.
    pub estimate: Vec<PhaseEstimate>,
    /// Bytes that must be free next to the databases.
    pub space_needed_bytes: u64,
}

impl Plan {
    /// Returns what backfills know of the whole set.
    pub fn set_facts(&self) -> SetFacts {
        let files = self.members.iter().map(|planned| FileFacts::of(&planned.member, &planned.baseline)).collect();
        SetFacts { files, measures: self.measures.clone() }
    }
}

/// What a plan was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of the SQLite in haul.
    pub sqlite_version: String,
    /// Operating system and processor: `linux x86_64`.
    pub system: String,
    /// How many threads can run at once.
    pub cpus: u64,
}

/// What is planned for one database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MemberPlan {
    /// The database.
    #[serde(flatten)]
    pub member: Member,
    /// SHA-256 of the definitions of all its objects.
    pub schema_sha256: String,
    /// Length of the database file.
    pub file_bytes: u64,
    /// Length of the write-ahead log.
    pub wal_bytes: u64,
    /// What tells cheaply whether it was written to since.
    pub file_state: FileState,
    /// Files next to it that belong to it: `-wal`, `-shm`, `-journal`.
    pub side_files: Vec<String>,
    /// What it is like now.
    pub baseline: Baseline,
    /// The groups and backfills that concern it, in order.
    pub steps: Vec<PlannedStep>,
    /// The rows that each backfill writes.
    pub predictions: Vec<Prediction>,
}

/// A group of statements, or a backfill, in one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Name of the group or of the backfill.
    pub name: String,
    /// SHA-256 of its scripts.
    pub sha256: String,
    /// Whether it still has to run.
    pub state: StepState,
    /// What it will do, a line each: `create table plugins`, `skip index idx_x: it is there`.
    pub actions: Vec<String>,
}

/// Whether a step has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// It has not run.
    Pending,
    /// It has run with the same scripts.
    Applied,
    /// It has run with other scripts.
    Drifted,
}

/// The rows that a backfill writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prediction {
    /// What writes the rows: the name of a backfill.
    pub step: String,
    /// Rows that it inserts or changes.
    pub rows: u64,
}

/// Why an upgrade cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// A stable word: `zero-bytes`, `unknown-shape`, `locked`.
    pub code: String,
    /// Which file, if it is one.
    pub file: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub next: String,
    /// The exit code: 65 for data, 75 for what may pass, 2 for a plan that does not fit.
    pub exit_code: u8,
}

/// Something about a database that does not keep the upgrade from beginning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanNote {
    /// A stable word: `orphans`, `fts-inconsistent`, `key-mismatch`, `index-renamed`.
    pub code: String,
    /// Which file, if it is one.
    pub file: Option<String>,
    /// What was found.
    pub what: String,
}

/// How long a phase may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseEstimate {
    /// `freeze`, `schema`, `backfill`, `verify`, `cutover`.
    pub phase: String,
    /// One run in ten is faster.
    pub p10_ms: u64,
    /// Half of the runs are faster.
    pub p50_ms: u64,
    /// Nine runs in ten are faster.
    pub p90_ms: u64,
}
