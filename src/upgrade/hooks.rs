//! Commands of the operator, which run at certain moments of an upgrade.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::db::hooks::{CommandFault, Program};
use crate::migration::Error;
use crate::pipeline::{Control, StopToken};

/// How often `drain` is asked whether the tasks of the application are done.
const DRAIN_INTERVAL: Duration = Duration::from_secs(1);
const DRAIN_POLL: Duration = Duration::from_millis(50);

/// When a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookTime {
    /// Before phase 1: tells the users that writes stop.
    Freeze,
    /// In phase 1, until it succeeds: true if few enough tasks are active.
    Drain,
    /// When writes may go on.
    Thaw,
    /// The application's own tests: in phase 0, after phases 2, 3 and 5, and in phase 6.
    Test,
    /// In phase 4: something that must be denied. It fails if the command succeeds.
    Denied,
    /// After a rollback: the application forgets what it remembers of the files.
    RolledBack,
}

impl HookTime {
    const NAMES: [(&'static str, Self); 6] = [
        ("freeze", Self::Freeze),
        ("drain", Self::Drain),
        ("thaw", Self::Thaw),
        ("test", Self::Test),
        ("denied", Self::Denied),
        ("rolled-back", Self::RolledBack),
    ];
}

impl fmt::Display for HookTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, time)| time == self).map_or("", |(name, _)| name);
        f.pad(name)
    }
}

/// A command and when it runs, from `--hook TIME=COMMAND`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    when: HookTime,
    command: String,
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || HookTime::NAMES.map(|(name, _)| name).join(", ");
        let (name, command) = text.split_once('=').ok_or_else(|| format!("write TIME=COMMAND; times: {}", names()))?;
        let when = HookTime::NAMES.iter().find(|(known, _)| *known == name).map(|(_, time)| *time);
        let when = when.ok_or_else(|| format!("{name} is not a time; times: {}", names()))?;
        match command.trim() {
            "" => Err("the command is empty".into()),
            command => Ok(Self { when, command: command.to_owned() }),
        }
    }
}

/// The commands of an upgrade. `sh -c` runs each; its environment has `HAUL_PHASE`, `HAUL_DIRECTORY` and `HAUL_RUN_ID`.
#[derive(Debug, Clone, Default)]
pub struct Hooks {
    commands: BTreeMap<HookTime, Vec<String>>,
    variables: Vec<(&'static str, String)>,
    /// How long `drain` may take.
    drain_timeout: Duration,
}

impl Hooks {
    /// Takes the commands of an upgrade of the databases in `directory`.
    pub fn new(hooks: Vec<Hook>, directory: &str, drain_timeout: Duration) -> Self {
        let mut commands: BTreeMap<HookTime, Vec<String>> = BTreeMap::new();
        for hook in hooks {
            commands.entry(hook.when).or_default().push(hook.command);
        }
        Self { commands, variables: vec![("HAUL_DIRECTORY", directory.to_owned())], drain_timeout }
    }

    /// Adds a variable to the environment of each command.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// Returns true if there is a command for this time.
    pub fn has(&self, when: HookTime) -> bool {
        self.commands.contains_key(&when)
    }

    /// Runs the commands of this time. Returns how many ran.
    ///
    /// The first that fails ends the phase; one that a stop has ended is an [`Error::Stopped`].
    pub fn run(&self, when: HookTime, phase: &str, control: &Control<'_>) -> Result<u64, Error> {
        let commands = self.commands.get(&when).map_or(&[][..], Vec::as_slice);
        for command in commands {
            match when {
                HookTime::Drain => self.drain(command, phase, control)?,
                HookTime::Denied => self.expect_denied(command, phase, control.stop)?,
                _ => self.call(command, phase, control.stop)?.map_err(|what| failed(when, phase, &what))?,
            }
        }
        Ok(commands.len() as u64)
    }

    /// Runs a command. The inner error says how it failed.
    fn call(&self, command: &str, phase: &str, stop: &StopToken) -> Result<Result<(), String>, Error> {
        let words = ["sh", "-c", command].map(str::to_owned);
        let program = Program::new(&words).expect("the name of the shell is not empty");
        let mut variables = self.variables.clone();
        variables.push(("HAUL_PHASE", phase.to_owned()));
        let (lines, result) = program.run(&variables, None, stop);
        match result {
            Ok(()) => Ok(Ok(())),
            Err(CommandFault::Stopped) => Err(Error::stopped()),
            Err(CommandFault::Failed(how)) => {
                let said = lines.last().map_or(String::new(), |line| format!("; it said: {line}"));
                Ok(Err(format!("`{command}`: {how}{said}")))
            }
        }
    }

