//! What an engine has said about the statements of a migration: shown, in the summary, and in the log.

use super::Runner;
use super::run_summary::Detail;
use crate::db::script::Migration;
use crate::db::state::{LogEntry, Outcome};
use crate::migration::{escaped, now_text};
use crate::pipeline::Control;

impl Runner {
    /// Shows what the engine has said since the last call, without values of placeholders, and returns it.
    pub(super) fn show_notices(&mut self, name: &str, control: &Control<'_>) -> Vec<String> {
        let hidden = |notice: String| self.migrations.placeholders().hide(&notice);
        let notices: Vec<_> = self.database.take_notices().into_iter().map(hidden).collect();
        notices.iter().for_each(|notice| control.note(format!("{name}: {notice}")));
        notices
    }

    /// Shows what the engine has said since the last call, and adds it to the result of a migration and to the log.
    pub(super) fn keep_notices(&mut self, migration: &Migration, detail: &mut Detail, control: &Control<'_>) {
        let notices = self.show_notices(&detail.name, control);
        if notices.is_empty() {
            return;
        }
        let lines: Vec<_> = notices.iter().map(|notice| escaped(notice)).collect();
        // The direction is left out, so that this is not taken for the state of the migration.
        let entry = LogEntry {
            attempt: detail.attempt,
            version: migration.log_version(),
            name: detail.name.clone(),
            error: Some(lines.join("\n")),
            ..LogEntry::of_database(Outcome::Noticed, now_text())
        };
        let kept = match &detail.error {
            Some(_) => self.append_after_rollback(entry).map_err(|error| self.error(error)),
            None => self.append(&entry).map(drop),
        };
        // The migration is applied, so a failure here is no failure of it. After a lost connection there is no log.
        if let (Err(error), None) = (kept, &detail.error) {
            control.note(format!("{}: its notices are not in the log: {error}", detail.name));
        }
        detail.notices = notices;
    }
}
