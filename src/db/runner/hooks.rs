//! Runs hooks: around a run, and around each of its sections.

use super::Runner;
use super::run_summary::{Failure, Kept, RunSummary};
use super::section::task::{Task, explain, section_limits};
use super::section::transaction::Started;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::hooks::{CommandFault, Hook, HookAction, HookTime, Program};
use crate::db::script::{Direction, Section, statement_preview};
use crate::db::state::{LogEntry, Outcome};
use crate::migration::{Error, now_text};
use crate::pipeline::Control;

/// A run, as its hooks see it.
pub(super) struct RunFrame<'a> {
    pub direction: Direction,
    pub tasks: &'a [Task<'a>],
    pub single_transaction: bool,
}

/// When hooks run, and what is said to them.
pub(super) struct Moment<'a> {
    when: HookTime,
    /// The section, for hooks around each.
    task: Option<Task<'a>>,
    direction: Direction,
    /// The label of the migration; empty if the hook is about the whole run.
    name: String,
    outcome: &'static str,
}

impl<'a> Moment<'a> {
    /// Returns the moment before or after a section.
    pub fn each(when: HookTime, task: &Task<'a>, outcome: &'static str) -> Self {
        Self { when, task: Some(*task), direction: task.direction, name: task.migration.label(), outcome }
    }

    fn of_run(when: HookTime, direction: Direction, outcome: &'static str) -> Self {
        Self { when, task: None, direction, name: String::new(), outcome }
    }

    fn version(&self) -> String {
        self.task.map(|task| task.migration.log_version()).unwrap_or_default()
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("HAUL_HOOK", self.when.to_string()),
            ("HAUL_VERSION", self.version()),
            ("HAUL_NAME", self.name.clone()),
            ("HAUL_DIRECTION", if self.direction == Direction::Up { "up" } else { "down" }.to_owned()),
            ("HAUL_OUTCOME", self.outcome.to_owned()),
        ]
    }

    /// Says what the failure of a hook leaves, and what to do.
    fn next(&self) -> String {
        let again = "run the same command again";
        match self.when {
            HookTime::BeforeRun => format!("nothing was run: correct the hook and {again}, or add --no-hooks"),
            HookTime::BeforeEach => {
                format!("{} was not run: correct the hook and {again}, or add --no-hooks", self.name)
            }
            HookTime::AfterEach => format!(
                "{} stays {}, and its hook is not run again: do by hand what it should have done, correct it, and {again} for \
                 the rest",
                self.name, self.outcome
            ),
            HookTime::AfterRun | HookTime::AfterFailure => {
                "the migrations of this run stay as they are, and the hook is not run again: do by hand what it should have done"
                    .into()
            }
        }
    }
}

/// The failure of a hook.
struct HookFault {
    /// The index of the statement, if one failed.
    index: Option<usize>,
    error: EngineError,
}

/// How the hooks of a moment ended.
enum HooksEnd {
    Done,
    Stopped,
    Failed(Box<Failure>),
}

impl From<EngineError> for HookFault {
    fn from(error: EngineError) -> Self {
        Self { index: None, error }
    }
}

impl Runner {
    /// Does `work`, which runs the sections of a run, between the hooks of the run, and in one transaction if that is
    /// wanted. `work` gets the log row that starts the first section, if it is already written.
    pub(super) fn in_frame(
        &mut self,
        frame: &RunFrame<'_>,
        control: &Control<'_>,
        end: &mut RunSummary,
        work: impl FnOnce(&mut Self, Option<Started>, &mut RunSummary) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if frame.tasks.is_empty() {
            return work(self, None, end);
        }
        let before = Moment::of_run(HookTime::BeforeRun, frame.direction, "pending");
        let outcome = if frame.direction == Direction::Up { "applied" } else { "reverted" };
        let after = Moment::of_run(HookTime::AfterRun, frame.direction, outcome);
        let framed = |runner: &mut Self, started, end: &mut RunSummary| {
            if !runner.run_hooks(&before, control, end) {
                return Ok(());
            }
            work(runner, started, end)?;
            if end.failure.is_none() && !end.stopped {
                runner.run_hooks(&after, control, end);
            }
            Ok(())
        };
        let result = match frame.single_transaction {
            true => {
                self.in_single_transaction(frame.tasks, end, |runner, started, end| framed(runner, Some(started), end))
            }
            false => framed(self, None, end),
        };
        if end.failure.is_some() || result.is_err() {
            let name = end.failure.as_ref().map(|failure| failure.name.clone()).unwrap_or_default();
            let moment = Moment { name, ..Moment::of_run(HookTime::AfterFailure, frame.direction, "failed") };
            // The failure of the run is what counts; that of the hook is in the log.
            if let HooksEnd::Failed(failed) = self.hooks_of(&moment, control) {
                control.note(format!("the {} hook failed too: {}", moment.when, failed.what()));
            }
        }
        result
    }

    /// Runs the hooks of a moment that do not belong into the transaction of a section. Returns false if the run ends
    /// here; `end` has the reason.
    pub(super) fn run_hooks(&mut self, moment: &Moment<'_>, control: &Control<'_>, end: &mut RunSummary) -> bool {
        match self.hooks_of(moment, control) {
            HooksEnd::Done => return true,
            HooksEnd::Stopped => end.stopped = true,
            HooksEnd::Failed(failure) => end.failure = Some(*failure),
        }
        false
    }

