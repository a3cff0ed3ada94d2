//! Phases 1 to 5 on the life cycle of every migration: freeze, schema, backfill, verify, switch.

mod assess;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod dying_disk;
pub mod files;
pub mod given;
mod migration;
mod run;
#[cfg(test)]
pub mod scene;
pub mod state;
mod status;
pub mod switch;
#[cfg(test)]
mod tests;
mod verify;
mod work;

pub use assess::refuse_blocked;
pub use files::{command, plan_of_run};
pub use run::{UpgradeDetails, UpgradeEnd, run};
pub use state::{CHECKPOINT_KIND, Counts, Goal, Phase, Progress, Purpose, RunState, UpgradeRules};
pub use status::{FinishedRun, RunDetails, UpgradeStatus, finished, status};
