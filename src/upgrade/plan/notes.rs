//! What is wrong with databases and does not keep the upgrade from beginning.

use rusqlite::Connection;

use super::model::PlanNote;
use crate::upgrade::facts::{Baseline, ForeignKeyState, FtsState, Snapshot};
use crate::upgrade::set::Member;

/// Free pages that make up more than this part of a file are worth a note.
const FRAGMENTATION_MAX: f64 = 0.20;

/// Collects notes about a database.
pub(super) struct Notes<'a> {
    pub file: &'a Member,
    pub notes: &'a mut Vec<PlanNote>,
}

impl Notes<'_> {
    /// Adds one.
    pub fn add(&mut self, code: &str, what: String) {
        let file = Some(self.file.path.display().to_string());
        self.notes.push(PlanNote { code: code.into(), file, what });
    }

    /// Adds what the state of the file and its baseline show.
    pub fn of_baseline(&mut self, snapshot: &Snapshot, baseline: &Baseline, wal_bytes: u64, zone: &str) {
        if snapshot.was_hot() {
            let what = "a writer was killed in the middle of a transaction; the plan is about the state that `freeze` \
                        restores";
            self.add("hot-journal", what.into());
        }
        if wal_bytes > 0 {
            self.add("write-ahead-log", format!("{wal_bytes} bytes are in its write-ahead log, which belongs to it"));
        }
        match &baseline.foreign_keys {
            ForeignKeyState::Mismatch(error) => {
                self.add("key-mismatch", format!("{error}: a key names a column that does not exist or is not unique"));
            }
            ForeignKeyState::Violations(violations) => {
                for (key, rows) in violations {
                    self.add("orphans", format!("{rows} rows have no partner: {key}"));
                }
            }
        }
        for (name, state) in &baseline.fts {
            if let FtsState::Inconsistent(error) = state {
                let what = format!(
                    "full-text index {name} does not agree with what it indexes ({error}); `rebuild` repairs it"
                );
                self.add("fts-inconsistent", what);
            }
        }
        self.instants(baseline, zone);
        let share = baseline.free_pages as f64 / baseline.pages.max(1) as f64;
        if share > FRAGMENTATION_MAX {
            self.add("fragmented", format!("{} of {} pages are free", baseline.free_pages, baseline.pages));
        }
    }

    fn instants(&mut self, baseline: &Baseline, zone: &str) {
        let count = |form: &str| baseline.instant_forms.get(form).copied().unwrap_or(0);
        if count("iso-naive") > 0 {
            let what = format!("{} instants name no time zone and are read as {zone}", count("iso-naive"));
            self.add("naive-instants", what);
        }
        if count("unreadable") > 0 {
            self.add("unreadable-instants", format!("{} instants cannot be read", count("unreadable")));
        }
    }

    /// Adds what an earlier attempt has left in the table `migrations`.
    pub fn of_earlier_attempts(&mut self, connection: &Connection) {
        let sql = "SELECT count(*) FROM main.migrations WHERE success = 0";
        // Without such a table there was none; another form of it is for the steps to judge.
        let failed = connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0);
        if failed > 0 {
            self.add("failed-attempt", format!("{failed} rows of `migrations` tell of an earlier attempt that failed"));
        }
    }
}
