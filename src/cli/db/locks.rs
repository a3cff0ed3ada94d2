//! `haul db locks`: who holds the lock of a database. Changes nothing.
//!
//! The JSON document has `database`, `environment` and `lock` (a [`LockHolder`] or null). On tenants it has `known`, `unknown` and
//! `tenants`, each with `tenant`, `database`, `lock`, `error` and `next`.

use clap::Args;
use serde::Serialize;

use super::arguments::{DatabaseArgs, Place, PlaceName};
use super::tenants::{TenantArgs, rows};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::db::Target;
use crate::db::database::LockHolder;
use crate::db::state::Tables;
use crate::db::tenants::Tenant;
use crate::migration::{Error, exit};

/// `haul db locks`
#[derive(Args)]
pub struct LocksCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    tenants: TenantArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Locks {
    #[serde(flatten)]
    database: PlaceName,
    #[serde(flatten)]
    held: Held,
}

#[derive(Serialize)]
struct Held {
    lock: Option<LockHolder>,
}

impl LocksCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.tenants.are_given() {
            return self.run_on_tenants();
        }
        let place = self.database.place()?;
        let held = held(&place.target, &place.tables)?;
        let locks = Locks { database: place.name(), held };
        Answer::new(&locks).print(self.output, |table| {
            let how = locks.held.lock.as_ref().map_or("not held".to_owned(), |lock| format!("held by {}", lock.owner));
            table.line(format_args!("{}: {how}", locks.database));
        })
    }

    fn run_on_tenants(&self) -> anyhow::Result<u8> {
        let look = |tenant: &Tenant, _: &Place| held(&tenant.target, &tenant.tables);
        let locks = rows(&self.tenants, &self.database, self.tenants.share(), look)?;
        let answer = Answer::new(&locks).exit_if(locks.has_errors(), exit::REFUSED_RECORDS);
        let code = answer.print(self.output, |table| {
            let all_held = locks.found().filter_map(|(tenant, held)| Some((tenant, held.lock.as_ref()?)));
            let count =
                all_held.map(|(tenant, lock)| table.item("held", tenant, format_args!("by {}", lock.owner))).count();
            table.line(locks.sum(&format!("{count} locked")));
        })?;
        locks.say_errors();
        Ok(code)
    }
}

fn held(target: &Target, tables: &Tables) -> Result<Held, Error> {
    Ok(Held { lock: target.open_read_only()?.lock_holder(&tables.lock_name())? })
}
