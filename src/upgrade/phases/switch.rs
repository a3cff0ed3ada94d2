//! The switch of phase 5, and the end of one that was interrupted.

use std::path::Path;
use std::time::Duration;

use super::files::{command, replaced, replacement};
use super::state::{BegunSwitch, Purpose, RunState};
use crate::durable::{Disk, remove_tree};
use crate::migration::{CheckpointFile, Error};
use crate::pipeline::Control;
use crate::upgrade::cutover::exclusive::Exclusive;
use crate::upgrade::cutover::set::SetSwitch;
use crate::upgrade::cutover::switch::{Replacement, Switch, Switched};
use crate::upgrade::facts::{FileState, failed, schema_sha256};
use crate::upgrade::freeze::compare::content_difference;
use crate::upgrade::freeze::snapshot::SetSnapshot;
use crate::upgrade::layout::Layout;
use crate::upgrade::plan::Plan;

/// How the files of a run are switched.
pub struct Switcher<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// Where the files are.
    pub layout: &'a Layout,
    /// The checkpoint.
    pub checkpoint: &'a CheckpointFile,
    /// The directory of the set, for messages.
    pub directory: &'a Path,
    /// How long other connections are waited for.
    pub wait: Duration,
    /// True to switch databases that other processes have open.
    pub force: bool,
    /// Stop and events.
    pub control: &'a Control<'a>,
}

impl Switcher<'_> {
    /// Makes all upgraded databases live, or none.
    pub fn cut_over(&self, plan: &Plan, state: &mut RunState) -> Result<(), Error> {
        let snapshot = SetSnapshot::read(self.disk, &self.layout.snapshot(&state.run_id))?;
        let files = plan.members.iter().map(|planned| {
            let member = &planned.member;
            let backup = self.layout.backup(&state.run_id, member);
            replacement(self.layout, member, self.layout.staged(member), Some(backup))
        });
        let files = files.collect();
        self.switch(Purpose::Cutover, files, state, &|locked| self.check_unchanged(&snapshot, locked))
    }

    /// Makes new files live for `purpose`, or none. `check` looks at each database that is locked.
    pub fn switch(
        &self,
        purpose: Purpose,
        files: Vec<Replacement>,
        state: &mut RunState,
        check: &dyn Fn(&Exclusive) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.carry_out(purpose, state, check, |set, store| set.begin(files, store))
    }

    /// Brings the switch to its end that the checkpoint tells of, if it tells of one. Returns what it was for.
    pub fn resume(&self, state: &mut RunState) -> Result<Option<Purpose>, Error> {
        let Some(BegunSwitch { purpose, switch }) = state.progress.switch.clone() else { return Ok(None) };
        let snapshot = SetSnapshot::read(self.disk, &self.layout.snapshot(&state.run_id))?;
        let check = |locked: &Exclusive| match purpose {
            Purpose::Cutover if !self.force => self.check_unchanged(&snapshot, locked),
            Purpose::Cutover | Purpose::Rollback => Ok(()),
        };
        self.control.note("a switch of the databases was interrupted: it is brought to its end");
        self.carry_out(purpose, state, &check, |set, store| set.resume(switch, store))?;
        Ok(Some(purpose))
    }

    fn carry_out(
        &self,
        purpose: Purpose,
        state: &mut RunState,
        check: &dyn Fn(&Exclusive) -> Result<(), Error>,
        act: impl FnOnce(&SetSwitch<'_>, &mut dyn FnMut(&Switch) -> Result<(), Error>) -> Result<Switched, Error>,
    ) -> Result<(), Error> {
        let verb = match purpose {
            Purpose::Cutover => "cutover",
            Purpose::Rollback => "rollback",
        };
        let set = SetSwitch {
            disk: self.disk,
            phase: verb,
            command: &command(verb, self.directory),
            wait: self.wait,
            force: self.force,
            control: self.control,
            check,
        };
        let switched = act(&set, &mut |switch| {
            state.progress.switch = Some(BegunSwitch { purpose, switch: switch.clone() });
            self.checkpoint.store(self.disk, state)
        })?;
        state.progress.switch = None;
        if matches!(switched, Switched::New) {
            state.progress.switched = Some(purpose);
        }
        self.checkpoint.store(self.disk, state)?;
        remove_tree(self.disk, &replaced(self.layout))?;
        match switched {
            Switched::New => Ok(()),
            Switched::Old(Some(error)) => Err(error.into()),
            Switched::Old(None) => Err(Error::Database {
                what: format!("{verb}: an earlier switch has failed half way; every database is as it was before it"),
                next: format!("run `{}` again", command(verb, self.directory)),
                temporary: true,
                source: None,
            }),
        }
    }

    /// Refuses a database that was written to since its snapshot: those rows would be lost.
    fn check_unchanged(&self, snapshot: &SetSnapshot, locked: &Exclusive) -> Result<(), Error> {
        let path = locked.path();
        let Some(of) = snapshot.databases.iter().find(|of| of.path == path) else { return Ok(()) };
        if is_same_state(&of.live, &FileState::of(path)?) {
            return Ok(());
        }
        let connection = locked.connection();
        let is_redefined = schema_sha256(connection).map_err(failed(path))? != of.schema_sha256;
        let changed = match is_redefined {
            true => Some("its definitions have changed".to_owned()),
            false => content_difference(connection, &of.baseline).map_err(failed(path))?,
        };
        match changed {
            None => Ok(()),
            Some(what) => Err(Error::Verification {
                what: format!("cutover: {}: it was written to since the snapshot: {what}", path.display()),
                next: format!(
                    "stop what writes to it, take the upgrade back with `{}`, and begin again",
                    command("rollback", self.directory)
                ),
                source: None,
            }),
        }
    }
}

/// Returns true if a file was certainly not written to. An empty write-ahead log comes and goes with the connections.
pub fn is_same_state(before: &FileState, now: &FileState) -> bool {
    let settled = |state: &FileState| match state.wal_bytes {
        0 => FileState { wal_modified_ns: 0, wal_salt: None, ..state.clone() },
        _ => state.clone(),
    };
    settled(before).difference(&settled(now)).is_none()
}
