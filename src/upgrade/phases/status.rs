//! Where an upgrade stands. Reads only.

use std::path::Path;

use serde::Serialize;

use super::files::command;
use super::state::{CHECKPOINT_KIND, Counts, Phase, Progress, Purpose, UpgradeRules};
use crate::durable::Disk;
use crate::migration::{Error, RunStanding, Stage};
use crate::upgrade::flags::FlagFile;
use crate::upgrade::layout::Layout;

/// Where an upgrade stands.
#[derive(Debug, Clone, Serialize)]
pub struct UpgradeStatus {
    /// What the checkpoint, the lock and the journal tell.
    #[serde(flatten)]
    pub standing: RunStanding<UpgradeRules, Counts, UpgradeStanding>,
    /// True while the application must not write.
    pub writes_frozen: bool,
    /// What to do next.
    pub next: String,
}

/// What only an upgrade tells of its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpgradeStanding {
    /// The phase that comes next; `None` if all databases are switched or the upgrade was taken back.
    pub next_phase: Option<Phase>,
    /// What the databases are switched for, if that was begun and has not ended: they are a mixture of old and new files.
    pub half_switched_for: Option<Purpose>,
    /// True if the backups are live again and the rollback has not ended.
    pub is_restored: bool,
}

/// Tells where the upgrade of the set in `directory` stands.
pub fn status(disk: &dyn Disk, directory: &Path) -> Result<UpgradeStatus, Error> {
    let layout = Layout::of(directory);
    let standing = RunStanding::read::<Progress>(disk, layout.run(), CHECKPOINT_KIND, |state| UpgradeStanding {
        next_phase: Phase::after(state),
        half_switched_for: state.progress.switch.as_ref().map(|begun| begun.purpose),
        is_restored: state.stage != Stage::RolledBack && state.progress.switched == Some(Purpose::Rollback),
    })?;
    let writes_frozen = FlagFile::read(disk, &layout.flags())?.writes_frozen;
    let next = standing.next_step().unwrap_or_else(|| next(&standing, directory));
    Ok(UpgradeStatus { standing, writes_frozen, next })
}

fn next(standing: &RunStanding<UpgradeRules, Counts, UpgradeStanding>, directory: &Path) -> String {
    let run = |verb: &str| format!("run `{}`", command(verb, directory));
    let Some(state) = &standing.run else { return run("plan") };
    let details = &state.details;
    match (details.half_switched_for, details.next_phase) {
        (Some(Purpose::Cutover), _) => format!("{}: it completes the switch that was interrupted", run("cutover")),
        (Some(Purpose::Rollback), _) => format!("{}: it completes the switch that was interrupted", run("rollback")),
        _ if details.is_restored => format!("{}: it ends the rollback that was interrupted", run("rollback")),
        (None, Some(phase)) => run(&phase.to_string()),
        (None, None) if state.stage == Stage::Published => run("monitor"),
        (None, None) => format!("{} to begin again", run("plan")),
    }
}
