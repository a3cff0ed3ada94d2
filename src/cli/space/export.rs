//! `haul space export`: the live nodes of a store as a log that Engram reads.
//!
//! The JSON document is an [`ExportEnd`] and, beside its fields, `space` (path) and `exit_code`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::{SpaceArgs, scope};
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};
use crate::space::export::{ExportEnd, export};
use crate::space::options::MigrateOptions;

/// `haul space export`
#[derive(Args)]
pub struct ExportCommand {
    #[command(flatten)]
    space: SpaceArgs,
    /// Directory that gets wal/; it must be empty or not exist yet
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Which store [default: the live one, else that of the last run]
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    space: String,
    #[serde(flatten)]
    end: &'a ExportEnd,
    exit_code: u8,
}

impl ExportCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let watch = Watch::start(self.output.progress)?;
        watch.say(&format!("exporting {} to {}", paths.root().display(), self.to.display()));
        let end = watch.run(scope(&MigrateOptions::default()), |control| {
            export(Arc::new(RealDisk), &paths, self.store.as_deref(), &self.to, control)
        })?;
        let exit_code = if end.stopped { exit::TEMPORARY } else { exit::OK };
        let document = Document { space: paths.root().display().to_string(), end: &end, exit_code };
        output::print(self.output.json, &document, || text(&end))?;
        if end.stopped {
            watch.say_stopped();
        }
        Ok(exit_code)
    }
}

fn text(end: &ExportEnd) -> String {
    let path = end.path.display();
    if end.stopped {
        return format!("{path}: stopped; nothing is left of the log\n");
    }
    let (count, bytes) = (count_text(end.records), bytes_text(end.bytes));
    let mut text = format!("{path}: {count} records of {}, {bytes}\n", end.store);
    if end.memories > 0 {
        let memories = count_text(end.memories);
        text.push_str(&format!("{memories} of them are memories, which Engram does not apply when it reads the log\n"));
    }
    text
}
