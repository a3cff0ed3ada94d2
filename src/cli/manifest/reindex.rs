//! `haul manifest reindex`: rebuilds the index of the runs.
//!
//! With `--sqlite` the JSON document is a [`ReindexEnd`] with `root` and `index` (path). The other sinks print
//! rows to standard output, in the order of their paths: JSON lines, or one transaction that replaces a PostgreSQL table.

#[cfg(feature = "db-sqlite")]
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::arguments::{PlaceArgs, scope};
use super::root::RootArgs;
use crate::cli::arguments::{OutputArgs, ResourceArgs};
#[cfg(feature = "db-sqlite")]
use crate::cli::command::Answer;
use crate::cli::command::say_stopped;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{Disk, ReadRoot, RealDisk, source_root};
use crate::manifest::index::export::Export;
use crate::manifest::index::rows::ReindexEnd;
#[cfg(feature = "db-sqlite")]
use crate::manifest::index::sqlite::reindex;
use crate::manifest::index::text::{POSTGRES_BEGIN, POSTGRES_END, upsert_text, write_line};
#[cfg(feature = "db-sqlite")]
use crate::manifest::run_options::MigrateOptions;
use crate::migration::units::count_text;
use crate::migration::{Error, escaped_json, exit};
#[cfg(feature = "db-sqlite")]
use crate::pipeline::Control;

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

impl ReindexCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = self.root.tree()?;
        let options = self.place.options(&self.resources)?;
        let tree: Arc<dyn ReadRoot> = source_root(root)?;
        let watch = Watch::start(self.output)?;
        let end = match self.rows {
            Some(how) => {
                let disk: Arc<dyn Disk> = Arc::new(RealDisk);
                let export =
                    watch.run(scope(&self.resources), |control| Export::read(&disk, &tree, &options, control))?;
                print_rows(how, export)?
            }
            #[cfg(not(feature = "db-sqlite"))]
            None => unreachable!("clap requires --rows if there is no other sink"),
            #[cfg(feature = "db-sqlite")]
            None => watch.run(scope(&self.resources), |control| self.index(&tree, &options, control))?,
        };
        if end.stopped {
            return Ok(say_stopped());
        }
        #[cfg(feature = "db-sqlite")]
        if let Some(index) = &self.sqlite {
            let answer = Answer::new(&end).path("root", root).path("index", index);
            let answer = answer.exit_if(end.unreadable > 0, exit::REFUSED_RECORDS);
            answer.print(self.output, |table| table.line(text(index, &end)))?;
        }
        if end.same_key > 0 {
            let count = count_text(end.same_key);
            watch.say(format_args!(
                "note: manifests with the job_id and run_id of another one, not in the index: {count}"
            ));
        }
        for path in &end.left_out_paths {
            watch.say(format_args!("note: {} is not in the index: no job_id and run_id can be read", path.display()));
        }
        for path in &end.dangling_paths {
            watch.say(format_args!("note: {} is a link that leads nowhere; it is left where it is", path.display()));
        }
        if end.unreadable > 0 {
            let count = count_text(end.unreadable);
            watch.say(format_args!("manifests that cannot be read, and are not in the index: {count}"));
            return Ok(exit::REFUSED_RECORDS);
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
        let path = self.sqlite.as_ref().expect("clap requires a sink");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        reindex(&disk, (tree, path), options, control)
    }
}

/// Prints the rows, but none of a run that was stopped: half of the rows would look like all of them.
fn print_rows(how: RowsArg, mut export: Export) -> Result<ReindexEnd, Error> {
    if !export.end.stopped {
        output::stream(|out| match how {
            RowsArg::Jsonl => export.for_each(|row| {
                let row = serde_json::to_string(&row).expect("a row has string keys only");
                write_line(out, &escaped_json(&row))
            }),
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
fn text(index: &Path, end: &ReindexEnd) -> String {
    let index = index.display();
    let [rows, left_out, links, dangling] = [end.rows, end.left_out, end.links, end.dangling_links].map(count_text);
    format!("{index}: {rows} rows, {left_out} manifests left out, {links} links not followed ({dangling} lead nowhere)")
}
