//! Where an upgrade stands. Reads only.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::files::{command, plan_of_run};
use super::given;
use super::state::{CHECKPOINT_KIND, Counts, Phase, Progress, RunState, UpgradeRules};
use crate::durable::Disk;
use crate::migration::run::status::RunStanding;
use crate::migration::{CheckpointFile, Error, Stage, clock};
use crate::upgrade::flags::FlagFile;
use crate::upgrade::layout::Layout;
use crate::upgrade::monitor::published_at;
use crate::upgrade::set::Member;
use crate::upgrade::values::Values;

/// Where an upgrade stands.
#[derive(Debug, Clone, Serialize)]
pub struct UpgradeStatus {
    /// What the checkpoint and the journal tell.
    #[serde(flatten)]
    pub state: RunStanding<UpgradeRules, Counts, RunDetails>,
    /// True while the application must not write.
    pub writes_frozen: bool,
    /// Flags that are set.
    pub flags: Vec<String>,
}

/// What the checkpoint of an upgrade tells besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunDetails {
    /// The phase that comes next; `None` if there is none before the monitor.
    pub next_phase: Option<Phase>,
    /// True if a switch of the databases has begun and has not ended.
    pub is_switch_interrupted: bool,
    /// True if that switch, or what has to follow it, belongs to a rollback.
    pub is_rolling_back: bool,
}

impl UpgradeStatus {
    /// Returns true if there is no run that can go on: a new one would begin.
    pub fn is_over(&self) -> bool {
        let run = self.state.run.as_ref();
        run.is_none_or(|run| run.stage == Stage::RolledBack) && self.state.checkpoint_problem.is_none()
    }

    /// Returns true if a run has begun that has not switched the databases.
    pub fn is_before_switch(&self) -> bool {
        self.state.run.as_ref().is_some_and(|run| run.stage < Stage::Published)
    }

    /// Returns true if a switch has begun and has not ended.
    pub fn is_switch_interrupted(&self) -> bool {
        self.state.run.as_ref().is_some_and(|run| run.details.is_switch_interrupted)
    }

    /// Returns what to do next.
    pub fn next_step(&self, directory: &Path) -> String {
        let Some(run) = &self.state.run else {
            return self.state.next_step().unwrap_or_else(|| command("plan", directory));
        };
        self.state.next_step().unwrap_or_else(|| match (run.stage, run.details.next_phase) {
            _ if run.details.is_rolling_back && run.stage != Stage::RolledBack => command("rollback", directory),
            (Stage::RolledBack, _) => command("plan", directory),
            (_, Some(phase)) => command(&phase.to_string(), directory),
            (_, None) => command("monitor", directory),
        })
    }
}

/// Reads where an upgrade stands.
pub fn status(disk: &dyn Disk, layout: &Layout) -> Result<UpgradeStatus, Error> {
    let state = RunStanding::read::<Progress>(disk, layout.run(), CHECKPOINT_KIND, details)?;
    let file = FlagFile::read(disk, &layout.flags())?;
    let flags = file.flags.iter().filter(|(_, is_set)| **is_set).map(|(name, _)| name.clone()).collect();
    Ok(UpgradeStatus { state, writes_frozen: file.writes_frozen, flags })
}

fn details(state: &RunState) -> RunDetails {
    let Progress { switch, switched, .. } = &state.progress;
    let purpose = switch.as_ref().map(|begun| begun.purpose).or(*switched);
    RunDetails {
        next_phase: Phase::after(state),
        is_switch_interrupted: switch.is_some(),
        is_rolling_back: purpose == Some(super::state::Purpose::Rollback),
    }
}

/// An upgrade whose databases are switched.
#[derive(Debug, Clone)]
pub struct FinishedRun {
    /// The run.
    pub run_id: String,
    /// Its databases.
    pub members: Vec<Member>,
    /// What SQL works with, as of now.
    pub values: Values,
    /// When the databases were switched.
    pub published_at: Timestamp,
}

/// Returns the upgrade of a set, which must be switched.
pub fn finished(disk: &dyn Disk, layout: &Layout) -> Result<FinishedRun, Error> {
    let checkpoint = CheckpointFile::new(layout.run().path(), CHECKPOINT_KIND);
    let state = checkpoint.load::<RunState>(disk)?.filter(|state| state.stage == Stage::Published);
    let Some(state) = state else {
        return Err(Error::Usage {
            what: "no upgrade of these databases has switched them".into(),
            next: "look at `haul upgrade status`".into(),
        });
    };
    let values = given::kept(disk, layout.run())?;
    let plan = plan_of_run(disk, layout.run())?;
    let now = clock::now()?;
    Ok(FinishedRun {
        published_at: published_at(disk, layout.run(), &state.run_id)?.unwrap_or(now),
        members: plan.members.into_iter().map(|planned| planned.member).collect(),
        values: Values { run_clock: now, ..values },
        run_id: state.run_id,
    })
}
