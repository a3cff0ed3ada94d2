//! Takes an upgrade back.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::export::{DatabaseDivergence, SetDivergence, export_database};
use super::restore::Restore;
use crate::durable::{Disk, remove_tree};
use crate::migration::{Error, LockedRun, Stage, clock, journal};
use crate::pipeline::Control;
use crate::upgrade::facts::FileState;
use crate::upgrade::flags::FlagFile;
use crate::upgrade::freeze::snapshot::SetSnapshot;
use crate::upgrade::freeze::take::unfreeze;
use crate::upgrade::freeze::writers::Writers;
use crate::upgrade::hooks::HookTime;
use crate::upgrade::layout::Layout;
use crate::upgrade::monitor::{Window, published_at};
use crate::upgrade::phases::files::{command, plan_of_run, replaced, replacement};
use crate::upgrade::phases::given::kept;
use crate::upgrade::phases::state::{CHECKPOINT_KIND, Purpose, RunState};
use crate::upgrade::phases::switch::{Switcher, is_same_state};
use crate::upgrade::plan::{Mode, Plan};
use crate::upgrade::request::UpgradeRequest;

/// The phase, in messages, and the journal's name for its end.
const PHASE: &str = "rollback";
const EVENT: &str = "rolled-back";
/// The number of journal entries that are searched for an earlier rollback.
const ENTRIES_SEARCHED: usize = 100;
/// What is written later than this has a later time.
const CLOCK_TICK: Duration = Duration::from_millis(20);

/// How a rollback ended without an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RollbackEnd {
    /// The run that was rolled back.
    pub run_id: String,
    /// Where it stood.
    pub from: Stage,
    /// True if it was rolled back before.
    pub already_rolled_back: bool,
    /// True if the databases were restored from their backups; false if they had not been changed yet.
    pub restored: bool,
    /// The names of the databases.
    pub databases: Vec<String>,
    /// Where the rows are that were written since the snapshot.
    pub exported_to: Option<PathBuf>,
    /// Rows in it that were inserted or changed, and those of new tables.
    pub rows_written: u64,
    /// Rows in it that were deleted.
    pub rows_deleted: u64,
}

/// Takes the last upgrade back: before the switch its copies are removed; after it, and in place, every database is
/// restored from its backup, all or none. Can be called again after it has succeeded or crashed.
///
/// # Errors
/// [`Error::Usage`] if no upgrade has begun; [`Error::Verification`] if a backup is not what the snapshot says.
pub fn rollback(disk: &Arc<dyn Disk>, request: &UpgradeRequest, control: &Control<'_>) -> Result<RollbackEnd, Error> {
    let layout = Layout::of(&request.directory);
    let nothing = || Error::Usage {
        what: format!("{PHASE}: no upgrade has begun in {}", request.directory.display()),
        next: format!("see `{}`", command("status", &request.directory)),
    };
    let held = LockedRun::open(disk, layout.run(), CHECKPOINT_KIND)?.ok_or_else(nothing)?;
    let state = held.checkpoint.load::<RunState>(&*held.disk)?.ok_or_else(nothing)?;
    let disk = held.disk.clone();
    Rollback { disk: &*disk, held: &held, layout: &layout, request, control }.run(state)
}

struct Rollback<'a> {
    disk: &'a dyn Disk,
    held: &'a LockedRun,
    layout: &'a Layout,
    request: &'a UpgradeRequest,
    control: &'a Control<'a>,
}

