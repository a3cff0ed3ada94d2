//! `haul manifest reindex`: makes the index of the runs anew.
//!
//! With `--sqlite` the JSON document is a [`ReindexEnd`], `root` and `index`. The other sinks print rows to standard
//! output, in the order of their keys: JSON lines, or one upsert for PostgreSQL a line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rusqlite::Connection;
use serde::Serialize;

use super::arguments::{PlaceArgs, RootArgs, scope};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::watch::Watch;
use crate::durable::source_root;
use crate::manifest::reindex::{Query, ReindexEnd, Row, failed, query, reindex, upsert_text, write_line};
use crate::migration::exit;
use crate::migration::units::count_text;

/// Values of `--rows`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RowsArg {
    /// One JSON object a line
    Jsonl,
    /// One upsert for PostgreSQL a line
    Postgres,
}

/// `haul manifest reindex`
#[derive(Args)]
pub struct ReindexCommand {
    #[command(flatten)]
    root: RootArgs,
    /// SQLite file to make anew, in one transaction
    #[arg(long, value_name = "FILE", conflicts_with = "rows", required_unless_present = "rows")]
    sqlite: Option<PathBuf>,
    /// Print the rows instead
    #[arg(long, value_enum, value_name = "HOW", conflicts_with = "json")]
    rows: Option<RowsArg>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    root: String,
    index: Option<String>,
    #[serde(flatten)]
    end: &'a ReindexEnd,
}

impl ReindexCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = &self.root.root;
        let options = self.place.options(&self.resources)?;
        let tree = source_root(root)?;
        // Without a name it is a file that SQLite removes at the end.
        let path = self.sqlite.clone().unwrap_or_default();
        let database = Connection::open(&path).map_err(failed)?;
        let watch = Watch::start(self.output.progress)?;
        let (end, database) =
            watch.run(scope(&self.resources), |control| reindex(tree, database, &options, control))?;
        if end.stopped {
            watch.say_stopped();
            return Ok(exit::TEMPORARY);
        }
        if let Some(how) = self.rows {
            output::stream(|out| query(&database, &Query::default(), |row| write_line(out, &line(how, &row))))?;
        } else {
            let index = self.sqlite.as_ref().map(|path| path.display().to_string());
            let document = Document { root: root.display().to_string(), index, end: &end };
            output::print(self.output.json, &document, || text(&document))?;
        }
        for path in &end.left_out_paths {
            watch.say(&format!("note: {} is not in the index: no job_id and run_id can be read", path.display()));
        }
        Ok(exit::OK)
    }
}

fn line(how: RowsArg, row: &Row) -> String {
    match how {
        RowsArg::Jsonl => serde_json::to_string(row).expect("a row has string keys only"),
        RowsArg::Postgres => upsert_text(row),
    }
}

fn text(document: &Document<'_>) -> String {
    let end = document.end;
    let index = document.index.as_deref().unwrap_or_default();
    let (rows, left_out) = (count_text(end.rows), count_text(end.left_out));
    format!("{index}: {rows} rows, {left_out} manifests left out, {} links not followed\n", count_text(end.links))
}
