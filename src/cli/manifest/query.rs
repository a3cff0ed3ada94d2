//! `haul manifest query`: searches an index for runs.
//!
//! The JSON document has `rows`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use rusqlite::{Connection, OpenFlags};

use crate::cli::arguments::{OutputArgs, check_file};
use crate::cli::output;
use crate::manifest::index::IndexRow;
use crate::manifest::index::sqlite::{IndexQuery, index_error, query};
use crate::manifest::index::text::write_line;
use crate::migration::{Error, escaped, escaped_json, exit};

/// `haul manifest query`
#[derive(Args)]
pub struct QueryCommand {
    /// The SQLite file that `haul manifest reindex` created
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// Only runs of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Only runs whose manifests have this version
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// Only runs with this status
    #[arg(long, value_name = "TEXT")]
    status: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl QueryCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        check_file(&self.index, "give the file that `haul manifest reindex --sqlite` has made")?;
        let database =
            Connection::open_with_flags(&self.index, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(index_error)?;
        let asked = IndexQuery { job: self.job, version: self.version, status: self.status };
        output::stream(|out| match self.output.json {
            true => write_document(out, &database, &asked),
            false => query(&database, &asked, |row| write_line(out, &text(&row))),
        })?;
        Ok(exit::OK)
    }
}

/// Writes row by row, because an index may be larger than memory.
fn write_document(out: &mut dyn Write, database: &Connection, asked: &IndexQuery) -> Result<(), Error> {
    write_line(out, "{\"rows\": [")?;
    let mut last: Option<String> = None;
    query(database, asked, |row| {
        let text = serde_json::to_string(&row).expect("a row has string keys only");
        last.replace(escaped_json(&text).into_owned()).map_or(Ok(()), |before| write_line(out, &format!("{before},")))
    })?;
    last.map_or(Ok(()), |last| write_line(out, &last))?;
    write_line(out, "]}")
}

fn text(row: &IndexRow) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let (version, status) = (or_dash(&row.schema_version), or_dash(&row.status));
    let columns = [&row.job_id, &row.run_id, &version, &status, &row.artifact_dir];
    columns.map(|column| escaped(column)).join("\t")
}
