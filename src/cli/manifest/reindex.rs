//! `haul manifest reindex`: makes the index of the runs anew.
//!
//! With `--sqlite` the JSON document is a [`ReindexEnd`], `root` and `index`. The other sinks print rows to standard
//! output, in the order of their paths: JSON lines, or for PostgreSQL one transaction that replaces the table.

#[cfg(feature = "db-sqlite")]
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
#[cfg(feature = "db-sqlite")]
use serde::Serialize;

use super::arguments::{PlaceArgs, RootArgs, scope};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{Disk, ReadRoot, RealDisk, source_root};
use crate::manifest::index::export::Export;
use crate::manifest::index::rows::ReindexEnd;
#[cfg(feature = "db-sqlite")]
use crate::manifest::index::sqlite::{index_error, reindex};
use crate::manifest::index::text::{POSTGRES_BEGIN, POSTGRES_END, upsert_text, write_line};
#[cfg(feature = "db-sqlite")]
use crate::manifest::run_options::MigrateOptions;
#[cfg(feature = "db-sqlite")]
use crate::migration::units::count_text;
use crate::migration::{Error, exit};
#[cfg(feature = "db-sqlite")]
use crate::pipeline::Control;

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
    /// SQLite file to replace, in one transaction
    #[cfg(feature = "db-sqlite")]
    #[arg(long, value_name = "FILE", conflicts_with = "rows", required_unless_present = "rows")]
    sqlite: Option<PathBuf>,
    /// Print the rows instead
    #[arg(long, value_enum, value_name = "HOW", conflicts_with = "json")]
    #[cfg_attr(not(feature = "db-sqlite"), arg(required = true))]
    rows: Option<RowsArg>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[cfg(feature = "db-sqlite")]
#[derive(Serialize)]
struct Document<'a> {
    root: String,
    index: String,
    #[serde(flatten)]
    end: &'a ReindexEnd,
}

impl ReindexCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = &self.root.root;
        let options = self.place.options(&self.resources)?;
        let tree: Arc<dyn ReadRoot> = source_root(root)?;
        let watch = Watch::start(self.output.progress)?;
        let end = match self.rows {
            Some(how) => {
                let disk: Arc<dyn Disk> = Arc::new(RealDisk);
                let export =
                    watch.run(scope(&self.resources), |control| Export::read(&disk, &tree, &options, control))?;
                print_rows(how, export)?
            }
            #[cfg(not(feature = "db-sqlite"))]
            None => unreachable!("clap asks for the rows where there is no other sink"),
            #[cfg(feature = "db-sqlite")]
            None => watch.run(scope(&self.resources), |control| self.index(&tree, &options, control))?,
        };
        if end.stopped {
            watch.say_stopped();
            return Ok(exit::TEMPORARY);
        }
        #[cfg(feature = "db-sqlite")]
        if let Some(index) = &self.sqlite {
            let document = Document { root: root.display().to_string(), index: index.display().to_string(), end: &end };
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

    #[cfg(feature = "db-sqlite")]
    fn index(
        &self,
        tree: &Arc<dyn ReadRoot>,
        options: &MigrateOptions,
        control: &Control<'_>,
    ) -> Result<ReindexEnd, Error> {
        let path = self.sqlite.as_ref().expect("clap asks for a sink");
        let mut database = rusqlite::Connection::open(path).map_err(index_error)?;
        reindex(tree, &mut database, options, control)
    }
}

/// Prints nothing of a run that was stopped: half of the rows would look like all of them.
fn print_rows(how: RowsArg, mut export: Export) -> Result<ReindexEnd, Error> {
    if !export.end.stopped {
        output::stream(|out| match how {
            RowsArg::Jsonl => export
                .for_each(|row| write_line(out, &serde_json::to_string(&row).expect("a row has string keys only"))),
            RowsArg::Postgres => {
                write_line(out, POSTGRES_BEGIN)?;
                export.for_each(|row| write_line(out, &upsert_text(&row)))?;
                write_line(out, POSTGRES_END)
            }
        })?;
    }
    Ok(export.end)
}

#[cfg(feature = "db-sqlite")]
fn text(document: &Document<'_>) -> String {
    let (index, end) = (&document.index, document.end);
    let [rows, left_out, links, dangling] = [end.rows, end.left_out, end.links, end.dangling_links].map(count_text);
    format!(
        "{index}: {rows} rows, {left_out} manifests left out, {links} links not followed ({dangling} lead nowhere)\n"
    )
}
