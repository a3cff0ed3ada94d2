//! What the checkpoint of an upgrade holds.

use std::fmt;

use bincode::{Decode, Encode};
use serde::Serialize;

use crate::migration::checkpoint::Kind;
use crate::migration::{self, Rules, Stage};
use crate::upgrade::cutover::switch::Switch;
use crate::upgrade::plan::Mode;

/// Tag of the checkpoint file.
pub const CHECKPOINT_KIND: Kind = Kind {
    tag: *b"upgrade\0",
    restart: "restore the databases from migration/backups/pre-migration by hand (docs/runbook-upgrade.md)",
};

/// State of a run, as of a point that is durable.
pub type RunState = migration::RunState<UpgradeRules, Progress, Counts>;

/// What decides the result of an upgrade, besides the databases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Encode, Decode)]
pub struct UpgradeRules {
    /// Name of the definition.
    pub upgrade: String,
    /// SHA-256 of the definition with all its scripts.
    pub definition_sha256: String,
    /// Where phases 2 to 4 work.
    pub mode: Mode,
    /// The zone of instants that name none.
    pub assume_tz: String,
}

impl Rules for UpgradeRules {}

impl fmt::Display for UpgradeRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Staged => "staged",
            Mode::InPlace => "in-place",
        };
        write!(
            f,
            "upgrade={} definition={} mode={mode} assume-tz={}",
            self.upgrade, self.definition_sha256, self.assume_tz
        )
    }
}

/// What a switch that has begun makes live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Encode, Decode)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The upgraded databases.
    Cutover,
    /// The backups.
    Rollback,
}

/// A switch that has begun and has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct BegunSwitch {
    /// What it makes live.
    pub purpose: Purpose,
    /// The files.
    pub switch: Switch,
}

/// How far an upgrade has come within its stage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub struct Progress {
    /// True if all groups of statements have run in all databases.
    pub is_schema_done: bool,
    /// The switch that has begun.
    pub switch: Option<BegunSwitch>,
    /// What all databases were last switched for; only the end of that phase is missing.
    pub switched: Option<Purpose>,
}

crate::migration::outcome::outcome_counts! {
    /// Databases by what was done to them.
    pub struct Counts {
        passed {
            /// Those that the upgrade concerns.
            upgraded: "databases of the set",
        }
        refused {
            /// Those that are not as they should be.
            refused: "databases refused",
        }
    }
}

/// A phase that a verb of its own carries out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Phase 1.
    Freeze,
    /// Phase 2.
    Schema,
    /// Phase 3.
    Backfill,
    /// Phase 4.
    Verify,
    /// Phase 5, up to the switch.
    Cutover,
}

impl Phase {
    /// Returns the phase that comes next; `None` if all of these are done.
    pub fn after(state: &RunState) -> Option<Self> {
        match state.stage {
            Stage::Running => Some(Self::Freeze),
            Stage::Moved if !state.progress.is_schema_done => Some(Self::Schema),
            Stage::Moved => Some(Self::Backfill),
            Stage::Sealed => Some(Self::Verify),
            Stage::Verified => Some(Self::Cutover),
            Stage::Published | Stage::RolledBack => None,
        }
    }

    /// Returns the stage in which a run must be, at least, when it has done this.
    pub fn goal(self) -> Stage {
        match self {
            Self::Freeze => Stage::Moved,
            Self::Schema | Self::Backfill => Stage::Sealed,
            Self::Verify => Stage::Verified,
            Self::Cutover => Stage::Published,
        }
    }
}

/// The name of the verb.
impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Freeze => "freeze",
            Self::Schema => "schema",
            Self::Backfill => "backfill",
            Self::Verify => "verify",
            Self::Cutover => "cutover",
        })
    }
}

/// How far an upgrade is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Through one phase, if those before it are done.
    Only(Phase),
    /// Through all phases up to the switch, from wherever it stands.
    Switched,
}
