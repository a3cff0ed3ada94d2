//! `haul upgrade`: a set of SQLite databases from one release to the next.

mod arguments;
mod cleanup;
mod cutover;
mod monitor;
mod phase;
mod plan;
mod request;
mod rollback;
mod status;
mod text;

use super::verbs::verbs;

verbs! {
    /// The commands of an upgrade.
    pub enum Verb;

    /// Phase 0: examine the databases and show what an upgrade would do; changes none of them
    Plan(plan::PlanCommand),
    /// Phases 0 to 5: upgrade the databases, all or none; run the same command again to resume after a stop
    Run(cutover::RunCommand),
    /// Phase 1: stop writes, back the databases up and verify the backups
    Freeze(phase::FreezeCommand),
    /// Phase 2: create the new tables, columns and indexes
    Schema(phase::SchemaCommand),
    /// Phase 3: fill what is new
    Backfill(phase::BackfillCommand),
    /// Phase 4: compare the result with the plan and with what was there before
    Verify(phase::VerifyCommand),
    /// Phase 5: switch all databases, then set one flag after the other
    Cutover(cutover::CutoverCommand),
    /// Phase 6: compare the databases in use with the limits of the upgrade
    Monitor(monitor::MonitorCommand),
    /// Phase 7: remove what is over its time, after an archive of it was verified
    Cleanup(cleanup::CleanupCommand),
    /// Put every database back to what it was before the upgrade
    Rollback(rollback::RollbackCommand),
    /// Show where an upgrade stands; changes nothing
    Status(status::StatusCommand),
}
