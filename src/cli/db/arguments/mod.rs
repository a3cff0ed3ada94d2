//! Arguments that the commands of SQL migrations share.

mod backup;
mod chosen;
mod database;
mod files;
mod hooks;
mod limits;
mod migrations;
mod place;
mod placeholders;
mod seeds;
mod server_wait;
mod work;

pub use backup::BackupArgs;
pub use database::DatabaseArgs;
pub use files::FileArgs;
pub use hooks::HookArgs;
pub use limits::LimitArgs;
pub use migrations::MigrationArgs;
pub use place::{Place, PlaceName};
pub use seeds::SeedArgs;
pub use work::Work;

use crate::db::Version;
use crate::db::runner::DestructiveStatement;
use crate::observe::Scope;

/// The name of the records of a run.
const RECORDS_NOUN: &str = "migrations";

/// Returns what the view of a run needs to know.
pub fn scope() -> Scope {
    Scope::of(RECORDS_NOUN)
}

/// Returns what the view of a run on tenants needs to know.
pub fn scope_of_tenants() -> Scope {
    Scope::of("tenants")
}

/// Names the statements of a file that destroy data.
pub fn destructive_lines(file: &str, statements: &[DestructiveStatement]) -> Vec<String> {
    statements.iter().map(|statement| format!("{file}:{} {}", statement.line, statement.what)).collect()
}

/// Parses a version.
pub fn version(text: &str) -> Result<Version, String> {
    text.parse().map_err(|error: crate::db::NotAVersion| error.to_string())
}
