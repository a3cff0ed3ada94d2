//! `haul db`: versioned SQL migrations.

mod arguments;
mod baseline;
mod create;
mod drift;
mod dry_run;
mod dump;
mod estimate;
mod lint;
mod locks;
mod log;
mod migrate;
mod redo;
mod repair;
mod resolve;
mod rollback;
mod run_summary;
mod status;
mod unlock;
mod verify;

use super::verbs::verbs;

verbs! {
    /// What to do with the schema of a database.
    pub enum Verb;

    /// Apply what is pending, each migration in one transaction
    Migrate(migrate::MigrateCommand),
    /// Show what is applied, pending, changed and missing; changes nothing
    Status(status::StatusCommand),
    /// Take migrations back, newest first
    Rollback(rollback::RollbackCommand),
    /// Take the newest migration back and apply it again
    Redo(redo::RedoCommand),
    /// Hold the checksums of what is applied against the files
    Verify(verify::VerifyCommand),
    /// Look for what is wrong with migration files, or may hurt when they run
    Lint(lint::LintCommand),
    /// Print the schema of the database, the same text for the same schema
    Dump(dump::DumpCommand),
    /// Hold the schema against the one after the last run
    Drift(drift::DriftCommand),
    /// Write the file of a new migration, with the next version
    Create(create::CreateCommand),
    /// Show every attempt, failed ones too
    Log(log::LogCommand),
    /// Show who holds the lock of the database
    Locks(locks::LocksCommand),
    /// End the run that holds the lock; for emergencies
    Unlock(unlock::UnlockCommand),
    /// Declare migrations applied that a schema already has, without running them
    Baseline(baseline::BaselineCommand),
    /// Take the checksums of changed files over into the ledger
    Repair(repair::RepairCommand),
    /// Say how a migration without a transaction stands that failed or did not end
    Resolve(resolve::ResolveCommand),
}
