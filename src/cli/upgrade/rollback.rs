//! `haul upgrade rollback`: every database as it was before the upgrade.
//!
//! The JSON document is a [`RollbackEnd`] with `directory` (path) and `exit_code`.

use std::sync::Arc;

use clap::Args;

use super::request::RequestArgs;
use crate::cli::arguments::{ConsentArgs, OutputArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::command_line::same_with_verb;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::count_text;
use crate::observe::Scope;
use crate::pipeline::Control;
use crate::upgrade::configuration::restore;
use crate::upgrade::layout::Layout;
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::rollback::{RollbackEnd, rollback};

/// `haul upgrade rollback`
#[derive(Args)]
pub struct RollbackCommand {
    #[command(flatten)]
    request: RequestArgs,
    /// Switch the files even if other processes have them open; what those write afterwards is lost
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
        let request = UpgradeRequest { force: self.force, ..self.request.request()? };
        let directory = &request.directory;
        self.consent.confirm(format_args!(
            "this puts every database in {} back to what it was before the upgrade; rows that were written since go to \
             migration/rolled-back",
            directory.display()
        ))?;
        let watch = Watch::start(self.output)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let work = |control: &Control<'_>| rollback(&disk, &request, control);
        let end = watch.run_when_free(self.wait, Scope::of("rows"), work)?;
        let configuration = restore(&RealDisk, &Layout::of(directory).backups(&end.run_id))?;
        let next = format!("to upgrade again: {}", same_with_verb("run"));
        Answer::new(&end).path("directory", directory).next(next).print(self.output, |table| {
            render(table, &end);
            if let Some(path) = &configuration {
                table.row("configuration", format_args!("{} has its old bytes", path.display()));
            }
        })
    }
}

fn render(table: &mut Table, end: &RollbackEnd) {
    table.line(match (end.already_rolled_back, end.restored) {
        (true, _) => "rolled back already",
        (_, true) => "rolled back: every database is restored from its backup",
        (_, false) => "rolled back: the databases were not changed yet",
    });
    table.row("run", &end.run_id);
    table.row("databases", end.databases.join(", "));
    if let Some(place) = &end.exported_to {
        table.row("written since", format_args!("{} rows, in {}", count_text(end.rows_written), place.display()));
        table.row("deleted since", format_args!("{} rows", count_text(end.rows_deleted)));
    }
}
