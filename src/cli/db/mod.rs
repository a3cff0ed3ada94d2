//! `haul db`: versioned SQL migrations.

mod arguments;
mod dry_run;
mod end;
mod migrate;
mod rollback;
mod status;
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
    /// Hold the checksums of what is applied against the files
    Verify(verify::VerifyCommand),
}
