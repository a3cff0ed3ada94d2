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
use crate::upgrade::questions;
use crate::upgrade::set::Member;
use crate::upgrade::values::Values;
use crate::upgrade::{json_lines, maintenance};

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

    /// Asks for the number of a flag, and unsets the flag if it is wrong.
    fn check(&self, flag: &Flag) -> Result<Option<f64>, Error> {
        let Some(metric) = &flag.metric else { return Ok(None) };
        let Some(member) = questions::primary(self.members, &metric.tier) else { return Ok(None) };
        let connection = questions::open(&member.path, self.values)?;
        let value = questions::number(&connection, &member.path, &metric.sql)?.value;
        match (value, metric.max) {
            (Some(value), Some(max)) if value > max as f64 => {
                self.revert(flag, value)?;
                Err(self.refused(flag, &format!("its number is {value}, more than {max}; the flag was unset")))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rusqlite::Connection;

    use super::*;
    use crate::durable::RealDisk;
    use crate::pipeline::{Silent, StopToken};
    use crate::upgrade::values::AssumedZone;

    const RULES: &str = r#"
        name = "t"
        from = "1"
        to = "2"
        group = []

        [[tier]]
        name = "main"
        [[tier.shape]]
        name = "only"
        table = "t"

        [[flag]]
        name = "plan"
        plans-maintenance = true

        [[flag]]
        name = "apply"
        needs = ["plan"]
        needs-maintenance-plan = true

        [[flag]]
        name = "last"
        metric = { tier = "main", sql = "SELECT count(*) FROM t", max = 1 }
    "#;

    struct Place {
        directory: tempfile::TempDir,
        members: Vec<Member>,
        values: Values,
    }

    impl Place {
        fn new(rows: u32) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("main.db");
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch("CREATE TABLE t(x)").unwrap();
            (0..rows).for_each(|row| assert_eq!(connection.execute("INSERT INTO t VALUES (?1)", [row]).unwrap(), 1));
            let (tier, shape) = ("main".to_owned(), "only".to_owned());
            let member = Member { key: "main.db".into(), path, tier, shape, is_primary: true };
            let values = Values {
                run_clock: clock::now().unwrap(),
                zone: AssumedZone::default(),
                inputs: BTreeMap::new(),
                settings: BTreeMap::new(),
            };
            Self { directory, members: vec![member], values }
        }

        fn file(&self) -> std::path::PathBuf {
            self.directory.path().join("flags.json")
        }

        fn set(&self, soak: Duration, stop: &StopToken) -> Result<FlagsEnd, Error> {
            let request = FlagsRequest {
                disk: &RealDisk,
                file: &self.file(),
                log: &self.directory.path().join("cutover.jsonl"),
                definition: &toml::from_str(RULES).unwrap(),
                members: &self.members,
                values: &self.values,
                run_id: "r1",
                soak,
            };
            set_flags(&request, &Control { stop, observer: &Silent })
        }

        fn is_set(&self, flag: &str) -> bool {
            FlagFile::read(&RealDisk, &self.file()).unwrap().is_set(flag)
        }
    }

    #[test]
    fn flags_are_set_in_order_and_a_second_call_changes_nothing() {
        let place = Place::new(1);
        let end = place.set(Duration::ZERO, &StopToken::new()).unwrap();
        assert_eq!(end.set, ["plan", "apply", "last"]);
        assert_eq!(end.lines[0].maintenance, ["main.db: ANALYZE"]);
        assert_eq!(end.lines.last().unwrap().metric, Some(1.0));
        assert_eq!(place.set(Duration::from_secs(60), &StopToken::new()).unwrap(), end);
    }

    #[test]
    fn a_wrong_number_takes_its_flag_back_and_earlier_ones_stay() {
        let place = Place::new(2);
        let error = place.set(Duration::ZERO, &StopToken::new()).unwrap_err();
        assert!(error.to_string().contains("flag last: its number is 2, more than 1"), "{error}");
        assert!(place.is_set("apply") && !place.is_set("last"));
    }

    #[test]
    fn a_stop_during_the_soak_leaves_one_flag_and_the_next_call_goes_on() {
        let place = Place::new(1);
        let stop = StopToken::new();
        stop.request();
        assert!(place.set(Duration::from_secs(60), &stop).is_err());
        assert!(place.is_set("plan") && !place.is_set("apply"));
        assert_eq!(place.set(Duration::ZERO, &StopToken::new()).unwrap().set.len(), 3);
    }
}
