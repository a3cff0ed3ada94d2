//! `haul db migrate --dry-run` on tenants.

use serde::Serialize;

use super::report::finish;
use super::work::{Purpose, TenantWork};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::db::arguments::{LimitArgs, scope_of_tenants};
use crate::cli::error_output::say_error;
use crate::cli::progress::Watch;
use crate::db::backup::BackupPolicy;
use crate::db::runner::MigrateRequest;
use crate::db::tenants::{Tenant, rehearse_on_all};
use crate::migration::{Error, exit};

#[derive(Serialize)]
struct DryRunEnd {
    tenants: Vec<TenantPlan>,
}

#[derive(Serialize)]
struct TenantPlan {
    tenant: String,
    database: String,
    /// The labels of what would be applied.
    would_apply: Vec<String>,
    error: Option<String>,
    next: Option<String>,
}

/// Prints what would run in each tenant. With `execute`, runs it on copies or in transactions that are rolled back.
pub fn dry_run(
    work: &TenantWork,
    request: &MigrateRequest,
    execute: bool,
    limits: &LimitArgs,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    request.check_version(&work.migrations)?;
    let looks = work.look(Purpose::Read, |plan| {
        request.check(&plan, &work.migrations)?;
        let wanted = plan.pending.into_iter().filter(|pending| request.takes(&pending.version));
        Ok(wanted.map(|pending| pending.name).collect::<Vec<_>>())
    })?;
    if execute {
        let refused: Vec<_> = looks.into_iter().map(Result::err).collect();
        let options = work.options(limits, BackupPolicy::default());
        let watch = Watch::start(output)?;
        let end = watch.run(scope_of_tenants(), |control| {
            rehearse_on_all(&work.tenants, &refused, &work.migrations, &options, work.share, control, request)
        });
        return finish(output, "rehearsed, nothing of it was kept", &end);
    }
    let end = DryRunEnd { tenants: work.tenants.iter().zip(looks).map(plan).collect() };
    let failed = end.tenants.iter().any(|plan| plan.error.is_some());
    let code = Answer::new(&end).exit_if(failed, exit::REFUSED_RECORDS).print(output, |table| {
        for plan in end.tenants.iter().filter(|plan| plan.error.is_none()) {
            table.item("pending", &plan.tenant, plan.would_apply.join(", "));
        }
        let count: usize = end.tenants.iter().map(|plan| plan.would_apply.len()).sum();
        table.line(format_args!("{} tenants: {count} would be applied; nothing was changed", end.tenants.len()));
    })?;
    for plan in end.tenants.iter() {
        if let Some(error) = &plan.error {
            say_error(&format!("{}: {error}", plan.tenant), plan.next.as_deref());
        }
    }
    Ok(code)
}

fn plan((tenant, look): (&Tenant, Result<Vec<String>, Error>)) -> TenantPlan {
    let (tenant, database) = (tenant.name.clone(), tenant.target.to_string());
    match look {
        Ok(would_apply) => TenantPlan { tenant, database, would_apply, error: None, next: None },
        Err(error) => {
            let (error, next) = (Some(error.to_string()), error.next_step());
            TenantPlan { tenant, database, would_apply: Vec::new(), error, next }
        }
    }
}
