//! `haul manifest rollback`: gives the files of a run their former bytes again.
//!
//! The JSON document is a [`RollbackEnd`] with `root`, `findings` (the first of them) and `exit_code`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::arguments::{DurabilityArg, RECORDS_NOUN, StepsArgs, below};
use super::root::RootArgs;
use super::text::{TreeEnd, write_findings};
use crate::cli::arguments::{ConsentArgs, OutputArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::command_line::manifest_command;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::manifest::rollback::{RollbackEnd, RollbackRequest, rollback};
use crate::manifest::runs::{last_run, runs};
use crate::migration::units::count_text;
use crate::migration::{Error, exit};
use crate::observe::Scope;

/// `haul manifest rollback`
#[derive(Args)]
pub struct RollbackCommand {
    #[command(flatten)]
    root: RootArgs,
    /// The run to undo, by the id in its report and in the ledger, or `last`
    #[arg(long, value_name = "ID")]
    run: String,
    /// Only these files, relative to the root [default: all that the run wrote]
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    steps: StepsArgs,
    /// When to make restored files durable
    #[arg(long, value_enum, default_value_t = DurabilityArg::Group, value_name = "WHEN")]
    durability: DurabilityArg,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RollbackCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = self.root.with_runs()?;
        let files: BTreeSet<_> = self.files.iter().map(|file| below(root, file)).collect::<Result<_, Error>>()?;
        let registry = self.steps.registry()?;
        let which = match files.len() {
            0 => "every file that it wrote".to_owned(),
            count => format!("{} files", count_text(count as u64)),
        };
        let run = &self.run_id(root)?;
        let what = format_args!("this gives {which} the bytes from before run {run}; files changed since stay");
        self.consent.confirm(what)?;
        let request =
            RollbackRequest { run_id: run, files: &files, registry: &registry, durability: self.durability.into() };
        let watch =
            Watch::start(self.output)?.with_metrics_of(&self.metrics, ("manifest", root.display()), "rolled-back")?;
        let disk = Arc::new(RealDisk);
        let scope = Scope::of(RECORDS_NOUN);
        let end = watch.run_when_free(self.wait, scope, |control| rollback(disk.clone(), root, request, control))?;
        let tree_end = TreeEnd::new(root, &end, &end.findings);
        let code = if end.refused > end.refused_by_disk { exit::CONFLICT } else { exit::REFUSED_RECORDS };
        let answer = Answer::new(&tree_end).stopped(end.stopped).exit_if(end.refused > 0, code);
        answer.print(self.output, |table| render(table, root, &end))
    }
}

impl RollbackCommand {
    /// Returns the id of the run that is meant. An id that was cut short is completed in the message, but not taken.
    fn run_id(&self, root: &Path) -> Result<String, Error> {
        let refuse = |what: String, next: String| Err(Error::Usage { what, next });
        if self.run == "last" {
            let next = "nothing: there was no migration".to_owned();
            return last_run(&RealDisk, root)?
                .map_or_else(|| refuse(format!("{}: no run to undo", root.display()), next), Ok);
        }
        let runs = runs(&RealDisk, root)?;
        if runs.iter().any(|run| run.run_id == self.run) {
            return Ok(self.run.clone());
        }
        let begun: Vec<_> =
            runs.iter().filter(|run| run.run_id.starts_with(&self.run)).map(|run| &*run.run_id).collect();
        let list = format!("choose one that {} lists, or `last`", manifest_command("runs", root));
        match begun[..] {
            // The ledger may be gone, or in use: the command tells.
            [] => Ok(self.run.clone()),
            [id] => refuse(format!("{:?} is too short for a run id", self.run), format!("give --run {id}")),
            _ => refuse(format!("{:?} is too short: {} runs begin so", self.run, begun.len()), list),
        }
    }
}

fn render(table: &mut Table, root: &Path, end: &RollbackEnd) {
    let how = if end.stopped { "stopped, to be resumed" } else { "rolled back" };
    table.line(format_args!("{}: run {} {how}", root.display(), end.run_id));
    table.count("restored", end.restored);
    table.count("restored before", end.already_restored);
    table.count("refused", end.refused);
    if end.inverses_checked > 0 {
        table.count("inverses checked", end.inverses_checked);
    }
    write_findings(table, &end.findings);
}
