//! `haul cas rollback`: removes what a migration published, and puts back what it replaced.
//!
//! The JSON document is a [`RollbackEnd`] with `target` (path) and `exit_code`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::arguments::{RECORDS_NOUN, TargetArgs, resource_options, scope};
use crate::cas::options::Placement;
use crate::cas::rollback::{RollbackEnd, RollbackRequest, rollback};
use crate::cas::status::check_known;
use crate::cli::arguments::{ConsentArgs, OutputArgs, ResourceArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};
use crate::pipeline::Control;

/// `haul cas rollback`
#[derive(Args)]
pub struct RollbackCommand {
    #[command(flatten)]
    target: TargetArgs,
    /// Roll back even if the target was written to since the migration; what was written since is lost
    #[arg(long)]
    force: bool,
    /// Where the source is now, if it was moved since the migration or the plan of the run is lost
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RollbackCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.target.paths()?;
        check_known(&RealDisk, &paths)?;
        let target = paths.target().display();
        let lost = if self.force { ", with what was written to it since" } else { "" };
        self.consent.confirm(format_args!(
            "this removes what the migration to {target} published{lost}, and puts back what was there before, if the \
             source has not changed since the migration"
        ))?;
        let options = resource_options(&self.resources);
        let watch = Watch::start(self.output)?.with_metrics_of(&self.metrics, ("cas", &target), "rolled-back")?;
        let disk = Arc::new(RealDisk);
        let request = RollbackRequest { force: self.force, source: self.source.as_deref() };
        let work = |control: &Control<'_>| rollback(disk.clone(), &paths, &options, &request, control);
        let end = watch.run_when_free(self.wait, scope(&options), work)?;
        let answer = Answer::new(&end)
            .path("target", paths.target())
            .stopped(end.stopped)
            .exit_if(end.left.count > 0, exit::REFUSED_RECORDS);
        let answer = answer.next("to migrate again: the same `haul cas migrate` with --restart".to_owned());
        answer.print(self.output, |table| {
            table.line(format_args!("{target}: {}", how_text(&end)));
            render_source(table, &end);
            render_left(table, &end);
        })
    }
}

fn how_text(end: &RollbackEnd) -> &'static str {
    match (end.stopped, end.already_rolled_back, end.placement) {
        (true, ..) => "stopped; nothing was changed",
        (_, true, _) => "rolled back already",
        (_, _, Placement::New) => "the store is removed",
        (_, _, Placement::Merge) => "the objects that were merged in are removed, the index is that from before",
        (_, _, Placement::Replace) => "the store that was replaced is back",
    }
}

fn render_left(table: &mut Table, end: &RollbackEnd) {
    if end.left.count == 0 {
        return;
    }
    table.line(format_args!(
        "refused  {} files could not be removed, and no index lists them any more",
        count_text(end.left.count)
    ));
    table.nested(|table| end.left.first.iter().for_each(|what| table.line(what)));
}

fn render_source(table: &mut Table, end: &RollbackEnd) {
    if end.source_objects > 0 {
        let (objects, bytes) = (count_text(end.source_objects), bytes_text(end.source_bytes));
        table.line(format_args!("{objects} {RECORDS_NOUN} of the source, {bytes}, are unchanged since the migration"));
    }
}
