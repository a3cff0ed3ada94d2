//! `haul manifest reindex`: rebuilds the index of the runs.
//!
//! With `--sqlite` the JSON document is a [`ReindexEnd`] with `root`, `index` (path) and `exit_code`. The other sinks print
//! rows to standard output, in the order of their keys: JSON lines, or one transaction that rebuilds a PostgreSQL table.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use rusqlite::Connection;

use super::arguments::{PlaceArgs, RootArgs, scope};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command::{Answer, say_stopped};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::source_root;
use crate::manifest::index::reindex::{ReindexEnd, reindex};
use crate::manifest::index::text::{POSTGRES_BEGIN, POSTGRES_END, upsert_text, write_line};
use crate::manifest::index::{Query, failed, query};
use crate::migration::units::count_text;
use crate::migration::{Error, exit};

/// Values of `--rows`.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RowsArg {
    /// One JSON object per line
    Jsonl,
    /// SQL for PostgreSQL that rebuilds the table in one transaction
    Postgres,
}

/// `haul manifest reindex`
#[derive(Args)]
pub struct ReindexCommand {
    #[command(flatten)]
    root: RootArgs,
    /// SQLite file to rebuild, in one transaction
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

impl ReindexCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = &self.root.root;
        let options = self.place.options(&self.resources)?;
        let tree = source_root(root)?;
        // SQLite removes a database without a name at the end.
        let path = self.sqlite.clone().unwrap_or_default();
        let database = Connection::open(&path).map_err(failed)?;
        let watch = Watch::start(self.output)?;
        let (end, database) =
            watch.run(scope(&self.resources), |control| reindex(tree, database, &options, control))?;
        if end.stopped {
            return Ok(say_stopped());
        }
        if let Some(how) = self.rows {
            output::stream(|out| write_rows(out, how, &database))?;
        } else {
            let answer = Answer::new(&end).path("root", root).path("index", &path);
            answer.print(self.output, |table| table.line(text(&path, &end)))?;
        }
        for path in &end.left_out_paths {
            watch.say(format_args!("note: {} is not in the index: no job_id and run_id can be read", path.display()));
        }
        for path in &end.dangling_paths {
            watch.say(format_args!("note: {} is a link that leads nowhere; it is left where it is", path.display()));
        }
        Ok(exit::OK)
    }
}

fn write_rows(out: &mut dyn Write, how: RowsArg, database: &Connection) -> Result<(), Error> {
    let every = Query::default();
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

fn text(index: &Path, end: &ReindexEnd) -> String {
    let index = index.display();
    let [rows, left_out, links, dangling] = [end.rows, end.left_out, end.links, end.dangling_links].map(count_text);
    format!("{index}: {rows} rows, {left_out} manifests left out, {links} links not followed ({dangling} lead nowhere)")
}
