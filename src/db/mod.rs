//! Versioned SQL migrations of SQLite and PostgreSQL databases (docs/source-sql.md).
//!
//! | part | holds |
//! |---|---|
//! | [`script`] | migration files: names, sections, statements, directives, checksums; knows no database |
//! | [`database`] | the interface to an engine, as two traits: one that reads, one that changes |
//! | [`sqlite`], [`postgres`] | the two engines |
//! | [`state`] | the ledger and the log, in the database itself |
//! | [`schema`] | the schema of a database as text, and the differences between two |
//! | [`lint`] | faults of migration files, and statements that may do harm when they run |
//! | [`foreign_ledgers`] | what other runners have recorded in a database |
//! | [`hooks`] | SQL and programs that run before and after migrations |
//! | [`UnfinishedBuild`] | indexes and partitions that a concurrent statement has left half done |
//! | [`estimate`] | how long pending migrations may take |
//! | [`squash`] | one file in the place of many, with proof that it makes the same schema |
//! | [`backup`] | copies made before a run that destroys data |
//! | [`tenants`] | the same migrations in many schemas or databases |
//! | [`runner`] | plan, migrate, rollback, and the administration of the ledger |
//!
//! An application embeds it with migrations as text: see [`Runner`].

#[cfg(feature = "tokio")]
mod async_runner;
pub mod backup;
mod create;
pub mod database;
mod dialect;
mod engine_error;
pub mod estimate;
pub mod foreign_ledgers;
pub mod hooks;
pub mod lint;
mod pattern;
mod percent;
#[cfg(feature = "db-postgres")]
pub mod postgres;
pub mod runner;
pub mod schema;
pub mod script;
mod settings;
#[cfg(feature = "db-sqlite")]
pub mod sqlite;
pub mod squash;
pub mod state;
mod target;
pub mod tenants;
mod unfinished_builds;
mod variables;
mod version;

#[cfg(feature = "tokio")]
pub use async_runner::AsyncRunner;
pub use create::{create, write_new};
pub use database::{Database, ReadDatabase};
pub use dialect::Dialect;
pub use engine_error::EngineError;
pub use runner::{Runner, RunnerOptions};
pub use schema::Schema;
pub use script::{Migration, Migrations};
pub use settings::{Absent, DbSettings, SETTINGS_FILE};
pub use target::{DEFAULT_DATABASE, Target};
pub use unfinished_builds::UnfinishedBuild;
pub use variables::{DOT_ENV_FILE, Variables};
pub use version::{NotAVersion, Version};
