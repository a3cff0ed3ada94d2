//! `haul manifest`: trees of versioned JSON manifests.

mod accept;
mod arguments;
mod clean;
mod compat;
mod dry_run;
mod estimate;
mod generate;
mod history;
mod list_versions;
mod migrate;
mod plan;
#[cfg(feature = "db-sqlite")]
mod query;
mod read;
mod reindex;
mod rollback;
mod root;
mod runs;
mod status;
mod steps;
mod text;
mod validate;
mod verify;
mod write;

use super::verbs::verbs;

verbs! {
    /// The commands of a tree of manifests.
    pub enum Verb;

    /// Generate a tree of manifests of all versions
    Generate(generate::GenerateCommand),
    /// Show what a migration would read and need; reads only
    Plan(plan::PlanCommand),
    /// Migrate samples, and estimate the time, space and memory of a migration
    Estimate(estimate::EstimateCommand),
    /// Migrate every manifest of a tree to a version; run the same command again to resume after a stop
    Migrate(migrate::MigrateCommand),
    /// Show the state of a tree; changes nothing
    Status(status::StatusCommand),
    /// Read every manifest, snapshot and backup again and report everything that is wrong
    Verify(verify::VerifyCommand),
    /// Accept files as they are, after an application has changed or removed them
    Accept(accept::AcceptCommand),
    /// List the runs of a tree
    Runs(runs::RunsCommand),
    /// Undo a run: restore the files that are still as it wrote them
    Rollback(rollback::RollbackCommand),
    /// Show what was done to one file
    History(history::HistoryCommand),
    /// Remove the backups of verified runs
    Clean(clean::CleanCommand),
    /// Rebuild the index of the runs: a SQLite file, JSON lines, or SQL for PostgreSQL
    Reindex(reindex::ReindexCommand),
    /// Search an index for runs by job, version and status
    @"db-sqlite" Query(query::QueryCommand),
    /// Print a manifest at another version; writes nothing unless asked to
    Read(read::ReadCommand),
    /// Check a manifest from standard input and put it in its place
    Write(write::WriteCommand),
    /// Check manifests against the schemas of their versions; reads only
    Validate(validate::ValidateCommand),
    ;
    /// The steps between versions: list them, draw them, check them
    Steps(steps::Verb),
}
