//! `haul cas rollback`: takes what a migration published away again.
//!
//! The JSON document is a [`RollbackEnd`] and, beside its fields, `target` (path) and `exit_code`.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::{RECORDS_NOUN, TargetArgs, course, scope};
use crate::cas::options::Placement;
use crate::cas::rollback::{RollbackEnd, rollback};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};

/// `haul cas rollback`
#[derive(Args)]
pub struct RollbackCommand {
    #[command(flatten)]
    target: TargetArgs,
    /// Go back even if the target was written to since the migration; what was put there since is lost
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    target: String,
    #[serde(flatten)]
    end: &'a RollbackEnd,
    exit_code: u8,
}

impl RollbackCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.target.paths()?;
        let target = paths.target().display();
        confirm(&question(&target.to_string(), self.force), self.yes)?;
        let options = course(&self.resources);
        let watch = Watch::start(self.output.progress)?;
        let disk = Arc::new(RealDisk);
        let end = watch.run(scope(&options), |control| rollback(disk, &paths, &options, self.force, control))?;
        let exit_code = if end.stopped { exit::TEMPORARY } else { exit::OK };
        let document = Document { target: target.to_string(), end: &end, exit_code };
        output::print(self.output.json, &document, || text(&document))?;
        if end.stopped {
            watch.say_stopped();
        } else {
            watch.say("next: to go forth again: the same `haul cas migrate` with --restart");
        }
        Ok(exit_code)
    }
}

fn question(target: &str, force: bool) -> String {
    let lost = if force { ", with what was put there since" } else { "" };
    format!(
        "this takes what the migration to {target} published away again{lost}, and puts back what stood there before, \
         if the source is still what was migrated"
    )
}

fn text(document: &Document<'_>) -> String {
    let Document { target, end, .. } = document;
    let how = match (end.stopped, end.already_rolled_back, end.placement) {
        (true, ..) => "stopped; nothing was changed",
        (_, true, _) => "rolled back already",
        (_, _, Placement::New) => "the store is removed",
        (_, _, Placement::Merge) => "the objects that were merged in are removed, the index is that from before",
        (_, _, Placement::Replace) => "the store that was replaced is back",
    };
    let mut text = format!("{target}: {how}\n");
    if end.source_objects > 0 {
        let (objects, bytes) = (count_text(end.source_objects), bytes_text(end.source_bytes));
        text.push_str(&format!("{objects} {RECORDS_NOUN} of the source, {bytes}, are what was migrated\n"));
    }
    text
}
