//! `haul space`: Engram memory spaces.

mod all_spaces;
pub mod arguments;
mod clean;
mod dry_run;
mod estimate;
mod export;
pub mod generate;
mod get;
mod ls;
pub mod migrate;
mod plan;
mod publish;
mod rollback;
mod stats;
mod status;
pub mod verify;

use super::verbs::verbs;

verbs! {
    /// The commands of a space.
    pub enum Verb;

    /// Generate a space in the real log format
    Generate(generate::GenerateCommand),
    /// Show what a log contains; reads all of it and writes nothing
    Stats(stats::StatsCommand),
    /// Show what a migration would read and need; reads only
    Plan(plan::PlanCommand),
    /// Migrate samples, and estimate the time, space and memory of a migration
    Estimate(estimate::EstimateCommand),
    /// Migrate a space; run the same command again to resume after a stop
    Migrate(migrate::MigrateCommand),
    /// List the spaces of a data directory, with their states and next steps; changes nothing
    Ls(ls::LsCommand),
    /// Show the state of a space; changes nothing
    Status(status::StatusCommand),
    /// Read a store again and compare every digest
    Verify(verify::VerifyCommand),
    /// Make the store of an earlier run the live one
    Publish(publish::PublishCommand),
    /// Make the log live again, after checking that it has not changed since the migration
    Rollback(rollback::RollbackCommand),
    /// Write the live nodes of a store back as a log that Engram reads
    Export(export::ExportCommand),
    /// Remove files that no run and no reader needs
    Clean(clean::CleanCommand),
    /// Show one node, from whichever format is live
    Get(get::GetCommand),
}
