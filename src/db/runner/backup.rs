//! The backup before a run.

use std::time::Instant;

use super::Runner;
use super::file_state::destructive_statements;
use super::plan::PendingMigration;
use crate::db::backup::Backup;
use crate::db::script::Migration;
use crate::db::state::{LogEntry, Outcome};
use crate::migration::{Error, now_text};
use crate::pipeline::{Control, Expected, Phase};

impl Runner {
    /// Makes a backup if one is due before these migrations.
    pub(super) fn back_up_before(
        &mut self,
        wanted: &[&PendingMigration],
        files: &[&Migration],
        control: &Control<'_>,
    ) -> Result<Option<Backup>, Error> {
        let destroys = |file: &&Migration| !destructive_statements(self.database.dialect(), &file.up).is_empty();
        let destroys_data = wanted.iter().any(|pending| !pending.destructive.is_empty()) || files.iter().any(destroys);
        if wanted.is_empty() && files.is_empty() { Ok(None) } else { self.back_up(destroys_data, control) }
    }

    /// Makes a backup if the policy asks for one. The log records its path.
    pub(super) fn back_up(&mut self, destroys_data: bool, control: &Control<'_>) -> Result<Option<Backup>, Error> {
        let policy = self.options.backup.clone();
        if !policy.is_due(self.database.dialect(), destroys_data) {
            return Ok(None);
        }
        let (started_at, began) = (now_text(), Instant::now());
        let backup = control.phase(Phase::Backup, Expected::UNKNOWN, || {
            self.database.back_up(policy.directory.as_deref(), control.stop)
        })?;
        self.append(&LogEntry {
            name: backup.file.clone(),
            duration_ms: i64::try_from(began.elapsed().as_millis()).ok(),
            checksum: Some(backup.digest.clone()),
            ..LogEntry::of_database(Outcome::BackedUp, started_at)
        })?;
        Ok(Some(backup))
    }
}