impl Rollback<'_> {
    fn run(&self, mut state: RunState) -> Result<RollbackEnd, Error> {
        let from = state.stage;
        let plan = plan_of_run(self.disk, self.layout.run())?;
        let mut end = RollbackEnd {
            run_id: state.run_id.clone(),
            from,
            already_rolled_back: from == Stage::RolledBack,
            restored: false,
            databases: plan.members.iter().map(|planned| planned.member.key.clone()).collect(),
            exported_to: None,
            rows_written: 0,
            rows_deleted: 0,
        };
        if from != Stage::RolledBack {
            self.check_window(&state)?;
            // Whatever was half switched is one of both before anything else is done.
            self.switcher().resume(&mut state)?;
            end.restored = needs_restore(&plan, &state);
            if end.restored {
                self.restore(&plan, &mut state, &mut end)?;
            }
            state.stage = Stage::RolledBack;
            self.held.checkpoint.store(self.disk, &state)?;
        }
        self.settle(&state, &end)?;
        Ok(end)
    }

    /// Refuses to take an upgrade back after the days in which it is watched, unless that is forced.
    fn check_window(&self, state: &RunState) -> Result<(), Error> {
        let published_at = published_at(self.disk, self.layout.run(), &state.run_id)?;
        let window = published_at.map(|at| Window::of(at, self.request.definition.window_days));
        match window.filter(|window| window.is_over(clock::now_or_nearest()) && !self.request.force) {
            None => Ok(()),
            Some(window) => Err(Error::Usage {
                what: format!("{PHASE}: the time in which the upgrade is watched ended at {}", window.ends_at),
                next: format!(
                    "run `{} --force` if what was written since may go to a SQL file",
                    command(PHASE, &self.request.directory)
                ),
            }),
        }
    }

    fn switcher(&self) -> Switcher<'_> {
        Switcher {
            disk: self.disk,
            layout: self.layout,
            checkpoint: &self.held.checkpoint,
            directory: &self.request.directory,
            wait: self.request.lock_timeout,
            force: self.request.force,
            control: self.control,
        }
    }

    /// Restores every database from its backup, and proves that it is what it was.
    fn restore(&self, plan: &Plan, state: &mut RunState, end: &mut RollbackEnd) -> Result<(), Error> {
        let run_id = state.run_id.clone();
        let snapshot = SetSnapshot::read(self.disk, &self.layout.snapshot(&run_id))?;
        let values = kept(self.disk, self.layout.run())?;
        let restore = Restore {
            disk: self.disk,
            layout: self.layout,
            run_id: &run_id,
            snapshot: &snapshot,
            values: &values,
            stop: self.control.stop,
        };
        if state.progress.switched != Some(Purpose::Rollback) {
            self.freeze(&run_id)?;
            let exported = self.export(plan, &run_id, end)?;
            let switched = self.switch(plan, state, &restore, &exported);
            if switched.is_err() && state.progress.switch.is_none() {
                plan.members.iter().try_for_each(|planned| restore.remove(&planned.member))?;
            }
            switched?;
        }
        plan.members.iter().try_for_each(|planned| restore.check_live(&planned.member))?;
        self.hook(HookTime::RolledBack, &run_id)
    }

    fn freeze(&self, run_id: &str) -> Result<(), Error> {
        FlagFile::clear(self.disk, &self.layout.flags())?;
        FlagFile::freeze(self.disk, &self.layout.flags(), true)?;
        self.hook(HookTime::Freeze, run_id)?;
        self.hook(HookTime::Drain, run_id)
    }

    /// Exports what was written since the snapshot. Returns what the files of the databases are like after it.
    fn export(&self, plan: &Plan, run_id: &str, end: &mut RollbackEnd) -> Result<Vec<FileState>, Error> {
        let mut writers = Vec::new();
        let mut problems = Vec::new();
        for planned in &plan.members {
            problems.push(self.hold(&planned.member.path, &mut writers)?);
        }
        let mut all = SetDivergence::default();
        for (planned, problem) in plan.members.iter().zip(problems) {
            let member = &planned.member;
            let none = |problem| DatabaseDivergence {
                file: member.key.clone(),
                sql: String::new(),
                problem: Some(problem),
                tables: Vec::new(),
            };
            all.databases.push(match problem {
                Some(problem) => none(problem),
                None => {
                    let secrets = &self.request.definition.secret_columns;
                    export_database(self.disk, self.layout, run_id, member, secrets)?
                }
            });
        }
        all.write(self.disk, self.layout, run_id)?;
        (end.rows_written, end.rows_deleted) = (all.written(), all.deleted());
        end.exported_to = Some(self.layout.rolled_back(run_id));
        thread::sleep(CLOCK_TICK);
        let states = plan.members.iter().map(|planned| FileState::of(&planned.member.path).or_else(|_| absent()));
        states.collect()
    }

    /// Keeps others from writing to a database. Returns why it cannot be read, if that does not matter.
    fn hold(&self, path: &std::path::Path, writers: &mut Vec<Writers>) -> Result<Option<String>, Error> {
        // To open it would create it.
        if self.disk.kind(path)?.is_none() {
            self.control.note(format!("{}: it is gone, so nothing of it is exported", path.display()));
            return Ok(Some("the database is gone".into()));
        }
        let command = command(PHASE, &self.request.directory);
        match Writers::hold([path], self.request.lock_timeout, PHASE, &command) {
            Ok(held) => {
                writers.push(held);
                Ok(None)
            }
            Err(error) if matches!(error, Error::Database { temporary: true, .. }) => Err(error),
            Err(error) if self.request.force => {
                self.control.note(format!("{}: nothing of it is exported: {error}", path.display()));
                Ok(Some(error.to_string()))
            }
            Err(error) => Err(Error::Database {
                what: format!(
                    "{PHASE}: {}: what was written since the snapshot cannot be read: {error}",
                    path.display()
                ),
                next: format!("run `{command} --force`: it restores the backup, and those rows are lost"),
                temporary: false,
                source: Some(Box::new(error)),
            }),
        }
    }

    fn switch(
        &self,
        plan: &Plan,
        state: &mut RunState,
        restore: &Restore<'_>,
        exported: &[FileState],
    ) -> Result<(), Error> {
        let mut files = Vec::new();
        for planned in &plan.members {
            let copy = restore.copy(&planned.member)?;
            files.push(replacement(self.layout, &planned.member, copy, None));
        }
        self.switcher().switch(Purpose::Rollback, files, state, &|locked| {
            let known = plan.members.iter().zip(exported).find(|(planned, _)| planned.member.path == locked.path());
            let now = FileState::of(locked.path())?;
            match known {
                Some((_, before)) if !is_same_state(before, &now) => Err(Error::Database {
                    what: format!("{PHASE}: {}: it was written to after the export", locked.path().display()),
                    next: format!(
                        "stop what writes to it, then run `{}` again",
                        command(PHASE, &self.request.directory)
                    ),
                    temporary: true,
                    source: None,
                }),
                _ => Ok(()),
            }
        })
    }

    /// Ends a rollback whose stage is durable: also again, after a crash.
    fn settle(&self, state: &RunState, end: &RollbackEnd) -> Result<(), Error> {
        self.disk.sync_directory(self.layout.run().path())?;
        let entries = journal::last(self.disk, self.layout.run().path(), ENTRIES_SEARCHED)?;
        if !entries.iter().any(|entry| entry.event == EVENT && entry.run_id == state.run_id) {
            let detail = json!({
                "from": end.from,
                "restored": end.restored,
                "rows_written": end.rows_written,
                "rows_deleted": end.rows_deleted,
            });
            self.held.note(Some(&state.run_id), EVENT, detail)?;
        }
        remove_tree(self.disk, &self.layout.staging())?;
        remove_tree(self.disk, &replaced(self.layout))?;
        if end.from == Stage::Running {
            // Backups that are not whole.
            remove_tree(self.disk, &self.layout.backups(&state.run_id))?;
        }
        unfreeze(self.disk, self.layout)?;
        self.hook(HookTime::Thaw, &state.run_id)
    }

    fn hook(&self, time: HookTime, run_id: &str) -> Result<(), Error> {
        let hooks = self.request.hooks.clone().with("HAUL_RUN_ID", run_id);
        hooks.run(time, PHASE, self.control).map(drop)
    }
}

/// Returns true if the databases themselves are, or may be, changed.
fn needs_restore(plan: &Plan, state: &RunState) -> bool {
    match plan.mode {
        Mode::InPlace => state.stage > Stage::Running,
        Mode::Staged => state.stage == Stage::Published || state.progress.switched.is_some(),
    }
}

/// Stands for a database that is gone.
fn absent() -> Result<FileState, Error> {
    Ok(FileState {
        bytes: 0,
        modified_ns: 0,
        inode: 0,
        wal_bytes: 0,
        wal_modified_ns: 0,
        change_counter: None,
        wal_salt: None,
    })
}
