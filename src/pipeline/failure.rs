//! The reason why a run cannot continue, as a value that passes between its threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What a stage ended with.
pub(super) enum Failure<E> {
    /// It answered with an error.
    Error(E),
    /// It panicked.
    Panic(Box<dyn Any + Send>),
}

impl<E> Failure<E> {
    /// The error; a panic continues in this thread.
    pub(super) fn into_error(self) -> E {
        match self {
            Failure::Error(error) => error,
            Failure::Panic(panic) => resume_unwind(panic),
        }
    }
}

/// Does `work` and turns an error or a panic into a failure. After one, nothing that `work` changed may be used again.
pub(super) fn guarded<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<T, Failure<E>> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(Failure::Error),
        Err(panic) => Err(Failure::Panic(panic)),
    }
}
