//! `haul manifest reindex`: makes the index of the runs anew.
//!
//! With `--sqlite` the JSON document is a [`ReindexEnd`], `root` and `index`. The other sinks print rows to standard
//! output, in the order of their keys: JSON lines, or for PostgreSQL one transaction that makes the table anew.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rusqlite::Connection;
use serde::Serialize;

use super::arguments::{PlaceArgs, RootArgs, scope};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::source_root;
use crate::manifest::index::reindex::{ReindexEnd, reindex};
use crate::manifest::index::text::{POSTGRES_BEGIN, POSTGRES_END, upsert_text, write_line};
use crate::manifest::index::{IndexQuery, index_error, query};
use crate::migration::units::count_text;
use crate::migration::{Error, exit};

/// Values of `--rows`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RowsArg {
    /// One JSON object a line
    Jsonl,
    /// SQL for PostgreSQL: the table made anew in one transaction
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
        let database = Connection::open(&path).map_err(index_error)?;
        let watch = Watch::start(self.output.progress)?;
        let (end, database) =
            watch.run(scope(&self.resources), |control| reindex(tree, database, &options, control))?;
        if end.stopped {
            watch.say_stopped();
            return Ok(exit::TEMPORARY);
        }
        if let Some(how) = self.rows {
            output::stream(|out| write_rows(out, how, &database))?;
        } else {
            let index = self.sqlite.as_ref().map(|path| path.display().to_string());
            let document = Document { root: root.display().to_string(), index, end: &end };
            output::print(self.output.json, &document, || text(&document))?;
        }
        for path in &end.left_out_paths {
            watch.say(&format!("note: {} is not in the index: no job_id and run_id can be read", path.display()));
        }
        for path in &end.dangling_paths {
            watch.say(&format!("note: {} is a link that leads nowhere; it is left where it is", path.display()));
        }
        Ok(exit::OK)
    }
}

fn write_rows(out: &mut dyn Write, how: RowsArg, database: &Connection) -> Result<(), Error> {
    let every = IndexQuery::default();
    match how {
        RowsArg::Jsonl => query(database, &every, |row| {
            write_line(out, &serde_json::to_string(&row).expect("a row has string keys only"))
        }),
        RowsArg::Postgres => {
            write_line(out, POSTGRES_BEGIN)?;
            query(database, &every, |row| write_line(out, &upsert_text(&row)))?;
            write_line(out, POSTGRES_END)
        }
    }
}

fn text(document: &Document<'_>) -> String {
    let end = document.end;
    let index = document.index.as_deref().unwrap_or_default();
    let [rows, left_out, links, dangling] = [end.rows, end.left_out, end.links, end.dangling_links].map(count_text);
    format!(
        "{index}: {rows} rows, {left_out} manifests left out, {links} links not followed ({dangling} lead nowhere)\n"
    )
}
