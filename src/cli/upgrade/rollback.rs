//! `haul upgrade rollback`: every database as it was before the upgrade.
//!
//! The JSON document is a [`RollbackEnd`] with `directory` (path) and `exit_code`.

use std::sync::Arc;

use clap::Args;

use super::arguments::{HookArgs, SetArgs};
use crate::cli::arguments::{ConsentArgs, OutputArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::count_text;
use crate::observe::Scope;
use crate::upgrade::phases::command;
use crate::upgrade::rollback::{RollbackEnd, RollbackRequest, rollback};

/// `haul upgrade rollback`
#[derive(Args)]
pub struct RollbackCommand {
    #[command(flatten)]
    set: SetArgs,
    #[command(flatten)]
    hooks: HookArgs,
    /// Roll back although the days of the monitor are over, or other processes have the files open
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RollbackCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let (directory, definition) = (self.set.directory()?, self.set.definition()?);
        self.consent.confirm(format_args!(
            "this puts every database in {} back to what it was before the upgrade; rows that were written since go to \
             migration/rolled-back",
            directory.display()
        ))?;
        let watch = Watch::start(self.output)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let hooks = self.hooks.hooks(&directory);
        let request = RollbackRequest { directory: &directory, definition: &definition, hooks: &hooks, force: self.force };
        let end = watch.run_when_free(self.wait, Scope::of("rows"), |control| rollback(&request, &disk, control))?;
        let next = format!("to upgrade again: {}", command("run", &directory));
        Answer::new(&end).path("directory", &directory).next(next).print(self.output, |table| render(table, &end))
    }
}

fn render(table: &mut Table, end: &RollbackEnd) {
    table.line(if end.already_rolled_back { "rolled back already" } else { "rolled back" });
    for file in &end.files {
        let rows = format!("{} rows were written since", count_text(file.diverged_rows));
        table.row(&file.key, rows);
    }
}
