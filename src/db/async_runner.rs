//! A runner for programs that use tokio. The work itself blocks, so it is done on a thread for that.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::runner::{MigrateRequest, Plan, RollbackRequest, RunSummary, Runner, RunnerOptions};
use super::script::Migrations;
use super::target::Target;
use crate::migration::Error;
use crate::pipeline::{Control, Observer, Silent, StopToken};

/// Runs migrations in a program that uses tokio: each call does the work of [`Runner`] on a thread of
/// [`spawn_blocking`], where it does not delay other tasks.
///
/// If the future of a call is dropped, the run is asked to stop: what is done is kept, as after a signal, and the
/// thread ends soon. The runner is gone then, and each later call is an error.
///
/// ```
/// use haul::{AsyncDbRunner, DbMigrateRequest, DbRunnerOptions, DbTarget, Dialect, Migrations};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let url = format!("sqlite:{}", directory.path().join("app.db").display());
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let migrations = Migrations::from_texts(Dialect::Sqlite, [("1_a.sql", "CREATE TABLE a (a INT);")])?;
/// let target = DbTarget::parse(&url)?.creating();
/// let mut runner = AsyncDbRunner::open(target, migrations, DbRunnerOptions::default()).await?;
/// let end = runner.migrate(DbMigrateRequest::default()).await?;
/// assert_eq!((end.applied, end.failed), (1, 0));
/// # Ok(())
/// # })
/// # }
/// ```
pub struct AsyncRunner {
    runner: Option<Runner>,
    observer: Arc<dyn Observer>,
}

/// Asks a run to stop when it is dropped.
struct StopOnDrop(StopToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

impl AsyncRunner {
    /// Opens the database, and creates a runner for it.
    pub async fn open(
        target: Target,
        migrations: impl Into<Arc<Migrations>>,
        options: RunnerOptions,
    ) -> Result<Self, Error> {
        let migrations = migrations.into();
        blocking(move || Runner::new(target.open()?, migrations, options)).await.map(Self::new)
    }

    /// Wraps a runner, for example one on a connection of the application.
    pub fn new(runner: Runner) -> Self {
        Self { runner: Some(runner), observer: Arc::new(Silent) }
    }

    /// Sets who receives the events.
    pub fn with_observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = observer;
        self
    }

    /// Applies the pending migrations, as [`Runner::migrate`] does.
    pub async fn migrate(&mut self, request: MigrateRequest) -> Result<RunSummary, Error> {
        self.call(move |runner, control| runner.migrate(&request, control)).await
    }

    /// Rolls migrations back, as [`Runner::rollback`] does.
    pub async fn rollback(&mut self, request: RollbackRequest) -> Result<RunSummary, Error> {
        self.call(move |runner, control| runner.rollback(&request, control)).await
    }

    /// Compares the migrations with the ledger, as [`Runner::plan`] does.
    pub async fn plan(&mut self) -> Result<Plan, Error> {
        self.call(|runner, _| runner.plan()).await
    }

    /// Does other work with the runner on a thread that may block.
    pub async fn call<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Runner, &Control<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let mut runner = self.runner.take().ok_or_else(cancelled)?;
        let (stop, observer) = (StopToken::new(), self.observer.clone());
        let _stop_if_dropped = StopOnDrop(stop.clone());
        let (runner, result) = blocking(move || {
            let result = work(&mut runner, &Control { stop: &stop, observer: &*observer });
            (runner, result)
        })
        .await;
        self.runner = Some(runner);
        result
    }
}

impl Drop for AsyncRunner {
    /// Closes the connection on a thread that may block: the driver of PostgreSQL must not do that in a task.
    fn drop(&mut self) {
        if let (Some(runner), Ok(handle)) = (self.runner.take(), Handle::try_current()) {
            drop(handle.spawn_blocking(move || drop(runner)));
        }
    }
}

/// Does work on a thread that may block. A panic goes on in the task.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn cancelled() -> Error {
    Error::Usage {
        what: "an earlier call of this runner was cancelled, and has its connection".into(),
        next: "open another runner".into(),
    }
}
