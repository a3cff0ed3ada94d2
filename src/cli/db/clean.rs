//! `haul db clean`: removes old backups that haul made, and old rows of the log.
//!
//! The JSON document has `database`, `environment`, `removed` and `kept` (lists of [`KnownBackup`]), and
//! `log_rows_removed`.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::arguments::{LimitArgs, MigrationArgs, PlaceName, scope};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::db::runner::{KnownBackup, known_backups, old_log_rows};
use crate::migration::{Error, clock};

/// `haul db clean`
#[derive(Args)]
pub struct CleanCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// How many backups to keep, the newest ones [default: all]
    #[arg(long, value_name = "N", required_unless_present = "log_days")]
    keep: Option<usize>,
    /// Remove rows of the log that are older than this; the newest attempt of each migration stays
    #[arg(long, value_name = "DAYS")]
    log_days: Option<u32>,
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
    log_rows_removed: u64,
}

impl CleanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let database = work.place.name();
        let (before, old_rows, known) = {
            let mut reader = work.place.target.open_read_only()?;
            let before = self.log_days.map(days_ago).transpose()?;
            let rows = match &before {
                Some(before) => old_log_rows(&mut *reader, &work.place.tables, before)?.len(),
                None => 0,
            };
            (before, rows, known_backups(&mut *reader, &work.place.tables)?)
        };
        let (old, kept) = KnownBackup::old(known, self.keep.unwrap_or(usize::MAX));
        let mut items: Vec<_> = old.iter().map(|backup| backup.file.clone()).collect();
        items.extend(before.iter().filter(|_| old_rows > 0).map(|before| rows_text(old_rows as u64, before)));
        let (removed, log_rows_removed) = if items.is_empty() {
            (Vec::new(), 0)
        } else {
            let what = if old.is_empty() { "old rows of the log" } else { "backups" };
            self.consent.confirm_all(format_args!("{}: this removes {what}", work.place.name()), &items)?;
            let watch = Watch::start(self.output)?;
            let mut runner = work.runner(&self.limits)?;
            watch.run(scope(), |control| {
                let removed = if old.is_empty() { Vec::new() } else { runner.remove_backups(&old, control)? };
                let rows = before.as_ref().map_or(Ok(0), |before| runner.remove_old_log_rows(before, control))?;
                Ok::<_, Error>((removed, rows))
            })?
        };
        let end = CleanEnd { database, removed, kept, log_rows_removed };
        Answer::new(&end).print(self.output, |table| {
            end.removed.iter().for_each(|backup| table.item("removed", &backup.file, &backup.made_at));
            end.kept.iter().for_each(|backup| table.item(backup.state.text(), &backup.file, &backup.made_at));
            table.line(format_args!("{}: {} backups removed", end.database, end.removed.len()));
            if let Some(before) = &before {
                table.line(format_args!("{} removed", rows_text(end.log_rows_removed, before)));
            }
        })
    }
}

fn rows_text(count: u64, before: &str) -> String {
    format!("{count} rows of the log from before {before}")
}

/// Returns the moment so many days ago, as the log has it. A clock that is wrong is an error.
fn days_ago(days: u32) -> Result<String, Error> {
    const DAY_SECONDS: u64 = 86_400;
    let moment = clock::now()?.checked_sub(Duration::from_secs(u64::from(days) * DAY_SECONDS));
    Ok(format!("{:.3}", moment.unwrap_or(Timestamp::UNIX_EPOCH)))
}
