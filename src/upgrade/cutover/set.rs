//! The switch of a set of databases, under locks that keep everybody else out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::exclusive::Exclusive;
use super::opened::{OpenedBy, others};
use super::side_files;
use super::switch::{Direction, Replacement, Switch, Switched};
use crate::db::sqlite::connect;
use crate::db::sqlite::errors::engine_error;
use crate::durable::{Disk, parent_of};
use crate::migration::Error;
use crate::pipeline::Control;

/// How a set is switched.
pub struct SetSwitch<'a> {
    /// The disk.
    pub disk: &'a dyn Disk,
    /// The phase, in messages.
    pub phase: &'a str,
    /// The command to repeat, in messages.
    pub command: &'a str,
    /// How long other connections are waited for.
    pub wait: Duration,
    /// True to go on although other processes have a database open: what they write later is lost.
    pub force: bool,
    /// Receives notes.
    pub control: &'a Control<'a>,
    /// Looks whether a database that is locked may be replaced.
    pub check: &'a dyn Fn(&Exclusive) -> Result<(), Error>,
}

impl SetSwitch<'_> {
    /// Replaces all files, or none. `store` makes the intent durable. A process that opens a database in that moment is
    /// named in a note.
    ///
    /// # Errors
    /// Nothing is switched if it is not [`Error::State`]; that one says how a mixture is brought to an end.
    pub fn begin(&self, files: Vec<Replacement>, store: &mut Store<'_>) -> Result<Switched, Error> {
        for file in &files {
            self.settle_new(&file.new)?;
        }
        let held = self.lock(files.iter().map(|file| &file.live))?;
        let switch = Switch::prepare(self.disk, files)?;
        self.carry_out(switch, held, store)
    }

    /// Brings a switch to its end that an earlier attempt has begun.
    pub fn resume(&self, switch: Switch, store: &mut Store<'_>) -> Result<Switched, Error> {
        let mut pending = Vec::new();
        for file in &switch.files {
            // What is switched already is in use.
            let is_pending = match switch.direction {
                Direction::Forward => self.disk.kind(&file.new)?.is_some(),
                Direction::Back => self.disk.kind(&file.kept)?.is_some(),
            };
            if is_pending {
                pending.push(&file.live);
            }
        }
        let held = self.lock(pending.into_iter())?;
        self.carry_out(switch, held, store)
    }

    fn carry_out(&self, switch: Switch, (held, locked_at): Locked, store: &mut Store<'_>) -> Result<Switched, Error> {
        let files = switch.files.clone();
        let kept: Vec<PathBuf> = files.iter().map(|file| file.kept.clone()).collect();
        let switched = switch.carry_out(self.disk, store).map_err(|error| self.half_way(&files, error))?;
        if matches!(switched, Switched::New) {
            for opened in others(&kept) {
                let of = files.iter().find(|file| file.kept == opened.path);
                let path = of.map_or_else(|| opened.path.clone(), |file| file.live.clone());
                let opened = OpenedBy { path, ..opened };
                self.control.note(format!("{opened} as it was before the switch: restart it"));
            }
        }
        drop(held);
        self.control.note(format!("the databases were locked for {} ms", locked_at.elapsed().as_millis()));
        Ok(switched)
    }

    /// Returns the error of a switch that has ended with a mixture; the error itself if no file is switched.
    fn half_way(&self, files: &[Replacement], error: Error) -> Error {
        let is_switched = |file: &&Replacement| !self.disk.kind(&file.new).is_ok_and(|kind| kind.is_some());
        let Some(file) = files.iter().find(is_switched) else { return error };
        Error::State {
            path: file.live.clone(),
            what: format!("{}: the switch of the databases has stopped half way: {error}", self.phase),
            next: format!("mend what it names, then run `{}` again: it goes on from there", self.command),
            damaged: true,
            source: Some(Box::new(error)),
        }
    }

    /// Locks the databases, and makes sure that nobody else has them open and that they may be replaced.
    fn lock<'p>(&self, databases: impl Iterator<Item = &'p PathBuf>) -> Result<Locked, Error> {
        let paths: Vec<PathBuf> = databases.cloned().collect();
        self.check_unused(&paths)?;
        let (mut held, locked_at) = (Vec::new(), Instant::now());
        for path in &paths {
            if self.disk.kind(path)?.is_none() {
                continue;
            }
            match Exclusive::lock(path, self.wait, self.phase, self.command) {
                // A file that is no database any more has no writers either.
                Err(error) if self.force && !matches!(error, Error::Database { temporary: true, .. }) => {
                    self.control.note(format!("{}: {}: it cannot be locked: {error}", self.phase, path.display()));
                }
                locked => held.push(locked?),
            }
        }
        // Again, because a process may have opened one before the lock; from now on nobody else can use them.
        self.check_unused(&paths)?;
        held.iter().try_for_each(|locked| (self.check)(locked).and_then(|()| locked.empty_log()))?;
        Ok((held, locked_at))
    }

    fn check_unused(&self, paths: &[PathBuf]) -> Result<(), Error> {
        let opened = if self.force { Vec::new() } else { others(paths) };
        if opened.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = opened.iter().map(OpenedBy::to_string).collect();
        Err(Error::Database {
            what: format!("{}: {}", self.phase, list.join("; ")),
            next: format!(
                "end these processes, then run `{}` again; with --force it goes on, and what they write is lost",
                self.command
            ),
            temporary: true,
            source: None,
        })
    }

    /// Makes sure that the whole of a new database is in its file, durably, and that it has no side files.
    fn settle_new(&self, path: &Path) -> Result<(), Error> {
        if side_files::names(path).iter().any(|side| side.exists()) {
            let connection = connect::open_for_write(path)?;
            let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            emptied.map_err(|error| engine_error(error).at(&connect::place(path)))?;
            drop(connection);
            side_files::remove(self.disk, path)?;
        }
        self.disk.open_file(path)?.sync()?;
        Ok(self.disk.sync_directory(parent_of(path))?)
    }
}

/// Databases that are locked, and since when.
type Locked = (Vec<Exclusive>, Instant);

/// Makes an intent durable.
pub type Store<'a> = dyn FnMut(&Switch) -> Result<(), Error> + 'a;
