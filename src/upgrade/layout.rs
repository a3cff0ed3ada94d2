//! The files below `migration/`, next to the databases of a set.

use std::path::{Path, PathBuf};

use super::set::Member;
use crate::migration::RunDirectory;

/// Where an upgrade keeps its state: `DIR/migration/`.
#[derive(Debug, Clone)]
pub struct Layout {
    run: RunDirectory,
}

impl Layout {
    /// Returns the layout of the set in `directory`.
    pub fn of(directory: &Path) -> Self {
        Self { run: RunDirectory::new(directory.join("migration")) }
    }

    /// The directory of the run: lock, plan, checkpoint, journal, report.
    pub fn run(&self) -> &RunDirectory {
        &self.run
    }

    fn below(&self, name: &str) -> PathBuf {
        self.run.path().join(name)
    }

    /// The plan as `plan` writes it for people: `migration-plan-DATE.json`, with the date as `YYYY-MM-DD`.
    pub fn dated_plan(&self, date: &str) -> PathBuf {
        self.below(&format!("migration-plan-{date}.json"))
    }

    /// The copies that phases 2 to 4 work on.
    pub fn staging(&self) -> PathBuf {
        self.below("staging")
    }

    /// The copy of one database that phases 2 to 4 work on.
    pub fn staged(&self, member: &Member) -> PathBuf {
        self.staging().join(&member.key)
    }

    /// The verified backups of a run.
    pub fn backups(&self, run_id: &str) -> PathBuf {
        self.below("backups").join("pre-migration").join(run_id)
    }

    /// The verified backup of one database.
    pub fn backup(&self, run_id: &str, member: &Member) -> PathBuf {
        self.backups(run_id).join(&member.key)
    }

    /// What `freeze` has measured of each database and each backup.
    pub fn snapshot(&self, run_id: &str) -> PathBuf {
        self.backups(run_id).join("snapshot.json")
    }

    /// What a rollback exports of the rows that were written since the snapshot.
    pub fn rolled_back(&self, run_id: &str) -> PathBuf {
        self.below("rolled-back").join(run_id)
    }

    /// Archives of rows that `cleanup` has removed.
    pub fn archives(&self) -> PathBuf {
        self.below("archives")
    }

    /// Feature flags, which the application reads; replaced as a whole.
    pub fn flags(&self) -> PathBuf {
        self.below("flags.json")
    }

    /// One line for each flag that `cutover` sets or unsets.
    pub fn cutover(&self) -> PathBuf {
        self.below("cutover.jsonl")
    }

    /// What a phase reports: `schema.json`, `backfill.json`, `verify.json`, `cleanup.json`, `monitor-DATE.json`.
    pub fn artifact(&self, phase: &str) -> PathBuf {
        self.below(&format!("{phase}.json"))
    }
}
