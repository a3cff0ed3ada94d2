//! The result of a run on tenants.

use serde::Serialize;

use super::tenant::Tenant;
use crate::db::runner::RunSummary;
use crate::migration::{Error, exit};

/// The result of a run on tenants.
#[derive(Debug, Clone, Default, Serialize)]
pub struct TenantsSummary {
    /// The number of tenants with each outcome.
    pub counts: OutcomeCounts,
    /// The number of migrations that were applied or rolled back, or whose rows in the ledger were changed, in all
    /// tenants.
    pub applied: u64,
    /// The number of migrations that were already applied, in all tenants that were looked at.
    pub skipped: u64,
    /// The number of migrations that failed, in all tenants.
    pub failed: u64,
    /// True if the run was asked to stop.
    pub stopped: bool,
    /// The result of each tenant.
    pub tenants: Vec<TenantRun>,
}

/// The result of one tenant.
#[derive(Debug, Clone, Serialize)]
pub struct TenantRun {
    /// The name.
    pub tenant: String,
    /// The database, without any secret.
    pub database: String,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    #[serde(rename = "durationMs")]
    pub duration_ms: u64,
    /// What went wrong, with file and line if it was a migration.
    pub error: Option<String>,
    /// What to do about it.
    pub next: Option<String>,
    /// The result of its run. There is none if it failed before the first migration.
    pub run: Option<RunSummary>,
    /// What was changed in its ledger without running a migration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recorded: Vec<String>,
}

/// What was done in one tenant.
#[derive(Debug, Clone)]
pub enum TenantEnd {
    /// Migrations or seeds were run.
    Run(Box<RunSummary>),
    /// The ledger was changed: one text for each change.
    Recorded(Vec<String>),
}

impl From<RunSummary> for TenantEnd {
    fn from(end: RunSummary) -> Self {
        Self::Run(Box::new(end))
    }
}

impl From<Vec<String>> for TenantEnd {
    fn from(changes: Vec<String>) -> Self {
        Self::Recorded(changes)
    }
}

/// How the run on a tenant ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// All that was wanted was done.
    Done,
    /// There was nothing to do.
    NothingToDo,
    /// Something went wrong; the other tenants do not mind.
    Failed,
    /// Another run works on it.
    Locked,
    /// It was under way when the run was asked to stop.
    Stopped,
    /// It was not begun.
    Pending,
}

/// The number of tenants with each outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct OutcomeCounts {
    /// The number of all: the sum of the others.
    pub total: u64,
    /// See [`Outcome::Done`].
    pub done: u64,
    /// See [`Outcome::NothingToDo`].
    pub nothing_to_do: u64,
    /// See [`Outcome::Failed`].
    pub failed: u64,
    /// See [`Outcome::Locked`].
    pub locked: u64,
    /// See [`Outcome::Stopped`].
    pub stopped: u64,
    /// See [`Outcome::Pending`].
    pub pending: u64,
}

impl Outcome {
    /// Returns the name, as in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NothingToDo => "nothing_to_do",
            Self::Failed => "failed",
            Self::Locked => "locked",
            Self::Stopped => "stopped",
            Self::Pending => "pending",
        }
    }
}

impl TenantRun {
    fn new(tenant: &Tenant, outcome: Outcome) -> Self {
        let (tenant, database) = (tenant.name.clone(), tenant.target.to_string());
        Self { tenant, database, outcome, duration_ms: 0, error: None, next: None, run: None, recorded: Vec::new() }
    }

    /// Returns the result of a run.
    pub(super) fn of(tenant: &Tenant, result: Result<TenantEnd, Error>) -> Self {
        let end = match result {
            Ok(TenantEnd::Run(end)) => *end,
            Ok(TenantEnd::Recorded(recorded)) => {
                let outcome = if recorded.is_empty() { Outcome::NothingToDo } else { Outcome::Done };
                return Self { recorded, ..Self::new(tenant, outcome) };
            }
            Err(error) => return Self::refused(tenant, &error),
        };
        let outcome = match &end {
            RunSummary { failure: Some(_), .. } => Outcome::Failed,
            RunSummary { stopped: true, .. } => Outcome::Stopped,
            RunSummary { details, .. } if details.is_empty() => Outcome::NothingToDo,
            _ => Outcome::Done,
        };
        let failure = end.failure.as_ref();
        let (error, next) = (failure.map(|failure| failure.what()), failure.map(|failure| failure.next.clone()));
        Self { error, next, run: Some(end), ..Self::new(tenant, outcome) }
    }

