//! The backups that the log names, and their removal.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::Runner;
use super::run_summary::{Kept, RunSummary};
use crate::db::backup::Backup;
use crate::db::database::ReadDatabase;
use crate::db::state::{LogEntry, LogRow, Outcome, StateReader, Tables};
use crate::durable::{Disk, NEVER, RealDisk, file_digest, parent_of};
use crate::migration::{Error, now_text};
use crate::pipeline::Control;

/// A backup that the log names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownBackup {
    /// The path of the file, as the run was given it.
    pub file: String,
    /// Its BLAKE3-256 digest when it was made.
    pub digest: String,
    /// The time at which it was made.
    pub made_at: String,
    /// What is at the path now.
    pub state: BackupState,
}

/// The backup that a run begins with.
pub(super) struct RunBackup {
    pub backup: Backup,
    /// False if an earlier run of the same state has made it.
    pub is_new: bool,
}

/// What is at the path of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupState {
    /// The backup.
    Kept,
    /// Another file. haul did not make it, so it never removes it.
    Changed,
    /// Nothing, or nothing that can be read from this directory.
    Gone,
}

impl BackupState {
    /// Returns the word for people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

impl KnownBackup {
    /// Splits backups, oldest first, into those that are older than the newest `keep` ones, and the others.
    pub fn old(known: Vec<Self>, keep: usize) -> (Vec<Self>, Vec<Self>) {
        let there = known.iter().filter(|backup| backup.state == BackupState::Kept).count();
        let mut left = there.saturating_sub(keep);
        known.into_iter().partition(|backup| {
            let is_old = backup.state == BackupState::Kept && left > 0;
            left -= usize::from(is_old);
            is_old
        })
    }

    /// Returns the backup that a log row names, if its file is still what it was.
    pub(super) fn kept(row: &LogRow) -> Option<Self> {
        Some(Self::of(row)).filter(|found| found.state == BackupState::Kept)
    }

    fn of(row: &LogRow) -> Self {
        Self::find(row.name.clone(), row.checksum.clone().unwrap_or_default(), row.started_at.clone())
    }

    fn find(file: String, digest: String, made_at: String) -> Self {
        let found = file_digest(&RealDisk, Path::new(&file), NEVER);
        let state = match found {
            Ok(found) if blake3::Hash::from_bytes(found.digest).to_hex().as_str() == digest => BackupState::Kept,
            Ok(_) => BackupState::Changed,
            Err(_) => BackupState::Gone,
        };
        Self { file, digest, made_at, state }
    }
}

/// Returns the backups that the log names and that were not removed, oldest first. Reads each file.
pub fn known_backups(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<KnownBackup>, Error> {
    let place = database.place();
    let rows = StateReader::new(database, tables).log(u32::MAX).map_err(|error| error.at(&place))?;
    Ok(made_backups(&rows).map(KnownBackup::of).collect())
}

/// Returns the log rows of backups that were not removed.
pub(super) fn made_backups(rows: &[LogRow]) -> impl Iterator<Item = &LogRow> {
    let is = |row: &LogRow, outcome| row.known_outcome() == Some(outcome);
    let removed: BTreeSet<_> =
        rows.iter().filter(|row| is(row, Outcome::BackupRemoved)).map(|row| row.name.as_str()).collect();
    rows.iter().filter(move |row| is(row, Outcome::BackedUp) && !removed.contains(row.name.as_str()))
}

impl Runner {
    /// Removes those of `backups` that are still what the log says. Returns what was removed; the log has a row for each.
    pub fn remove_backups(
        &mut self,
        backups: &[KnownBackup],
        control: &Control<'_>,
    ) -> Result<Vec<KnownBackup>, Error> {
        self.locked(control, |runner| {
            let mut removed = Vec::new();
            for backup in backups {
                let KnownBackup { file, digest, made_at, .. } = backup.clone();
                if KnownBackup::find(file, digest, made_at).state == BackupState::Kept {
                    runner.remove_backup(&backup.file, &backup.digest)?;
                    removed.push(backup.clone());
                }
            }
            Ok(removed)
        })
    }

    /// Removes the backup of a run that changed nothing, and after a success the oldest ones, as far as the policy says, so
    /// that runs do not fill the disk.
    pub(super) fn settle_backups(
        &mut self,
        made: Option<RunBackup>,
        end: &RunSummary,
        control: &Control<'_>,
    ) -> Result<Option<Backup>, Error> {
        // Hooks may have changed something.
        let is_needless = self.options.hooks.is_empty()
            && end.applied == 0
            && end.failure.as_ref().is_some_and(|failure| failure.kept == Kept::Nothing);
        match made {
            Some(RunBackup { backup, is_new: true }) if is_needless => {
                self.remove_backup(&backup.file, &backup.digest)?;
                control.note(format!("the backup {} was removed again, because nothing was changed", backup.file));
                Ok(None)
            }
            made => {
                if let (Some(keep), None, false) = (self.options.backup.keep, &end.failure, end.stopped) {
                    self.remove_older_backups(keep, control);
                }
                Ok(made.map(|made| made.backup))
            }
        }
    }

    /// Removes the backups before the newest `keep` ones. The run has succeeded, so what fails here is only a note.
    fn remove_older_backups(&mut self, keep: usize, control: &Control<'_>) {
        let known = known_backups(&mut *self.database, &self.options.tables);
        let old = known.map(|known| KnownBackup::old(known, keep).0);
        let removed = old.and_then(|old| {
            old.iter().try_for_each(|backup| {
                self.remove_backup(&backup.file, &backup.digest)?;
                control.note(format!("the backup {} was removed: {keep} are kept", backup.file));
                Ok(())
            })
        });
        if let Err(error) = removed {
            control.note(format!("older backups were not removed: {error}"));
        }
    }

    fn remove_backup(&mut self, file: &str, digest: &str) -> Result<(), Error> {
        let path = Path::new(file);
        RealDisk.remove_file(path)?;
        RealDisk.sync_directory(parent_of(path))?;
        self.append(&LogEntry {
            name: file.to_owned(),
            checksum: Some(digest.to_owned()),
            ..LogEntry::of_database(Outcome::BackupRemoved, now_text())
        })
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_backups_that_are_there_are_kept() {
        use BackupState::{Changed, Gone, Kept};
        let backup = |(number, state): (usize, &BackupState)| KnownBackup {
            file: number.to_string(),
            digest: String::new(),
            made_at: String::new(),
            state: *state,
        };
        let known: Vec<_> = [Kept, Changed, Kept, Gone, Kept].iter().enumerate().map(backup).collect();
        for (keep, expected) in [(0, "024"), (1, "02"), (2, "0"), (3, ""), (9, "")] {
            let (old, kept) = KnownBackup::old(known.clone(), keep);
            assert_eq!(old.iter().map(|backup| backup.file.as_str()).collect::<String>(), expected);
            assert_eq!(old.len() + kept.len(), known.len());
        }
    }
}
