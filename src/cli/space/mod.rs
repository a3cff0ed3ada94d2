//! `haul space`: Engram memory spaces.

pub mod arguments;
mod clean;
mod dry_run;
mod estimate;
mod export;
pub mod generate;
mod get;
pub mod migrate;
mod plan;
mod publish;
mod rollback;
mod stats;
mod status;
pub mod verify;

use super::verbs::verbs;

verbs! {
    /// What to do with a space.
    pub enum Verb;

    /// Make up a space in the real log format
    Generate(generate::GenerateCommand),
    /// Show what a log consists of; reads all of it and writes nothing
    Stats(stats::StatsCommand),
    /// Show what a migration would read and need; reads only
    Plan(plan::PlanCommand),
    /// Measure the disks for a moment and say how long a migration takes
    Estimate(estimate::EstimateCommand),
    /// Migrate a space; run the same command again to go on after a stop
    Migrate(migrate::MigrateCommand),
    /// Show where a space stands; changes nothing
    Status(status::StatusCommand),
    /// Read a store again and compare every digest
    Verify(verify::VerifyCommand),
    /// Make the store the live one that an earlier run left ready
    Publish(publish::PublishCommand),
    /// Make the log live again, after proving that it is what was migrated
    Rollback(rollback::RollbackCommand),
    /// Write the live nodes of a store back as a log that Engram reads
    Export(export::ExportCommand),
    /// Remove what no run and no reader needs any more
    Clean(clean::CleanCommand),
    /// Show one node, from whichever format is live
    Get(get::GetCommand),
}