    fn drain(&self, command: &str, phase: &str, control: &Control<'_>) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            let Err(what) = self.call(command, phase, control.stop)? else { return Ok(()) };
            if started.elapsed() >= self.drain_timeout {
                return Err(Error::Program {
                    what: format!("{phase}: tasks of the application are still active: {what}"),
                    next: "wait until they end, then run the same command again; or raise --drain-timeout".into(),
                    temporary: true,
                });
            }
            pause(DRAIN_INTERVAL, control.stop)?;
        }
    }

    fn expect_denied(&self, command: &str, phase: &str, stop: &StopToken) -> Result<(), Error> {
        match self.call(command, phase, stop)? {
            Err(_) => Ok(()),
            Ok(()) => Err(Error::Verification {
                what: format!("{phase}: `{command}` must be denied, and it succeeded"),
                next: "repair the guard of the application, then run the same command again".into(),
                source: None,
            }),
        }
    }
}

fn failed(when: HookTime, phase: &str, what: &str) -> Error {
    Error::Program {
        what: format!("{phase}: the command of --hook {when} failed: {what}"),
        next: "repair what it found, then run the same command again".into(),
        temporary: false,
    }
}

/// Waits so long, or until a stop is requested, which is an error.
pub fn pause(duration: Duration, stop: &StopToken) -> Result<(), Error> {
    let started = Instant::now();
    while let Some(left) = duration.checked_sub(started.elapsed()) {
        if stop.is_requested() {
            return Err(Error::stopped());
        }
        std::thread::sleep(left.min(DRAIN_POLL));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Silent;

    fn hooks(texts: &[&str]) -> Hooks {
        let hooks = texts.iter().map(|text| text.parse().unwrap()).collect();
        Hooks::new(hooks, "/data", Duration::ZERO).with("HAUL_RUN_ID", "r1")
    }

    fn run(hooks: &Hooks, when: HookTime) -> Result<u64, Error> {
        let stop = StopToken::new();
        hooks.run(when, "freeze", &Control { stop: &stop, observer: &Silent })
    }

    #[test]
    fn texts_name_a_time_and_a_command() {
        assert_eq!("test=true".parse(), Ok(Hook { when: HookTime::Test, command: "true".into() }));
        for (text, says) in [("true", "write TIME="), ("soon=true", "soon is not a time"), ("test= ", "is empty")] {
            assert!(text.parse::<Hook>().unwrap_err().contains(says), "{text}");
        }
    }

    #[test]
    fn a_command_knows_where_it_is_and_its_failure_ends_the_phase() {
        let checks = hooks(&[r#"test=test "$HAUL_PHASE $HAUL_DIRECTORY $HAUL_RUN_ID" = "freeze /data r1""#]);
        assert_eq!(run(&checks, HookTime::Test).unwrap(), 1);
        assert_eq!(run(&checks, HookTime::Thaw).unwrap(), 0);
        let error = run(&hooks(&["test=echo two are red; exit 3"]), HookTime::Test).unwrap_err();
        assert!(error.to_string().contains("two are red"), "{error}");
        assert_eq!(error.exit_code(), crate::migration::exit::FAILED);
    }

    #[test]
    fn tasks_that_do_not_end_are_a_reason_to_run_again() {
        let error = run(&hooks(&["drain=false"]), HookTime::Drain).unwrap_err();
        assert_eq!(error.exit_code(), crate::migration::exit::TEMPORARY, "{error}");
        assert_eq!(run(&hooks(&["drain=true"]), HookTime::Drain).unwrap(), 1);
    }

    #[test]
    fn what_must_be_denied_may_not_succeed() {
        assert_eq!(run(&hooks(&["denied=false"]), HookTime::Denied).unwrap(), 1);
        let error = run(&hooks(&["denied=true"]), HookTime::Denied).unwrap_err();
        assert_eq!(error.exit_code(), crate::migration::exit::BAD_DATA, "{error}");
    }

    #[test]
    fn a_stop_ends_a_wait() {
        let stop = StopToken::new();
        stop.request();
        assert!(pause(Duration::from_secs(60), &stop).is_err());
        let control = Control { stop: &stop, observer: &Silent };
        let error = hooks(&["test=sleep 60"]).run(HookTime::Test, "plan", &control).unwrap_err();
        assert_eq!(error.exit_code(), crate::migration::exit::TEMPORARY);
    }
}
