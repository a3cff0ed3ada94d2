//! What an engine has said about the statements of a migration: shown, in the summary, and in the log.

use super::Runner;
use super::run_summary::Detail;
use crate::db::state::{LogEntry, Outcome};
use crate::db::version::Version;
use crate::migration::{escaped, now_text};
use crate::pipeline::Control;

impl Runner {
    /// Shows what the engine has said since the last call, and adds it to the result of a migration and to the log.
    pub(super) fn keep_notices(&mut self, version: &Version, detail: &mut Detail, control: &Control<'_>) {
        let notices = self.database.take_notices();
        if notices.is_empty() {
            return;
        }
        notices.iter().for_each(|notice| control.note(format!("{}: {notice}", detail.name)));
        let lines: Vec<_> = notices.iter().map(|notice| escaped(notice)).collect();
        // The direction is left out, so that this is not taken for the state of the migration.
        let kept = self.append(&LogEntry {
            attempt: detail.attempt,
            version: version.digits().to_owned(),
            name: detail.name.clone(),
            error: Some(lines.join("\n")),
            ..LogEntry::of_database(Outcome::Noticed, now_text())
        });
        // The migration is applied, so a failure here is no failure of it. After a lost connection there is no log.
        if let (Err(error), None) = (kept, &detail.error) {
            control.note(format!("{}: its notices are not in the log: {error}", detail.name));
        }
        detail.notices = notices;
    }
}
