//! The index as SQL for PostgreSQL, and the output of lines.

use std::io::Write;
use std::path::Path;

use super::{COLUMNS, IndexRow};
use crate::durable::DiskError;
use crate::migration::Error;

/// The beginning of the transaction that replaces the index in PostgreSQL.
// `json` and not `jsonb`: it keeps the text of a manifest, including numbers that `jsonb` cannot store. An existing
// table may have either.
pub const POSTGRES_BEGIN: &str = "BEGIN;
SET LOCAL standard_conforming_strings = on;
CREATE TABLE IF NOT EXISTS artifacts (job_id text NOT NULL, run_id text NOT NULL, job_ref text, job_type text,
    status text, inputs_hash text, artifact_dir text NOT NULL, manifest_json json NOT NULL,
    indexed_at timestamptz NOT NULL, PRIMARY KEY (job_id, run_id));
DELETE FROM artifacts;";
/// The end of the transaction. If the text is cut off before it, nothing changes.
pub const POSTGRES_END: &str = "COMMIT;";

/// Returns a statement for PostgreSQL that inserts or updates a row. The literals have no types, so they take those of
/// the columns.
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

/// Writes a line to standard output. An error names standard output.
pub fn write_line(out: &mut dyn Write, line: &str) -> Result<(), Error> {
    writeln!(out, "{line}").map_err(|e| DiskError::new("write to", Path::new("standard output"), e).into())
}