    /// Runs the hooks of a moment up to the first that fails.
    fn hooks_of(&mut self, moment: &Moment<'_>, control: &Control<'_>) -> HooksEnd {
        let hooks = self.options.hooks.clone();
        let is_inside = moment.task.is_some_and(|task| task.is_one_transaction());
        for hook in hooks.iter().filter(|hook| hook.when == moment.when) {
            let result = match &hook.action {
                HookAction::Sql(_) if is_inside => continue,
                HookAction::Sql(section) => self.run_sql(section),
                HookAction::Command(program) => self.run_program(program, moment, control),
            };
            self.show_notices(&format!("{} hook", moment.when), control);
            match result {
                Ok(()) => {}
                Err(fault) if fault.error.kind == EngineErrorKind::Stopped => return HooksEnd::Stopped,
                Err(fault) => return HooksEnd::Failed(Box::new(self.log_failure(hook, moment, &fault))),
            }
        }
        HooksEnd::Done
    }

    /// Runs the SQL of hooks in the transaction of a section. Nothing that they set for the session is left.
    pub(super) fn run_hooks_inside(&mut self, when: HookTime) -> Result<(), EngineError> {
        let hooks = self.options.hooks.clone();
        for hook in hooks.iter().filter(|hook| hook.when == when) {
            let HookAction::Sql(section) = &hook.action else { continue };
            self.run_part(section).map_err(|fault| EngineError {
                message: format!("the {when} hook {} failed: {}", place(hook, section, &fault), fault.error.message),
                offset: None,
                ..fault.error
            })?;
        }
        Ok(())
    }

    /// Runs statements as a part of the open transaction.
    fn run_part(&mut self, section: &Section) -> Result<(), HookFault> {
        for index in 0..section.len() {
            if self.stop.is_requested() {
                return Err(EngineError::new(EngineErrorKind::Stopped, "stopped on request").into());
            }
            self.run_statement(section, index).map_err(|error| HookFault { index: Some(index), error })?;
        }
        Ok(self.database.end_part()?)
    }

    /// Runs statements in a transaction of their own, or as a part of the one of the run.
    fn run_sql(&mut self, section: &Section) -> Result<(), HookFault> {
        if !self.is_joined {
            self.database.forget_session()?;
        }
        let limits = section_limits(section, self.options.timeout);
        self.database.arm(&limits, &self.stop)?;
        let result = if self.is_joined { Ok(()) } else { self.database.begin().map_err(HookFault::from) };
        let result = result.and_then(|()| self.run_part(section));
        let is_late = self.database.disarm();
        let result = result.and_then(|()| {
            if is_late {
                return Err(EngineError::new(EngineErrorKind::Cancelled, "cancelled at the time limit").into());
            }
            if self.is_joined { Ok(()) } else { Ok(self.database.commit()?) }
        });
        result.map_err(|fault| {
            if !self.is_joined {
                // The server rolls back after a lost connection, so an error of this call changes nothing.
                let _ = self.roll_back();
            }
            HookFault { error: explain(fault.error, is_late, limits.timeout, &self.stop), ..fault }
        })
    }

    /// Runs a program; what it prints is shown.
    fn run_program(&self, program: &Program, moment: &Moment<'_>, control: &Control<'_>) -> Result<(), HookFault> {
        let (lines, result) = program.run(&moment.variables(), self.options.timeout, &self.stop);
        lines.iter().for_each(|line| control.note(format!("{} hook {}: {line}", moment.when, program.name())));
        let error = match result {
            Ok(()) => return Ok(()),
            Err(CommandFault::Stopped) => EngineError::new(EngineErrorKind::Stopped, "stopped on request"),
            Err(CommandFault::Failed(what)) => EngineError::new(EngineErrorKind::Statement, what),
        };
        Err(error.into())
    }

    fn log_failure(&mut self, hook: &Hook, moment: &Moment<'_>, fault: &HookFault) -> Failure {
        let section = match &hook.action {
            HookAction::Sql(section) => Some(section),
            HookAction::Command(_) => None,
        };
        let statement = section.zip(fault.index).map(|(section, index)| section.written_statement(index));
        let dialect = self.database.dialect();
        let failure = Failure {
            name: if moment.name.is_empty() { moment.when.to_string() } else { moment.name.clone() },
            file: hook.name(),
            line: statement.as_ref().map(|(line, _)| *line),
            statement: fault.index.map(|index| index as u64 + 1),
            statements: section.map_or(0, |section| section.len() as u64),
            text: statement.map(|(_, text)| statement_preview(dialect, &text)),
            code: fault.error.code.clone(),
            error: format!("the {} hook failed: {}", moment.when, fault.error.message),
            kept: if moment.when == HookTime::BeforeRun { Kept::Nothing } else { Kept::All },
            next: moment.next(),
            temporary: matches!(fault.error.kind, EngineErrorKind::Disconnected | EngineErrorKind::LockNotAvailable),
        };
        let entry = LogEntry {
            version: moment.version(),
            name: failure.name.clone(),
            statement: fault.index.and_then(|index| i64::try_from(index + 1).ok()),
            error: Some(failure.what()),
            ..LogEntry::of_database(Outcome::HookFailed, now_text())
        };
        // A lost connection cannot log, and the failure says what happened.
        let _ = self.append_after_rollback(entry);
        failure
    }
}

/// Returns where a hook failed.
fn place(hook: &Hook, section: &Section, fault: &HookFault) -> String {
    match fault.index {
        Some(index) => format!("{}:{}", hook.name(), section.statement(index).0),
        None => hook.name(),
    }
}
