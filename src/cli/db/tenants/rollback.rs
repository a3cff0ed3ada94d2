//! `haul db rollback` on tenants.

use super::migrate::with_counts;
use super::report::finish;
use super::work::{Purpose, TenantWork};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::db::arguments::{BackupArgs, LimitArgs, scope_of_tenants};
use crate::cli::progress::Watch;
use crate::db::runner::{Plan, RollbackRequest};
use crate::db::tenants::run_on_all;
use crate::migration::Error;

/// Rolls migrations back in each tenant.
pub fn rollback(
    work: &TenantWork,
    request: &RollbackRequest,
    consent: &ConsentArgs,
    (limits, backup): (&LimitArgs, &BackupArgs),
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let looks = work.look(Purpose::Act, |plan| selected(&plan, request, work))?;
    let lists = || looks.iter().flatten();
    let affected = lists().filter(|list| !list.is_empty()).count();
    if affected > 0 {
        let backup = backup.consent_text();
        let what = format_args!(
            "{}this rolls back, with the data that they hold, in {affected} of {} tenants; {backup}",
            work.prefix(),
            looks.len()
        );
        consent.confirm_all(what, &with_counts(lists().flatten()))?;
    }
    let refused: Vec<_> = looks.into_iter().map(Result::err).collect();
    let options = work.options(limits, backup.policy());
    let watch = Watch::start(output)?;
    let end = watch.run(scope_of_tenants(), |control| {
        run_on_all(&work.tenants, &refused, &work.migrations, &options, work.share, control, |runner, control| {
            runner.rollback(request, control)
        })
    });
    finish(output, "rolled back", &end)
}

/// Returns the names of what would be rolled back in one tenant.
fn selected(plan: &Plan, request: &RollbackRequest, work: &TenantWork) -> Result<Vec<String>, Error> {
    let name = |row: &crate::db::state::AppliedRow| {
        let has_down = work.migrations.get(&row.version).is_some_and(|found| found.down.is_some());
        if has_down { row.name.clone() } else { format!("{}: only its row, it has no Down section", row.name) }
    };
    Ok(request.select(plan, &work.migrations)?.into_iter().map(name).collect())
}
