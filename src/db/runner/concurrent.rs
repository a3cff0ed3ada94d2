//! Concurrent builds of PostgreSQL: whether they are complete is asked of the catalog, not taken from the statement.

use super::Runner;
use super::task::Task;
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::Section;
use crate::db::script::classify::Build;
use crate::db::unfinished_builds::{UnfinishedBuild, UnfinishedBuilds};

impl Runner {
    /// Runs one statement. If it can leave or pass over what is not built, checks that nothing is half done, also when it fails.
    pub(super) fn run_and_check_build(&mut self, section: &Section, index: usize) -> Result<(), EngineError> {
        let (_, statement) = section.statement(index);
        let Some(statement) = Build::of(self.database.dialect(), statement) else {
            return self.run_statement(section, index);
        };
        let before = match statement.is_concurrent {
            true => Some(UnfinishedBuilds::read(&mut *self.database)?),
            false => None,
        };
        let result = self.run_statement(section, index);
        if result.as_ref().is_err_and(|error| error.kind == EngineErrorKind::Disconnected) {
            return result;
        }
        let after = UnfinishedBuilds::read(&mut *self.database);
        match (result, after) {
            (Ok(()), after) => match after?.of_statement(&statement, before.as_ref()) {
                Some(build) => Err(unfinished(build, None)),
                None => Ok(()),
            },
            (Err(error), Ok(after)) => Err(match after.of_statement(&statement, before.as_ref()) {
                Some(build) => unfinished(build, Some(error)),
                None => error,
            }),
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Runs one statement. What the engine says of it does not show values of placeholders.
    pub(super) fn run_statement(&mut self, section: &Section, index: usize) -> Result<(), EngineError> {
        let (_, statement) = section.statement(index);
        self.database.run(statement).map_err(|error| EngineError {
            message: section.hide_values(&error.message),
            hint: error.hint.as_deref().map(|hint| section.hide_values(hint)),
            ..error
        })
    }

    /// Fails if a build of the section is not complete. An earlier attempt may have passed over it.
    pub(super) fn require_complete_builds(&mut self, task: Task<'_>) -> Result<(), EngineError> {
        let statements = || task.section.statements().map(|(_, statement)| statement);
        if !statements().any(|statement| Build::of(self.database.dialect(), statement).is_some()) {
            return Ok(());
        }
        let found = UnfinishedBuilds::read(&mut *self.database)?.named_in(statements());
        found.first().map_or(Ok(()), |build| Err(unfinished(build, None)))
    }
}

/// Returns the error for what is left, with the error of the statement that left it. The same command cannot succeed
/// later, so it is not temporary.
fn unfinished(build: &UnfinishedBuild, error: Option<EngineError>) -> EngineError {
    let hint = format!("run `{}`, and remove the cause", build.remedy);
    match error {
        Some(error) => EngineError {
            kind: match error.kind {
                EngineErrorKind::LockNotAvailable => EngineErrorKind::Statement,
                kind => kind,
            },
            message: format!("{}; {}", error.message, build.what()),
            hint: Some(hint),
            ..error
        },
        None => EngineError::new(EngineErrorKind::Statement, build.what()).with_hint(hint),
    }
}
