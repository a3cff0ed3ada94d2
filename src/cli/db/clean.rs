//! `haul db clean`: removes old backups that haul made.
//!
//! The JSON document has `database`, `environment`, `removed` and `kept` (lists of [`KnownBackup`]).

use clap::Args;
use serde::Serialize;

use super::arguments::{LimitArgs, MigrationArgs, PlaceName, scope};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::db::runner::{KnownBackup, known_backups};

/// `haul db clean`
#[derive(Args)]
pub struct CleanCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// How many backups to keep, the newest ones
    #[arg(long, value_name = "N")]
    keep: usize,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct CleanEnd {
    #[serde(flatten)]
    database: PlaceName,
    removed: Vec<KnownBackup>,
    kept: Vec<KnownBackup>,
}

impl CleanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let database = work.place.name();
        let known = known_backups(&mut *work.place.target.open_read_only()?, &work.place.tables)?;
        let (old, kept) = KnownBackup::old(known, self.keep);
        let removed = if old.is_empty() {
            Vec::new()
        } else {
            let files: Vec<_> = old.iter().map(|backup| backup.file.clone()).collect();
            self.consent.confirm_all(format_args!("{}: this removes backups", work.place.name()), &files)?;
            let watch = Watch::start(self.output)?;
            let mut runner = work.runner(&self.limits)?;
            watch.run(scope(), |control| runner.remove_backups(&old, control))?
        };
        let end = CleanEnd { database, removed, kept };
        Answer::new(&end).print(self.output, |table| {
            end.removed.iter().for_each(|backup| table.item("removed", &backup.file, &backup.made_at));
            end.kept.iter().for_each(|backup| table.item(backup.state.text(), &backup.file, &backup.made_at));
            table.line(format_args!("{}: {} backups removed", end.database, end.removed.len()));
        })
    }
}
