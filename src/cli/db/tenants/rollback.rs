//! `haul db rollback` and `haul db redo` on tenants.

use super::consent::with_counts;
use super::report::finish;
use super::watched::Watched;
use super::work::{Purpose, TenantWork};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::db::arguments::{BackupArgs, LimitArgs, scope_of_tenants};
use crate::cli::progress::Watch;
use crate::db::runner::{Plan, RollbackRequest, RollbackTo};
use crate::db::tenants::run_on_all;
use crate::migration::Error;

/// Rolls migrations back in each tenant.
pub fn rollback(
    work: &TenantWork,
    request: &RollbackRequest,
    consent: &ConsentArgs,
    (limits, backup): (&LimitArgs, &BackupArgs),
    watched: Watched<'_>,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let looks = work.look(Purpose::Act, |plan| selected(&plan, request, work))?;
    let what = "this rolls back, with the data that they hold,";
    let refused = confirmed(work, looks, what, consent, backup)?;
    let options = work.options(limits, backup.policy());
    let end = watched.run(output, |control| {
        run_on_all(&work.tenants, &refused, &work.migrations, &options, work.share, control, |runner, control| {
            runner.rollback(request, control)
        })
    })?;
    finish(output, "rolled back", &end)
}

/// Rolls the newest migration of each tenant back and applies it again.
pub fn redo(
    work: &TenantWork,
    consent: &ConsentArgs,
    (limits, backup): (&LimitArgs, &BackupArgs),
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let newest = RollbackRequest { to: RollbackTo::Steps(1), force: false, single_transaction: false };
    let looks = work.look(Purpose::Act, |plan| {
        // Those that are newest are not known before, and a fault in the file of one stops all.
        let versions = newest.select(&plan, &work.migrations)?.into_iter().map(|row| row.version.clone());
        Ok((versions.collect::<Vec<_>>(), selected(&plan, &newest, work)?))
    })?;
    for (versions, _) in looks.iter().flatten() {
        let mut files = versions.iter().filter_map(|version| work.migrations.get(version));
        files.try_for_each(|migration| migration.require_sound()).map_err(Error::from)?;
    }
    let looks = looks.into_iter().map(|look| look.map(|(_, names)| names)).collect();
    let what = "this rolls back, with the data that it holds, and applies again";
    let refused = confirmed(work, looks, what, consent, backup)?;
    let options = work.options(limits, backup.policy());
    let watch = Watch::start(output)?;
    let end = watch.run(scope_of_tenants(), |control| {
        run_on_all(&work.tenants, &refused, &work.migrations, &options, work.share, control, |runner, control| {
            runner.redo(control)
        })
    });
    finish(output, "done", &end)
}

/// Asks once for all tenants in which something would be rolled back. Returns which tenants must not be touched.
fn confirmed(
    work: &TenantWork,
    looks: Vec<Result<Vec<String>, Error>>,
    what: &str,
    consent: &ConsentArgs,
    backup: &BackupArgs,
) -> Result<Vec<Option<Error>>, Error> {
    let lists = || looks.iter().flatten();
    let affected = lists().filter(|list| !list.is_empty()).count();
    if affected > 0 {
        let (all, backup) = (looks.len(), backup.consent_text());
        let what = format_args!("{}{what} in {affected} of {all} tenants; {backup}", work.prefix());
        consent.confirm_all(what, &with_counts(lists().flatten()))?;
    }
    Ok(looks.into_iter().map(Result::err).collect())
}

/// Returns the names of what would be rolled back in one tenant.
fn selected(plan: &Plan, request: &RollbackRequest, work: &TenantWork) -> Result<Vec<String>, Error> {
    let name = |row: &crate::db::state::AppliedRow| {
        let has_down = work.migrations.get(&row.version).is_some_and(|found| found.down.is_some());
        if has_down { row.name.clone() } else { format!("{}: only its row, it has no Down section", row.name) }
    };
    Ok(request.select(plan, &work.migrations)?.into_iter().map(name).collect())
}
