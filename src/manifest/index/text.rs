//! Rows of the index as text: lines of JSON, and SQL for PostgreSQL.

use std::io::Write;
use std::path::Path;

use super::{COLUMNS, IndexRow};
use crate::durable::DiskError;
use crate::migration::Error;

/// Begins the transaction that makes the index anew in PostgreSQL. `json` keeps the text of a manifest as it is, numbers
/// that no `jsonb` holds included; a table that is there already may have either.
pub const POSTGRES_BEGIN: &str = "BEGIN;
SET LOCAL standard_conforming_strings = on;
CREATE TABLE IF NOT EXISTS artifacts (job_id text NOT NULL, run_id text NOT NULL, job_ref text, job_type text,
    status text, inputs_hash text, artifact_dir text NOT NULL, manifest_json json NOT NULL,
    indexed_at timestamptz NOT NULL, PRIMARY KEY (job_id, run_id));
DELETE FROM artifacts;";
/// Ends it. What is cut off before, or fails, changes nothing.
pub const POSTGRES_END: &str = "COMMIT;";

/// An upsert of the row for PostgreSQL. The values have the types of the columns that they meet.
pub fn upsert_text(row: &IndexRow) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let or_null = |text: &Option<String>| text.as_deref().map_or_else(|| "NULL".to_owned(), quoted);
    let values = [
        quoted(&row.job_id),
        quoted(&row.run_id),
        or_null(&row.job_ref),
        or_null(&row.job_type),
        or_null(&row.status),
        or_null(&row.inputs_hash),
        quoted(&row.artifact_dir),
        quoted(&row.manifest_json),
        quoted(&row.indexed_at),
    ];
    let updates: Vec<_> = COLUMNS[2..].iter().map(|column| format!("{column} = EXCLUDED.{column}")).collect();
    format!(
        "INSERT INTO artifacts ({}) VALUES ({}) ON CONFLICT (job_id, run_id) DO UPDATE SET {};",
        COLUMNS.join(", "),
        values.join(", "),
        updates.join(", ")
    )
}

/// Writes a line, and says where it went wrong if it did.
pub fn write_line(out: &mut dyn Write, line: &str) -> Result<(), Error> {
    writeln!(out, "{line}").map_err(|e| DiskError::new("write to", Path::new("standard output"), e).into())
}
