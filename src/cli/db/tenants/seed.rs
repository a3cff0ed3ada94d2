//! `haul db seed` on tenants.

use super::consent::with_counts;
use super::report::finish;
use super::work::{Purpose, TenantWork};
use crate::cli::arguments::OutputArgs;
use crate::cli::confirm::confirm;
use crate::cli::db::arguments::{BackupArgs, LimitArgs, destructive_lines, scope_of_tenants};
use crate::cli::progress::Watch;
use crate::db::runner::{Again, Plan};
use crate::db::tenants::run_on_all;
use crate::migration::Error;

/// Runs seeds in each tenant.
pub fn seed(
    work: &TenantWork,
    again: &Again,
    yes: bool,
    (limits, backup): (&LimitArgs, &BackupArgs),
    output: OutputArgs,
) -> anyhow::Result<u8> {
    // The files are the same for all, so a fault in one, or a wrong name, stops all.
    again.check(&work.migrations)?;
    let looks = work.look(Purpose::Act, |plan| destructive(&plan, again, work))?;
    let lists = || looks.iter().flatten();
    let affected = lists().filter(|list| !list.is_empty()).count();
    if affected > 0 {
        let (all, backup) = (looks.len(), backup.consent_text());
        let what = format_args!("{}this destroys data in {affected} of {all} tenants; {backup}", work.prefix());
        confirm(what, &with_counts(lists().flatten()), yes)?;
    }
    let refused: Vec<_> = looks.into_iter().map(Result::err).collect();
    let options = work.options(limits, backup.policy());
    let watch = Watch::start(output)?;
    let end = watch.run(scope_of_tenants(), |control| {
        run_on_all(&work.tenants, &refused, &work.migrations, &options, work.share, control, |runner, control| {
            runner.seed(again, control)
        })
    });
    finish(output, "applied", &end)
}

/// Returns the statements that would destroy data in one tenant.
fn destructive(plan: &Plan, again: &Again, work: &TenantWork) -> Result<Vec<String>, Error> {
    let wanted: Vec<_> = again.select(plan, &work.migrations)?.into_iter().map(|seed| seed.label()).collect();
    let states = plan.files.iter().filter(|state| wanted.contains(&state.name));
    Ok(states.flat_map(|state| destructive_lines(&state.file, &state.destructive)).collect())
}
