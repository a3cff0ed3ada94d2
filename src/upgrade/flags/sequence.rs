//! Sets the flags of a release one at a time, each for a while before the next.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::file::FlagFile;
use super::log::{self, FlagEvent, FlagLine};
use crate::durable::Disk;
use crate::migration::{Error, clock};
use crate::pipeline::Control;
use crate::upgrade::definition::{Definition, Flag};
use crate::upgrade::hooks::pause;
use crate::upgrade::{json_lines, maintenance};
use crate::upgrade::questions;
use crate::upgrade::set::Member;
use crate::upgrade::values::Values;

/// What the sequence works with.
pub struct FlagsRequest<'a> {
    /// The disk of the flag file.
    pub disk: &'a dyn Disk,
    /// The flag file.
    pub file: &'a Path,
    /// The log of flags.
    pub log: &'a Path,
    /// The upgrade.
    pub definition: &'a Definition,
    /// The databases, which are switched.
    pub members: &'a [Member],
    /// What SQL may ask for.
    pub values: &'a Values,
    /// The run.
    pub run_id: &'a str,
    /// How long a flag is set before the next is.
    pub soak: Duration,
}

/// How the sequence ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlagsEnd {
    /// Flags that are set and have been for their time, in order.
    pub set: Vec<String>,
    /// The lines of the log of this run.
    pub lines: Vec<FlagLine>,
}

/// Sets the flags that are not set yet. A call after a stop waits for what is left of a flag's time.
pub fn set_flags(request: &FlagsRequest<'_>, control: &Control<'_>) -> Result<FlagsEnd, Error> {
    let mut set = Vec::new();
    for flag in &request.definition.flags {
        let lines = log::read(request.disk, request.log, request.run_id)?;
        let last = lines.iter().rev().find(|line| line.flag == flag.name);
        let is_set = FlagFile::read(request.disk, request.file)?.is_set(&flag.name);
        let set_at = match last.map(|line| (line.event, line.at)) {
            Some((FlagEvent::Soaked, _)) if is_set => None,
            Some((FlagEvent::Set, at)) if is_set => Some(at),
            _ => Some(request.set(flag, &set, &lines)?),
        };
        if let Some(set_at) = set_at {
            control.note(format!("flag {} is set", flag.name));
            request.soak(flag, set_at, control)?;
        }
        set.push(flag.name.clone());
    }
    Ok(FlagsEnd { set, lines: log::read(request.disk, request.log, request.run_id)? })
}

impl FlagsRequest<'_> {
    /// Sets a flag and returns when.
    fn set(&self, flag: &Flag, set: &[String], lines: &[FlagLine]) -> Result<Timestamp, Error> {
        if let Some(missing) = flag.needs.iter().find(|needed| !set.contains(needed)) {
            return Err(self.refused(flag, &format!("it needs {missing}, which is not set")));
        }
        let has_plan = lines.iter().any(|line| !line.maintenance.is_empty());
        if flag.needs_maintenance_plan && !has_plan {
            return Err(self.refused(flag, "no maintenance plan was made by a flag before it"));
        }
        let maintenance = match flag.plans_maintenance {
            true => maintenance::plan(self.members)?,
            false => Vec::new(),
        };
        let mut file = FlagFile::read(self.disk, self.file)?;
        let old = file.is_set(&flag.name);
        file.flags.insert(flag.name.clone(), true);
        // The line comes first: a flag without one would be set without its time.
        let line = FlagLine { maintenance, old, ..self.line(flag, FlagEvent::Set, None)? };
        json_lines::append(self.disk, self.log, &line)?;
        file.write(self.disk, self.file)?;
        self.check(flag)?;
        Ok(line.at)
    }

    /// Waits until the flag has been set for its time, and looks at its number again.
    fn soak(&self, flag: &Flag, set_at: Timestamp, control: &Control<'_>) -> Result<(), Error> {
        let since = clock::now()?.duration_since(set_at).unsigned_abs();
        pause(self.soak.saturating_sub(since), control.stop)?;
        let metric = self.check(flag)?;
        let line = FlagLine { old: true, ..self.line(flag, FlagEvent::Soaked, metric)? };
        json_lines::append(self.disk, self.log, &line)
    }

    /// Asks for the number of a flag, and takes the flag back if it is wrong.
    fn check(&self, flag: &Flag) -> Result<Option<f64>, Error> {
        let Some(metric) = &flag.metric else { return Ok(None) };
        let Some(member) = questions::primary(self.members, &metric.tier) else { return Ok(None) };
        let connection = questions::open(&member.path, self.values)?;
        let value = questions::number(&connection, &member.path, &metric.sql)?.value;
        match (value, metric.max) {
            (Some(value), Some(max)) if value > max as f64 => {
                self.revert(flag, value)?;
                Err(self.refused(flag, &format!("its number is {value}, more than {max}; the flag was taken back")))
            }
            _ => Ok(value),
        }
    }

    fn revert(&self, flag: &Flag, value: f64) -> Result<(), Error> {
        let mut file = FlagFile::read(self.disk, self.file)?;
        file.flags.insert(flag.name.clone(), false);
        file.write(self.disk, self.file)?;
        let line = FlagLine { old: true, new: false, ..self.line(flag, FlagEvent::Reverted, Some(value))? };
        json_lines::append(self.disk, self.log, &line)
    }

    fn line(&self, flag: &Flag, event: FlagEvent, metric: Option<f64>) -> Result<FlagLine, Error> {
        let (flag, run_id) = (flag.name.clone(), self.run_id.to_owned());
        Ok(FlagLine { at: clock::now()?, run_id, flag, event, old: false, new: true, metric, maintenance: Vec::new() })
    }

    fn refused(&self, flag: &Flag, what: &str) -> Error {
        Error::Verification {
            what: format!("cutover: flag {}: {what}; later flags are not set, earlier ones stay", flag.name),
            next: "repair the cause, then `haul upgrade cutover` again; or `haul upgrade rollback`".into(),
            source: None,
        }
    }
}
