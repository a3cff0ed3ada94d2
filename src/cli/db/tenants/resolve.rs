//! `haul db resolve` on tenants.

use std::collections::BTreeMap;

use super::consent::with_names;
use super::report::finish;
use super::work::{Purpose, TenantWork};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::db::arguments::{LimitArgs, scope_of_tenants};
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::backup::BackupPolicy;
use crate::db::runner::{Plan, Resolution, Unresolved};
use crate::db::tenants::run_on_all;
use crate::migration::Error;

/// What was found in a tenant, and what its statements will count as.
struct Look {
    found: String,
    statements: Vec<String>,
}

/// Records the state of a version in each tenant in which a section of it failed or did not end.
pub fn resolve(
    work: &TenantWork,
    (version, how): (&Version, Resolution),
    consent: &ConsentArgs,
    limits: &LimitArgs,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let looks = work.look(Purpose::Act, |plan| look(&plan, version, how, work))?;
    confirm(work, &looks, version, consent)?;
    let refused: Vec<_> = looks.into_iter().map(Result::err).collect();
    let options = work.options(limits, BackupPolicy::default());
    let watch = Watch::start(output)?;
    let end = watch.run(scope_of_tenants(), |control| {
        run_on_all(&work.tenants, &refused, &work.migrations, &options, work.share, control, |runner, control| {
            match Unresolved::is_there(version, &runner.plan()?) {
                true => runner.resolve(version, how, control).map(|name| vec![name]),
                false => Ok(Vec::new()),
            }
        })
    });
    finish(output, "settled", &end)
}

fn look(plan: &Plan, version: &Version, how: Resolution, work: &TenantWork) -> Result<Option<Look>, Error> {
    if !Unresolved::is_there(version, plan) {
        return Ok(None);
    }
    let unresolved = Unresolved::find(version, how, plan, &work.migrations)?;
    Ok(Some(Look { found: unresolved.found(), statements: unresolved.statements(work.migrations.dialect()) }))
}

/// Shows what the log of each tenant says and what the statements will count as, and asks once.
fn confirm(
    work: &TenantWork,
    looks: &[Result<Option<Look>, Error>],
    version: &Version,
    consent: &ConsentArgs,
) -> Result<(), Error> {
    let found =
        || work.tenants.iter().zip(looks).filter_map(|(tenant, look)| Some((tenant, look.as_ref().ok()?.as_ref()?)));
    if found().next().is_none() {
        return match looks.iter().all(Result::is_ok) {
            true => Err(Error::Usage {
                what: format!("in no tenant, version {version} has an unfinished section: there is nothing to resolve"),
                next: "`haul db status` with the same tenants shows their state".into(),
            }),
            false => Ok(()),
        };
    }
    let mut lines = with_names(found().map(|(tenant, look)| (tenant.name.as_str(), look.found.clone())));
    // In some tenants an Up section may be unfinished, in others a Down section.
    let mut sections = BTreeMap::<_, Vec<_>>::new();
    found().for_each(|(tenant, look)| sections.entry(&look.statements).or_default().push(tenant.name.as_str()));
    let is_one = sections.len() == 1;
    for (statements, names) in sections {
        lines.extend((!is_one).then(|| format!("in {}", names.join(", "))));
        lines.extend(statements.iter().cloned());
    }
    let (affected, all) = (found().count(), looks.len());
    consent.confirm_all(
        format_args!("{}this settles version {version} in {affected} of {all} tenants", work.prefix()),
        &lines,
    )
}
