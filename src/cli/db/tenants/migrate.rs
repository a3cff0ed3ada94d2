//! `haul db migrate` on tenants.

use super::consent::with_counts;
use super::report::finish;
use super::watched::Watched;
use super::work::{Purpose, TenantWork};
use crate::cli::arguments::OutputArgs;
use crate::cli::confirm::confirm;
use crate::cli::db::arguments::{BackupArgs, LimitArgs, destructive_lines};
use crate::db::Version;
use crate::db::runner::{MigrateRequest, Plan};
use crate::db::tenants::run_on_all;
use crate::migration::Error;

/// What a look at a tenant found.
struct Look {
    /// The statements that destroy data, each with its file and line.
    destructive: Vec<String>,
    /// A pending migration that must not run.
    faulty: Option<Version>,
}

/// Applies what is pending in each tenant.
pub fn migrate(
    work: &TenantWork,
    request: &MigrateRequest,
    purpose: Purpose,
    yes: bool,
    (limits, backup): (&LimitArgs, &BackupArgs),
    watched: Watched<'_>,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    request.check_version(&work.migrations)?;
    let looks = work.look(purpose, |plan| look(&plan, request, work))?;
    // The files are the same for all, so nothing runs anywhere if one of them must not.
    let faulty = looks.iter().flatten().find_map(|look| look.faulty.as_ref());
    if let Some(migration) = faulty.and_then(|version| work.migrations.get(version)) {
        migration.require_sound().map_err(Error::from)?;
    }
    consent(work, &looks, yes, backup)?;
    let refused: Vec<_> = looks.into_iter().map(Result::err).collect();
    let options = work.options(limits, backup.policy());
    let end = watched.run(output, |control| {
        run_on_all(&work.tenants, &refused, &work.migrations, &options, work.share, control, |runner, control| {
            runner.migrate(request, control)
        })
    })?;
    finish(output, "applied", &end)
}

/// Checks what the plan of one tenant says.
fn look(plan: &Plan, request: &MigrateRequest, work: &TenantWork) -> Result<Look, Error> {
    let wanted = || plan.pending.iter().filter(|pending| request.takes(&pending.version));
    let faulty = wanted().find(|pending| pending.fault.is_some()).map(|pending| pending.version.clone());
    if faulty.is_none() {
        request.check(plan, &work.migrations)?;
    }
    let files = plan.files.iter().filter(|file| request.to.is_none() && file.is_pending());
    let destructive = wanted().flat_map(|pending| destructive_lines(&pending.file, &pending.destructive));
    let destructive = destructive.chain(files.flat_map(|file| destructive_lines(&file.file, &file.destructive)));
    Ok(Look { destructive: destructive.collect(), faulty })
}

/// Asks once for all tenants if data would be destroyed in some.
fn consent(work: &TenantWork, looks: &[Result<Look, Error>], yes: bool, backup: &BackupArgs) -> Result<(), Error> {
    let lists = || looks.iter().flatten().map(|look| &look.destructive);
    let affected = lists().filter(|list| !list.is_empty()).count();
    if affected == 0 {
        return Ok(());
    }
    let lines = with_counts(lists().flatten());
    let backup = backup.consent_text();
    confirm(
        format_args!("{}this destroys data in {affected} of {} tenants; {backup}", work.prefix(), looks.len()),
        &lines,
        yes,
    )
}
