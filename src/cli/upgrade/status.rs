//! `haul upgrade status`: where an upgrade stands; changes nothing.
//!
//! The JSON document is an [`UpgradeStatus`] with `directory` (path) and `exit_code`.

use clap::Args;

use super::arguments::SetArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::output::journal_text;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::upgrade::phases::{UpgradeStatus, status};

/// `haul upgrade status`
#[derive(Args)]
pub struct StatusCommand {
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl StatusCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let (directory, layout) = (self.set.directory()?, self.set.layout()?);
        let found = status(&RealDisk, &layout)?;
        let answer = Answer::new(&found).path("directory", &directory);
        let answer = answer.exit_if(found.is_switch_interrupted(), exit::TEMPORARY);
        answer.next(found.next_step(&directory)).print(self.output, |table| render(table, &found))
    }
}

fn render(table: &mut Table, found: &UpgradeStatus) {
    match &found.state.run {
        None => table.line("no upgrade has begun"),
        Some(run) => {
            table.row("run", &run.run_id);
            table.row("stage", run.stage);
            table.row("settings", &run.rules);
        }
    }
    table.row("writes", if found.writes_frozen { "frozen" } else { "allowed" });
    if !found.flags.is_empty() {
        table.row("flags set", found.flags.join(", "));
    }
    if found.is_switch_interrupted() {
        table.line("a switch of the databases was interrupted; the next command completes or undoes it");
    }
    if let Some(problem) = &found.state.checkpoint_problem {
        table.line(problem);
    }
    if let Some(owner) = &found.state.lock_holder {
        table.row("active", owner);
    }
    found.state.journal.iter().for_each(|entry| table.line(journal_text(entry)));
}
