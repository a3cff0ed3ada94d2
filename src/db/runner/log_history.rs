//! Old rows of the log, and their removal.

use std::collections::BTreeMap;

use super::Runner;
use super::backup_history::{BackupState, KnownBackup, made_backups};
use crate::db::database::ReadDatabase;
use crate::db::state::{LogEntry, LogRow, Outcome, StateReader, Tables};
use crate::migration::{Error, now_text};
use crate::pipeline::Control;

/// Returns the ids of the rows of the log that are older than `before`, RFC 3339 in UTC with milliseconds, and that nothing
/// needs. Needed are the newest attempt of each migration, and backups that are still there.
pub fn old_log_rows(database: &mut dyn ReadDatabase, tables: &Tables, before: &str) -> Result<Vec<i64>, Error> {
    let place = database.place();
    let rows = StateReader::new(database, tables).log(u32::MAX).map_err(|error| error.at(&place))?;
    let backups = made_backups(&rows).filter(|row| KnownBackup::of(row).state != BackupState::Gone);
    let backups: Vec<_> = backups.map(|row| row.id).collect();
    Ok(old_rows(&rows, &backups, before))
}

/// Returns the ids of the rows before this moment, other than `backups` and those of the newest attempts.
fn old_rows(rows: &[LogRow], backups: &[i64], before: &str) -> Vec<i64> {
    let about_migrations = rows.iter().filter(|row| row.direction != "-");
    let newest: BTreeMap<_, _> = about_migrations.map(|row| (row.version.as_str(), row.attempt)).collect();
    let is_needed = |row: &LogRow| newest.values().any(|attempt| row.attempt == *attempt) || backups.contains(&row.id);
    let is_old = |row: &&LogRow| row.finished_at.as_ref().unwrap_or(&row.started_at).as_str() < before;
    rows.iter().filter(is_old).filter(|row| !is_needed(row)).map(|row| row.id).collect()
}

impl Runner {
    /// Removes the rows of the log that are older than `before` and that nothing needs. Returns how many; the log gets a row
    /// that says so.
    pub fn remove_old_log_rows(&mut self, before: &str, control: &Control<'_>) -> Result<u64, Error> {
        self.locked(control, |runner| {
            let ids = old_log_rows(&mut *runner.database, &runner.options.tables, before)?;
            if ids.is_empty() {
                return Ok(0);
            }
            let count = ids.len() as u64;
            let error = Some(format!("removed {count} rows that are older than {before}"));
            let entry = LogEntry { error, ..LogEntry::of_database(Outcome::LogCleaned, now_text()) };
            let removed = runner.state_transaction(|state| {
                state.delete_logged(&ids)?;
                state.append(&entry)
            });
            removed.map(|_| count).map_err(|error| runner.error(error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_attempt_of_each_migration_stays() {
        let row = |id: i64, attempt: i64, version: &str, direction: &str| LogRow {
            id,
            attempt,
            version: version.into(),
            direction: direction.into(),
            started_at: format!("2026-01-0{id}T00:00:00.000Z"),
            ..LogRow::default()
        };
        let rows = [
            row(1, 1, "1", "up"),
            row(2, 1, "1", "up"),
            row(3, 3, "1", "up"),
            row(4, 4, "", "-"),
            row(5, 3, "1", "-"),
            row(6, 6, "", "-"),
        ];
        let ended = LogRow { finished_at: Some("2026-01-09T00:00:00.000Z".into()), ..row(7, 7, "", "-") };
        let rows: Vec<_> = rows.into_iter().chain([ended]).collect();
        assert_eq!(old_rows(&rows, &[6], "2026-01-08T00:00:00.000Z"), [1, 2, 4]);
        assert_eq!(old_rows(&rows, &[], "2026-01-02T00:00:00.000Z"), [1]);
    }
}
