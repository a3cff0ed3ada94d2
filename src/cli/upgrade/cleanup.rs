//! `haul upgrade cleanup`: phase 7.
//!
//! The JSON document is a [`CleanupEnd`] with `directory` (path) and `exit_code`.

use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::arguments::SetArgs;
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk, remove_tree, replace_file};
use crate::migration::{Error, LockedRun, RunDirectory, clock};
use crate::observe::Scope;
use crate::pipeline::StopToken;
use crate::upgrade::cleanup::{CleanupEnd, CleanupRequest, clean};
use crate::upgrade::definition::Definition;
use crate::upgrade::layout::Layout;
use crate::upgrade::monitor::{MonitorRequest, Window, monitor};
use crate::upgrade::phases::{CHECKPOINT_KIND, FinishedRun, command, finished};

/// `haul upgrade cleanup`
#[derive(Args)]
pub struct CleanupCommand {
    #[command(flatten)]
    set: SetArgs,
    /// Show what would be removed, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Drop the tables haul_steps and haul_progress of every database as well
    #[arg(long)]
    drop_own_tables: bool,
    /// Clean up although the days of the monitor are not over, or a number is over its limit
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl CleanupCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let (directory, definition) = (self.set.directory()?, self.set.definition()?);
        let layout = Layout::of(&directory);
        let run = finished(&RealDisk, &layout)?;
        if !self.force && !self.dry_run {
            check_window(&run, &definition, &directory)?;
        }
        if !self.dry_run {
            self.consent.confirm(format_args!(
                "this removes rows that are over their time from the databases in {}",
                directory.display()
            ))?;
        }
        let watch = Watch::start(self.output)?;
        let held = hold(layout.run())?;
        let request = CleanupRequest {
            disk: &RealDisk,
            archives: layout.archives(),
            definition: &definition,
            members: &run.members,
            values: &run.values,
            drop_own_tables: self.drop_own_tables,
            dry_run: self.dry_run,
        };
        let end = watch.run(Scope::of("rows"), |control| clean(&request, control))?;
        if !self.dry_run {
            let mut text = serde_json::to_string_pretty(&end)?;
            text.push('\n');
            replace_file(&RealDisk, &layout.artifact("cleanup"), text.as_bytes())?;
            let rows: u64 = end.tables.iter().map(|cleaned| cleaned.deleted).sum();
            // What a phase that was killed has shown of itself.
            remove_tree(&*held.disk, &layout.run().live_path())?;
            held.note(Some(&run.run_id), "cleaned", serde_json::json!({ "rows": rows, "dropped": end.dropped }))?;
        }
        let next = format!("the backups stay in {}", layout.backups(&run.run_id).display());
        Answer::new(&end).path("directory", &directory).next(next).print(self.output, |table| render(table, &end))
    }
}

/// Takes the lock of the run.
pub fn hold(directory: &RunDirectory) -> Result<LockedRun, Error> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    LockedRun::create(&disk, directory, CHECKPOINT_KIND)
}

fn check_window(run: &FinishedRun, definition: &Definition, directory: &Path) -> Result<(), Error> {
    let window = Window::of(run.published_at, definition.window_days);
    if !window.is_over(clock::now()?) {
        return Err(Error::Usage {
            what: format!("cleanup: the databases are watched until {}", window.ends_at),
            next: "wait until then, or add --force".into(),
        });
    }
    let stop = StopToken::new();
    let end = monitor(&MonitorRequest { stop: &stop, definition, members: &run.members, values: &run.values })?;
    match end.triggers().next() {
        None => Ok(()),
        Some(check) => Err(Error::Verification {
            what: format!("cleanup: {} of {} is over its limit", check.name, check.file),
            next: format!("look at `{}`, or add --force", command("monitor", directory)),
            source: None,
        }),
    }
}

fn render(table: &mut Table, end: &CleanupEnd) {
    for cleaned in &end.tables {
        let what = match (end.dry_run, &cleaned.archive) {
            (true, _) => format!("{} rows are over their time", cleaned.expired),
            (_, None) => format!("{} rows removed", cleaned.deleted),
            (_, Some(archive)) => format!("{} rows removed, archive {}", cleaned.deleted, archive.path.display()),
        };
        table.row(&cleaned.table, what);
    }
    end.dropped.iter().for_each(|table_name| table.row("dropped", table_name));
}
