//! `haul db`: versioned SQL migrations.

mod arguments;
mod baseline;
mod clean;
mod create;
mod create_database;
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
mod seed;
mod squash;
mod status;
mod tenants;
mod unlock;
mod verify;

use super::verbs::verbs;

verbs! {
    /// The commands of a database.
    pub enum Verb;

    /// Apply pending migrations, each in one transaction
    Migrate(migrate::MigrateCommand),
    /// Show which migrations are applied, pending, changed or missing; changes nothing
    Status(status::StatusCommand),
    /// Roll migrations back, newest first
    Rollback(rollback::RollbackCommand),
    /// Roll the newest migration back and apply it again
    Redo(redo::RedoCommand),
    /// Run seeds: files with rows that a database needs, each once for each text
    Seed(seed::SeedCommand),
    /// Compare the checksums of applied migrations with the files
    Verify(verify::VerifyCommand),
    /// Find what is wrong with migration files, or may hurt when they run
    Lint(lint::LintCommand),
    /// Print the schema of the database; the same schema gives the same text
    Dump(dump::DumpCommand),
    /// Compare the schema with the one after the last run
    Drift(drift::DriftCommand),
    /// Create the file of a new migration, with the next version
    Create(create::CreateCommand),
    /// Write one file in the place of many, after proving that it makes the same schema
    Squash(squash::SquashCommand),
    /// Create the database, if it does not exist
    CreateDatabase(create_database::CreateDatabaseCommand),
    /// Show every attempt, failed ones too
    Log(log::LogCommand),
    /// Show who holds the lock of the database
    Locks(locks::LocksCommand),
    /// End the run that holds the lock; for emergencies
    Unlock(unlock::UnlockCommand),
    /// Record migrations that a schema already has as applied, without running them
    Baseline(baseline::BaselineCommand),
    /// Remove old backups that haul made
    Clean(clean::CleanCommand),
    /// Record the checksums of changed files in the ledger
    Repair(repair::RepairCommand),
    /// Record the state of a migration without a transaction that failed or did not end
    Resolve(resolve::ResolveCommand),
}
