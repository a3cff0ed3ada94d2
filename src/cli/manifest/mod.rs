//! `haul manifest`: trees of versioned JSON manifests.

mod arguments;
mod clean;
mod compat;
mod dry_run;
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
mod status;
mod steps;
mod text;
mod validate;
mod verify;
mod write;

use super::verbs::verbs;

verbs! {
    /// What to do with a tree of manifests.
    pub enum Verb;

    /// Make up a tree of manifests of all versions
    Generate(generate::GenerateCommand),
    /// Show what a migration would read and need; reads only
    Plan(plan::PlanCommand),
    /// Take every manifest of a tree to a version; run the same command again to go on after a stop
    Migrate(migrate::MigrateCommand),
    /// Show where a tree stands; changes nothing
    Status(status::StatusCommand),
    /// Read every manifest, snapshot and backup again and say everything that is wrong
    Verify(verify::VerifyCommand),
    /// Take a run back: files that are still what it wrote have their former bytes again
    Rollback(rollback::RollbackCommand),
    /// Show what was done to one file
    History(history::HistoryCommand),
    /// Remove the backups of verified runs
    Clean(clean::CleanCommand),
    /// Make the index of the runs anew: a SQLite file, JSON lines, or SQL for PostgreSQL
    Reindex(reindex::ReindexCommand),
    /// Ask an index for runs by job, version and status
    @"db-sqlite" Query(query::QueryCommand),
    /// Print a manifest as another version has it; writes nothing unless asked to
    Read(read::ReadCommand),
    /// Check a manifest from standard input and put it in its place
    Write(write::WriteCommand),
    /// Check manifests against the schema of their versions; reads only
    Validate(validate::ValidateCommand),
    ;
    /// The steps between versions: which there are, where they lead, what they do
    Steps(steps::Verb),
}
