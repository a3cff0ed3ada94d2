//! `haul space rollback`: makes the log the live store again.
//!
//! The JSON document is a [`RollbackEnd`] and, beside its fields, `space` (path) and `exit_code`.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::arguments::{ReaderArgs, SpaceArgs, course, scope};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command_line::space_command;
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::bytes_text;
use crate::space::options::MigrateOptions;
use crate::space::rollback::{RollbackEnd, rollback};

/// `haul space rollback`
#[derive(Args)]
pub struct RollbackCommand {
    #[command(flatten)]
    space: SpaceArgs,
    /// Which migration to take back; there is one to choose from
    #[arg(long, value_enum, default_value_t)]
    checkpoint: Checkpoint,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which migration to take back.
#[derive(ValueEnum, Clone, Copy, Default)]
enum Checkpoint {
    /// The last one.
    #[default]
    #[value(help = None::<&str>)]
    Latest,
}

#[derive(Serialize)]
struct Document<'a> {
    space: String,
    #[serde(flatten)]
    end: &'a RollbackEnd,
    exit_code: u8,
}

impl RollbackCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let Checkpoint::Latest = self.checkpoint;
        let paths = self.space.locate()?;
        let root = paths.root().display();
        confirm(
            &format!("this makes the log of {root} live again, if it is still what was migrated; the store stays"),
            self.yes,
        )?;
        let options = MigrateOptions { reader: self.reader.reader, ..course(&self.resources) };
        let watch = Watch::start(self.output.progress)?;
        let end = watch.run(scope(&options), |control| rollback(Arc::new(RealDisk), &paths, &options, control))?;
        let exit_code = if end.stopped { exit::TEMPORARY } else { exit::OK };
        let document = Document { space: root.to_string(), end: &end, exit_code };
        output::print(self.output.json, &document, || text(&document))?;
        if end.stopped {
            watch.say_stopped();
        } else {
            watch.say(&format!("next: to go forth again: {}", space_command("publish", paths.root())));
        }
        Ok(exit_code)
    }
}

fn text(document: &Document<'_>) -> String {
    let Document { space, end, .. } = document;
    let how = match (end.stopped, end.already_rolled_back) {
        (true, _) => "stopped; nothing was changed",
        (_, true) => "the log is live already",
        _ => "the log is live again",
    };
    let mut text = format!("{space}: {how}\n");
    if end.source_bytes > 0 {
        text.push_str(&format!("{} of the log are what was migrated\n", bytes_text(end.source_bytes)));
    }
    if let Some(store) = &end.store {
        text.push_str(&format!("{space}/{store} is kept\n"));
    }
    text
}
