//! Runs on all tenants.

use std::sync::Arc;
use std::time::Duration;

use super::each::{Share, each};
use super::summary::{Outcome, TenantEnd, TenantRun, TenantsSummary};
use super::tenant::Tenant;
use crate::db::database::Database;
use crate::db::runner::{MigrateRequest, Runner, RunnerOptions};
use crate::db::script::Migrations;
use crate::migration::Error;
use crate::pipeline::{Control, Event, Expected, Phase};

/// Does `run` with a runner for each tenant. A tenant that fails is not an error of this call; the summary reports it.
/// `refused` says which tenants must not be touched, and why.
pub fn run_on_all<E: Into<TenantEnd>>(
    tenants: &[Tenant],
    refused: &[Option<Error>],
    migrations: &Arc<Migrations>,
    options: &RunnerOptions,
    share: Share,
    control: &Control<'_>,
    run: impl Fn(&mut Runner, &Control<'_>) -> Result<E, Error> + Sync,
) -> TenantsSummary {
    with_each(tenants, refused, share, control, |tenant, control| {
        run(&mut runner(tenant, tenant.target.open()?, migrations, options)?, control).map(E::into)
    })
}

/// Rehearses in each tenant, on copies or in transactions that are rolled back.
pub fn rehearse_on_all(
    tenants: &[Tenant],
    refused: &[Option<Error>],
    migrations: &Arc<Migrations>,
    options: &RunnerOptions,
    share: Share,
    control: &Control<'_>,
    request: &MigrateRequest,
) -> TenantsSummary {
    with_each(tenants, refused, share, control, |tenant, control| {
        let mut runner = runner(tenant, tenant.target.rehearse()?, migrations, options)?;
        runner.rehearse(request, control).map(|rehearsal| rehearsal.end.into())
    })
}

fn runner(
    tenant: &Tenant,
    database: Box<dyn Database>,
    migrations: &Arc<Migrations>,
    options: &RunnerOptions,
) -> Result<Runner, Error> {
    let options = RunnerOptions { tables: tenant.tables.clone(), ..options.clone() };
    Runner::new(database, migrations.clone(), options)
}

fn with_each(
    tenants: &[Tenant],
    refused: &[Option<Error>],
    share: Share,
    control: &Control<'_>,
    run: impl Fn(&Tenant, &Control<'_>) -> Result<TenantEnd, Error> + Sync,
) -> TenantsSummary {
    let work = |index: usize, tenant: &Tenant, inner: &Control<'_>| {
        control.observer.observe(&Event::TenantStarted { tenant: tenant.name.clone() });
        let result = match refused.get(index).and_then(Option::as_ref) {
            Some(error) => TenantRun::refused(tenant, error),
            None => TenantRun::of(tenant, run(tenant, inner)),
        };
        let (tenant, outcome) = (tenant.name.clone(), result.outcome.name());
        control.observer.observe(&Event::TenantEnded { tenant, outcome });
        result
    };
    let has_failed = |result: &TenantRun| result.outcome == Outcome::Failed;
    let expected = Expected::records(tenants.len() as u64);
    let results = control.phase(Phase::Run, expected, || each(tenants, share, control, work, has_failed));
    let result = |(tenant, result): (&Tenant, Option<(TenantRun, Duration)>)| match result {
        Some((run, took)) => TenantRun { duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX), ..run },
        None => TenantRun::pending(tenant),
    };
    TenantsSummary::of(tenants.iter().zip(results).map(result).collect(), control.stop.is_requested())
}
