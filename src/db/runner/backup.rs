//! The backup before a run: at most one for each state of the database and what is to run there.

use std::path::Path;
use std::time::Instant;

use super::Runner;
use super::backup_history::{KnownBackup, RunBackup, made_backups};
use super::file_state::destructive_statements;
use super::plan::Plan;
use super::section::task::Task;
use crate::db::backup::{Backup, BackupMode, BackupScope};
use crate::db::dialect::Dialect;
use crate::db::script::{Migration, Touched, touched_tables};
use crate::db::state::{LogEntry, Outcome, StateReader};
use crate::durable::{Disk, RealDisk};
use crate::migration::{Error, now_text};
use crate::pipeline::{Control, Expected, Phase};

/// The number of characters of the digest of a state that the log shows.
const STATE_CHARS: usize = 16;

impl Runner {
    /// Returns true if one of these files destroys data.
    pub(super) fn destroys_data(&self, files: &[&Migration]) -> bool {
        files.iter().any(|file| !destructive_statements(self.database.dialect(), &file.up).is_empty())
    }

    /// Makes a backup before these tasks if the policy asks for one. The log records its path. A run that was killed, or
    /// that failed halfway, is often started again at once: its backup is used again, because that has what was there
    /// before.
    pub(super) fn back_up(
        &mut self,
        plan: &Plan,
        tasks: &[Task<'_>],
        destroys_data: bool,
        control: &Control<'_>,
    ) -> Result<Option<RunBackup>, Error> {
        let policy = self.options.backup.clone();
        if !policy.is_due(destroys_data) {
            return Ok(None);
        }
        let scope = match (policy.mode, self.database.dialect()) {
            (BackupMode::Auto, Dialect::Postgres) => self.scope_of(tasks),
            _ => BackupScope::Everything,
        };
        let state = state_text(plan, tasks, &scope);
        if let Some(backup) = self.backup_of(&state)? {
            control.note(format!("the backup {} is of this state: no other is made", backup.file));
            return Ok(Some(RunBackup { backup, is_new: false }));
        }
        let (started_at, began) = (now_text(), Instant::now());
        let backup = control.phase(Phase::Backup, Expected::UNKNOWN, || {
            self.database.back_up(&scope, policy.directory.as_deref(), control.stop)
        })?;
        self.append(&LogEntry {
            name: backup.file.clone(),
            duration_ms: i64::try_from(began.elapsed().as_millis()).ok(),
            checksum: Some(backup.digest.clone()),
            error: Some(state),
            ..LogEntry::of_database(Outcome::BackedUp, started_at)
        })?;
        Ok(Some(RunBackup { backup, is_new: true }))
    }

    /// Returns the tables that the tasks touch, and haul's own.
    fn scope_of(&self, tasks: &[Task<'_>]) -> BackupScope {
        let own = self.options.tables.all().map(|table| self.database.table_reference(table));
        let mut tables = own.to_vec();
        for (_, statement) in tasks.iter().flat_map(|task| task.section.statements()) {
            match touched_tables(statement) {
                Touched::Tables(more) => tables.extend(more),
                Touched::Any => return BackupScope::Everything,
            }
        }
        BackupScope::Tables(tables)
    }

    /// Returns the newest backup of this state, if its file is what it was.
    fn backup_of(&mut self, state: &str) -> Result<Option<Backup>, Error> {
        let rows = StateReader::new(&mut *self.database, &self.options.tables).log(u32::MAX);
        let rows = rows.map_err(|error| self.error(error))?;
        let made = made_backups(&rows).filter(|row| row.error.as_deref() == Some(state)).last();
        let Some(found) = made.and_then(KnownBackup::kept) else { return Ok(None) };
        let path = Path::new(&found.file);
        let bytes = RealDisk.open_for_read(path)?.len()?;
        let restore = self.database.restore_commands(path);
        Ok(Some(Backup { bytes, digest: found.digest, restore, file: found.file }))
    }
}

/// Names what is applied, what is to run, and what a backup before that holds.
fn state_text(plan: &Plan, tasks: &[Task<'_>], scope: &BackupScope) -> String {
    let mut hasher = blake3::Hasher::new();
    for row in &plan.applied {
        hasher.update(format!("applied {} {}\n", row.version, row.checksum).as_bytes());
    }
    for task in tasks {
        let (direction, migration) = (task.direction, task.migration);
        hasher.update(format!("{direction:?} {} {}\n", migration.version, migration.checksum).as_bytes());
    }
    hasher.update(format!("{scope:?}").as_bytes());
    format!("state {}", &hasher.finalize().to_hex()[..STATE_CHARS])
}
