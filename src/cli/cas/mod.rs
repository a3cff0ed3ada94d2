//! `haul cas`: content-addressed stores.

pub mod arguments;
mod clean;
mod dry_run;
mod estimate;
mod generations;
mod health;
mod migrate;
mod plan;
mod rollback;
mod status;
mod verify;

use super::verbs::verbs;

verbs! {
    /// What to do with a content-addressed store.
    pub enum Verb;

    /// Say which digests and encodings this haul has; looks at no store
    Health(health::HealthCommand),
    /// Show what a migration would read and need; reads only
    Plan(plan::PlanCommand),
    /// Measure disks and digests for a moment and say how long a migration takes
    Estimate(estimate::EstimateCommand),
    /// Migrate a store to the v2 layout; run the same command again to go on after a stop
    Migrate(migrate::MigrateCommand),
    /// Show where a target stands; changes nothing
    Status(status::StatusCommand),
    /// Take a migration back, after proving that its source is what was migrated
    Rollback(rollback::RollbackCommand),
    /// Remove what no run and no reader needs any more
    Clean(clean::CleanCommand),
    /// Read a v2 store again and say everything that is wrong with it
    Verify(verify::VerifyCommand),
}
