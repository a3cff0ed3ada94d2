//! Ledgers of other runners, which haul reports and never changes (docs/source-sql.md, "Ledger and log").

use super::database::ReadDatabase;
use super::engine_error::EngineError;

/// Tables in which other runners keep their state.
const TABLES: [(&str, &str); 10] = [
    ("__migrations", "the documented runner"),
    ("schema_migrations", "golang-migrate, dbmate or Rails"),
    ("goose_db_version", "goose"),
    ("flyway_schema_history", "Flyway"),
    ("databasechangelog", "Liquibase"),
    ("_sqlx_migrations", "sqlx"),
    ("refinery_schema_history", "refinery"),
    ("atlas_schema_revisions", "Atlas"),
    ("schema_version", "the documented command line"),
    ("_prisma_migrations", "Prisma"),
];

/// Returns the tables of other runners that are in the database, each with the name of the runner.
pub fn foreign_ledgers(database: &mut dyn ReadDatabase) -> Result<Vec<(&'static str, &'static str)>, EngineError> {
    let mut found = Vec::new();
    for (table, runner) in TABLES {
        if database.has_table(table)? {
            found.push((table, runner));
        }
    }
    Ok(found)
}
