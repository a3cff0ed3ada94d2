//! Phases 1 to 5 on the life cycle of every migration: freeze, schema, backfill, verify, switch.

mod assess;
mod files;
mod given;
mod migration;
mod run;
mod state;
mod status;
mod switch;
mod verify;
mod work;

pub use files::{command, plan_of_run};
pub use run::{Goal, UpgradeDetails, UpgradeEnd, run};
pub use assess::refuse_blocked;
pub use state::{CHECKPOINT_KIND, Counts, Phase, Progress, Purpose, RunState, UpgradeRules};
pub use status::{FinishedRun, RunDetails, UpgradeStatus, finished, status};
