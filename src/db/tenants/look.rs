//! Looks at all tenants before anything changes.

use super::each::{Share, each};
use super::tenant::Tenant;
use crate::db::dialect::Dialect;
use crate::db::runner::{FilePolicy, Plan};
use crate::db::script::Migrations;
use crate::migration::Error;
use crate::pipeline::{Control, Expected, Phase};

/// How to look at tenants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Looks {
    /// What to do about applied migrations that have no file.
    pub files: FilePolicy,
    /// True before a run: completes what a run that was killed left open.
    pub is_to_act: bool,
    /// True if a database may be missing, because the run creates it.
    pub may_be_missing: bool,
}

/// What one look found.
enum Found<T> {
    Missing,
    Result(Result<T, Error>),
}

/// Plans for each tenant, and returns what `take` makes of the plans. Fails if a tenant does not exist, because the
/// list is wrong then. That one cannot be reached, or does not allow the plan, is the result for that tenant alone.
pub fn look_at_all<T: Send>(
    tenants: &[Tenant],
    migrations: &Migrations,
    looks: Looks,
    share: Share,
    control: &Control<'_>,
    take: impl Fn(&Tenant, Plan) -> Result<T, Error> + Sync,
) -> Result<Vec<Result<T, Error>>, Error> {
    in_each_there(tenants, looks, share, control, |tenant| {
        plan(tenant, migrations, looks).and_then(|plan| take(tenant, plan))
    })
}

/// Does `work` in each tenant, with none of the migrations. Fails if a tenant does not exist; what goes wrong in one is
/// the result for that tenant alone.
pub fn in_each<T: Send>(
    tenants: &[Tenant],
    share: Share,
    control: &Control<'_>,
    work: impl Fn(&Tenant) -> Result<T, Error> + Sync,
) -> Result<Vec<Result<T, Error>>, Error> {
    in_each_there(tenants, Looks::default(), share, control, work)
}

fn in_each_there<T: Send>(
    tenants: &[Tenant],
    looks: Looks,
    share: Share,
    control: &Control<'_>,
    work: impl Fn(&Tenant) -> Result<T, Error> + Sync,
) -> Result<Vec<Result<T, Error>>, Error> {
    let look = |_: usize, tenant: &Tenant, _: &Control<'_>| match tenant.target.is_there() {
        Ok(false) if !looks.may_be_missing => Found::Missing,
        // A database of a server must be there before it can be looked at.
        Ok(false) if looks.is_to_act && tenant.target.dialect() == Dialect::Postgres => {
            Found::Result(tenant.target.create().and_then(|_| work(tenant)))
        }
        Ok(_) => Found::Result(work(tenant)),
        Err(error) => Found::Result(Err(error)),
    };
    let share = Share { failures_max: None, ..share };
    let expected = Expected::records(tenants.len() as u64);
    let found = control.phase(Phase::Plan, expected, || each(tenants, share, control, look, |_| false));
    let (mut results, mut missing) = (Vec::new(), Vec::new());
    for (tenant, found) in tenants.iter().zip(found) {
        match found {
            None => return Err(Error::stopped()),
            Some((Found::Missing, _)) => missing.push(tenant.name.clone()),
            Some((Found::Result(result), _)) => results.push(result),
        }
    }
    if missing.is_empty() { Ok(results) } else { Err(not_there(&missing)) }
}

fn plan(tenant: &Tenant, migrations: &Migrations, looks: Looks) -> Result<Plan, Error> {
    if looks.is_to_act {
        tenant.target.recover()?;
    }
    let mut database = tenant.target.open_read_only()?;
    let plan = Plan::make(&mut *database, &tenant.tables, migrations);
    let mut plan = plan.map_err(|error| error.at(&tenant.target.to_string()))?;
    plan.allow(looks.files);
    Ok(plan)
}

fn not_there(missing: &[String]) -> Error {
    const SHOWN_MAX: usize = 5;
    let shown = missing[..missing.len().min(SHOWN_MAX)].join(", ");
    let more =
        if missing.len() > SHOWN_MAX { format!(" and {} more", missing.len() - SHOWN_MAX) } else { String::new() };
    Error::Usage {
        what: format!("of the listed databases, {} do not exist: {shown}{more}; nothing was changed", missing.len()),
        next: "correct the list; `haul db migrate` creates what is missing with --create".into(),
    }
}
