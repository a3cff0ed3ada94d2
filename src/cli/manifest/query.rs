//! `haul manifest query`: asks an index for runs.
//!
//! The JSON document has `rows`.

use std::path::PathBuf;

use clap::Args;
use rusqlite::{Connection, OpenFlags};
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::manifest::reindex::{Query, Row, failed, query, write_line};
use crate::migration::exit;

/// `haul manifest query`
#[derive(Args)]
pub struct QueryCommand {
    /// The SQLite file that `haul manifest reindex` made
    #[arg(value_name = "INDEX")]
    index: PathBuf,
    /// Runs of this job
    #[arg(long, value_name = "ID")]
    job: Option<String>,
    /// Runs whose manifests have this version
    #[arg(long, value_name = "V")]
    version: Option<String>,
    /// Runs with this status
    #[arg(long, value_name = "TEXT")]
    status: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    rows: Vec<Row>,
}

impl QueryCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let database = Connection::open_with_flags(&self.index, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
        let asked = Query { job: self.job, version: self.version, status: self.status };
        if self.output.json {
            let mut rows = Vec::new();
            query(&database, &asked, |row| {
                rows.push(row);
                Ok(())
            })?;
            output::json(&Document { rows })?;
        } else {
            output::stream(|out| query(&database, &asked, |row| write_line(out, &text(&row))))?;
        }
        Ok(exit::OK)
    }
}

fn text(row: &Row) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let (version, status) = (or_dash(&row.schema_version), or_dash(&row.status));
    format!("{}\t{}\t{version}\t{status}\t{}", row.job_id, row.run_id, row.artifact_dir)
}
