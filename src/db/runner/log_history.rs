//! Old rows of the log, and their removal.

use std::collections::{BTreeMap, BTreeSet};

use super::Runner;
use super::backup_history::made_backups;
use crate::db::database::ReadDatabase;
use crate::db::state::{LogEntry, LogRow, Outcome, StateReader, Tables};
use crate::migration::{Error, now_text};
use crate::pipeline::Control;

/// Returns the ids of the rows of the log that are older than `before`, RFC 3339 in UTC with milliseconds, and that nothing
/// needs. Needed are the newest attempt of each migration, and backups that were not removed.
pub fn old_log_rows(database: &mut dyn ReadDatabase, tables: &Tables, before: &str) -> Result<Vec<i64>, Error> {
    let place = database.place();
    let rows = StateReader::new(database, tables).log(u32::MAX).map_err(|error| error.at(&place))?;
    Ok(old_rows(&rows, before))
}

fn old_rows(rows: &[LogRow], before: &str) -> Vec<i64> {
    let about_migrations = rows.iter().filter(|row| row.direction != "-");
    let newest: BTreeMap<_, _> = about_migrations.map(|row| (row.version.as_str(), row.attempt)).collect();
    let attempts: BTreeSet<_> = newest.into_values().collect();
    // A path that leads nowhere from this directory may still be that of a backup.
    let backups: BTreeSet<_> = made_backups(rows).map(|row| row.id).collect();
    let is_needed = |row: &LogRow| attempts.contains(&row.attempt) || backups.contains(&row.id);
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
            LogRow { outcome: "backed_up".into(), name: "gone.backup".into(), ..row(6, 6, "", "-") },
        ];
        let ended = LogRow { finished_at: Some("2026-01-09T00:00:00.000Z".into()), ..row(7, 7, "", "-") };
        let rows: Vec<_> = rows.into_iter().chain([ended]).collect();
        assert_eq!(old_rows(&rows, "2026-01-08T00:00:00.000Z"), [1, 2, 4]);
        assert_eq!(old_rows(&rows, "2026-01-02T00:00:00.000Z"), [1]);
    }
}
