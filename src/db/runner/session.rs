//! The session of a section: the same in all of its transactions, and gone before the next section.

use super::Runner;
use super::task::Task;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::{SessionLog, sets_what_it_says};
use crate::db::state::StateWriter;
use crate::migration::Error;

/// What a section has set in its session, as the server says. A function can set what no statement says, and then no
/// later transaction could have it.
pub(super) struct SessionState(Vec<(String, String)>);

impl SessionState {
    /// Returns the name of what is there, or has another value, and was not so before.
    fn first_change(&self, before: &Self) -> Option<String> {
        let of_setting = |(name, _): &&(String, String)| !name.contains(' ');
        let is_gone = |one: &&(String, String)| !self.0.iter().any(|(name, _)| *name == one.0);
        let gone = before.0.iter().filter(of_setting).find(is_gone);
        self.0.iter().find(|now| !before.0.contains(now)).or(gone).map(|(name, _)| name.clone())
    }
}

impl Runner {
    /// Prepares the session for a section: nothing of the one before is left in it, and the lock is held. A section in
    /// one transaction checks the lock before its commit instead.
    pub(super) fn prepare(&mut self, task: Task<'_>) -> Result<(), Error> {
        if self.is_joined {
            // The part before has ended with a clean session.
            return Ok(());
        }
        self.database.forget_session().map_err(|error| self.error(error))?;
        if task.is_one_transaction() {
            return Ok(());
        }
        self.require_lock().map_err(|error| self.error(error))
    }

    /// Fails unless the lock is still held: a script can release it, and a server can end the session.
    pub(super) fn require_lock(&mut self) -> Result<(), EngineError> {
        if self.database.holds_lock()? {
            return Ok(());
        }
        let error = EngineError::new(EngineErrorKind::Statement, "the lock of this run is gone");
        Err(error.with_hint("check that no migration releases locks"))
    }

    /// Runs statements of the section again, which set its session.
    pub(super) fn set_session(&mut self, task: Task<'_>, statements: &[usize]) -> Result<(), EngineError> {
        for index in statements {
            let (line, _) = task.section.statement(*index);
            self.run_statement(task.section, *index).map_err(|error| EngineError {
                message: format!("the setting on line {line}, made again for the statements after it: {error}"),
                offset: None,
                ..error
            })?;
        }
        Ok(())
    }

    /// Reads what is set in the session.
    pub(super) fn session_state(&mut self) -> Result<SessionState, EngineError> {
        self.database.session_state().map(SessionState)
    }

    /// Fails if the statements have set something that their words do not say. `before` is what was set before them, and
    /// gets what is set now.
    pub(super) fn require_known_settings(
        &mut self,
        task: Task<'_>,
        statements: std::ops::Range<usize>,
        before: &mut SessionState,
    ) -> Result<(), EngineError> {
        let now = self.session_state()?;
        let dialect = self.database.dialect();
        let says_it = |index: usize| sets_what_it_says(dialect, task.section.statement(index).1);
        let change = now.first_change(before);
        *before = now;
        match change {
            Some(name) if !statements.clone().any(says_it) => {
                let line = statements.last().map_or(0, |index| task.section.statement(index).0);
                Err(unknown_setting(&name, line))
            }
            _ => Ok(()),
        }
    }

    /// Changes the ledger or the log between statements of a section, with haul's own settings.
    pub(super) fn try_state_in_session<T>(
        &mut self,
        task: Task<'_>,
        session: &SessionLog,
        work: impl FnOnce(&mut StateWriter<'_>) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        if !session.has_settings() {
            return self.try_state(work);
        }
        self.database.reset_settings()?;
        let result = self.try_state(work)?;
        self.set_session(task, &session.settings())?;
        Ok(result)
    }
}

/// Returns the error for a setting that only the server knows of.
fn unknown_setting(name: &str, line: u64) -> EngineError {
    let what = format!(
        "the statement on line {line} changes {name} for its session, as its words do not say, so that no other transaction \
         of the section would have it"
    );
    EngineError::new(EngineErrorKind::UnknownSetting, what).with_hint(
        "write it as SET in a statement of its own, or let the function end with its own setting (SET LOCAL, or SET in CREATE \
         FUNCTION)",
    )
}