    /// Returns the result of a tenant that ended with an error.
    pub(super) fn refused(tenant: &Tenant, error: &Error) -> Self {
        let outcome = match error {
            Error::Locked { .. } => Outcome::Locked,
            Error::Stopped { .. } => Outcome::Stopped,
            _ => Outcome::Failed,
        };
        Self { error: Some(error.to_string()), next: error.next_step(), ..Self::new(tenant, outcome) }
    }

    /// Returns the result of a tenant that was not begun.
    pub(super) fn pending(tenant: &Tenant) -> Self {
        Self::new(tenant, Outcome::Pending)
    }
}

impl OutcomeCounts {
    fn of(runs: &[TenantRun]) -> Self {
        let count = |outcome| runs.iter().filter(|run| run.outcome == outcome).count() as u64;
        Self {
            total: runs.len() as u64,
            done: count(Outcome::Done),
            nothing_to_do: count(Outcome::NothingToDo),
            failed: count(Outcome::Failed),
            locked: count(Outcome::Locked),
            stopped: count(Outcome::Stopped),
            pending: count(Outcome::Pending),
        }
    }
}

impl TenantsSummary {
    pub(super) fn of(tenants: Vec<TenantRun>, stopped: bool) -> Self {
        let sum = |of: fn(&RunSummary) -> u64| tenants.iter().filter_map(|tenant| tenant.run.as_ref()).map(of).sum();
        let recorded = tenants.iter().map(|tenant| tenant.recorded.len() as u64).sum::<u64>();
        Self {
            counts: OutcomeCounts::of(&tenants),
            applied: sum(|run| run.applied) + recorded,
            skipped: sum(|run| run.skipped),
            failed: sum(|run| run.failed),
            stopped,
            tenants,
        }
    }

    /// Returns the exit code. A run in which another one works on all tenants must be run again, like one that was
    /// stopped.
    pub fn exit_code(&self) -> u8 {
        let OutcomeCounts { total, done, nothing_to_do, locked, stopped, .. } = self.counts;
        let was_stopped = self.stopped && done + nothing_to_do < total;
        match () {
            () if was_stopped || stopped > 0 || (locked == total && total > 0) => exit::TEMPORARY,
            () if done + nothing_to_do == total => exit::OK,
            () => exit::REFUSED_RECORDS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit_code(outcomes: &[Outcome], stopped: bool) -> u8 {
        let run = |outcome: &Outcome| TenantRun {
            tenant: String::new(),
            database: String::new(),
            outcome: *outcome,
            duration_ms: 0,
            error: None,
            next: None,
            run: None,
            recorded: Vec::new(),
        };
        let end = TenantsSummary::of(outcomes.iter().map(run).collect(), stopped);
        let counts = end.counts;
        let sum = counts.done + counts.nothing_to_do + counts.failed + counts.locked + counts.stopped + counts.pending;
        assert_eq!(sum, counts.total);
        end.exit_code()
    }

    #[test]
    fn the_exit_code_says_whether_all_tenants_are_done() {
        use Outcome::*;
        for (outcomes, stopped, expected) in [
            (&[][..], false, exit::OK),
            (&[Done, NothingToDo], false, exit::OK),
            (&[Done, NothingToDo], true, exit::OK),
            (&[Done, Failed], false, exit::REFUSED_RECORDS),
            (&[Done, Locked], false, exit::REFUSED_RECORDS),
            (&[Locked, Locked], false, exit::TEMPORARY),
            (&[Failed, Pending], false, exit::REFUSED_RECORDS),
            (&[Done, Pending], true, exit::TEMPORARY),
            (&[Failed, Stopped], true, exit::TEMPORARY),
        ] {
            assert_eq!(exit_code(outcomes, stopped), expected, "{outcomes:?}");
        }
    }
}
