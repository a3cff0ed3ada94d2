//! `haul space rollback`: makes the log the live store again.
//!
//! The JSON document is a [`RollbackEnd`] with `space` (path) and `exit_code`.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::arguments::{ReaderArgs, SpaceArgs, scope};
use crate::cli::arguments::{ConsentArgs, OutputArgs, ResourceArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::command_line::space_command;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::units::bytes_text;
use crate::pipeline::Control;
use crate::space::rollback::{RollbackEnd, rollback};

/// `haul space rollback`
#[derive(Args)]
pub struct RollbackCommand {
    #[command(flatten)]
    space: SpaceArgs,
    /// The migration to roll back; there is only one choice
    #[arg(long, value_enum, default_value_t)]
    checkpoint: Checkpoint,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The migration to roll back.
#[derive(ValueEnum, Clone, Copy, Default)]
enum Checkpoint {
    /// The last one.
    #[default]
    #[value(help = None::<&str>)]
    Latest,
}

impl RollbackCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let Checkpoint::Latest = self.checkpoint;
        let paths = self.space.locate()?;
        let root = paths.root().display();
        self.consent.confirm(format_args!(
            "this makes the log of {root} live again, if it has not changed since the migration; the store stays"
        ))?;
        let options = self.reader.options(&self.resources);
        let watch = Watch::start(self.output)?.with_metrics_of(&self.metrics, ("space", &root), "rolled-back")?;
        let work = |control: &Control<'_>| rollback(Arc::new(RealDisk), &paths, &options, control);
        let end = watch.run_when_free(self.wait, scope(&options), work)?;
        let next = format!("to make the store live again: {}", space_command("publish", paths.root()));
        let answer = Answer::new(&end).path("space", paths.root()).stopped(end.stopped).next(next);
        answer.print(self.output, |table| render(table, &root.to_string(), &end))
    }
}

fn render(table: &mut Table, space: &str, end: &RollbackEnd) {
    let how = match (end.stopped, end.already_rolled_back) {
        (true, _) => "stopped; nothing was changed",
        (_, true) => "the log is live already",
        _ => "the log is live again",
    };
    table.line(format_args!("{space}: {how}"));
    if end.source_bytes > 0 {
        table.line(format_args!("{} of the log are unchanged since the migration", bytes_text(end.source_bytes)));
    }
    if let Some(store) = &end.store {
        table.line(format_args!("{space}/{store} is kept"));
    }
}
