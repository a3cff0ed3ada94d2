//! The session of a section: the same in all of its transactions, and gone before the next section.

use super::Runner;
use super::section::task::Task;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::SessionLog;
use crate::db::state::StateWriter;
use crate::migration::Error;

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
