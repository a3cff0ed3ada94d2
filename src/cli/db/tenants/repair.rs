//! `haul db repair` on tenants.

use std::collections::BTreeMap;

use super::consent::with_names;
use super::report::finish;
use super::work::{Purpose, TenantWork};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::db::arguments::{LimitArgs, scope_of_tenants};
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::backup::BackupPolicy;
use crate::db::runner::{ChangedMigration, Plan, Repaired};
use crate::db::tenants::run_on_all;
use crate::migration::Error;

/// Which changed files count as what was applied.
pub struct Repairs<'a> {
    /// The one with this version, else all.
    pub version: Option<&'a Version>,
    /// True if all are meant.
    pub all: bool,
}

/// Records the checksums of changed files in each tenant that has them.
pub fn repair(
    work: &TenantWork,
    repairs: &Repairs<'_>,
    consent: &ConsentArgs,
    limits: &LimitArgs,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let looks = work.look(Purpose::Act, |plan| to_repair(&plan, repairs.version))?;
    confirm(work, &looks, repairs, consent)?;
    let refused: Vec<_> = looks.into_iter().map(Result::err).collect();
    let options = work.options(limits, BackupPolicy::default());
    let watch = Watch::start(output)?;
    let end = watch.run(scope_of_tenants(), |control| {
        run_on_all(&work.tenants, &refused, &work.migrations, &options, work.share, control, |runner, control| {
            // A tenant without such a file is not touched: it may have no ledger yet.
            if to_repair(&runner.plan()?, repairs.version)?.is_empty() {
                return Ok(Vec::new());
            }
            let text = |Repaired { name, from, to }: &Repaired| format!("{name}: {to} instead of {from}");
            Ok(runner.repair(repairs.version, control)?.iter().map(text).collect::<Vec<_>>())
        })
    });
    finish(output, "repaired", &end)
}

/// Creates an empty log in each tenant whose log is gone.
pub fn replace_lost_logs(
    work: &TenantWork,
    consent: &ConsentArgs,
    limits: &LimitArgs,
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let count = work.tenants.len();
    consent.confirm(format_args!(
        "{}in each of {count} tenants whose log is gone, an empty one is created: what it said about earlier attempts is \
         lost",
        work.prefix()
    ))?;
    let options = work.options(limits, BackupPolicy::default());
    let watch = Watch::start(output)?;
    let end = watch.run(scope_of_tenants(), |control| {
        run_on_all(&work.tenants, &[], &work.migrations, &options, work.share, control, |runner, control| {
            let is_replaced = runner.replace_lost_log(control)?;
            Ok(is_replaced.then(|| "an empty log was created".to_owned()).into_iter().collect::<Vec<_>>())
        })
    });
    finish(output, "with a new log", &end)
}

/// Returns what is to be repaired in one tenant. That a version is as it was there is no error.
fn to_repair(plan: &Plan, version: Option<&Version>) -> Result<Vec<ChangedMigration>, Error> {
    let mut differing = plan.changed.iter().chain(&plan.replaced);
    if version.is_some_and(|version| differing.all(|changed| changed.version != *version)) {
        return Ok(Vec::new());
    }
    Ok(plan.to_repair(version)?.into_iter().cloned().collect())
}

/// Shows what would never run, for each tenant, and asks once.
fn confirm(
    work: &TenantWork,
    looks: &[Result<Vec<ChangedMigration>, Error>],
    repairs: &Repairs<'_>,
    consent: &ConsentArgs,
) -> Result<(), Error> {
    let mut by_version = BTreeMap::<_, Vec<_>>::new();
    for (tenant, look) in work.tenants.iter().zip(looks) {
        for changed in look.iter().flatten() {
            by_version.entry(&changed.version).or_default().push((tenant.name.as_str(), changed));
        }
    }
    match (repairs.version, by_version.is_empty()) {
        (Some(version), true) if looks.iter().all(Result::is_ok) => {
            return Err(Error::Usage {
                what: format!("in no tenant, version {version} is an applied migration whose file was changed"),
                next: "`haul db verify` with the same tenants lists those".into(),
            });
        }
        (_, true) => return Ok(()),
        (None, false) if !repairs.all => {
            let names = by_version.values().flatten().map(|(tenant, changed)| (*tenant, changed.name.clone()));
            return Err(Error::Usage {
                what: format!("these are applied, and their files were changed: {}", with_names(names).join("; ")),
                next: "name one with --version VERSION, or add --all".into(),
            });
        }
        _ => {}
    }
    let lines = by_version.values().flat_map(|found| {
        let mut lines = with_names(found.iter().map(|(tenant, changed)| (*tenant, changed.replacement())));
        lines.extend(found.first().into_iter().flat_map(|(_, changed)| changed.statements(&work.migrations)));
        lines
    });
    let what = "this records the text of these files as what was applied, although it is not what was run";
    consent.confirm_all(format_args!("{}{what}", work.prefix()), &lines.collect::<Vec<_>>())
}
