//! `haul db unlock`: ends the run that holds the lock of a database.
//!
//! The JSON document has `database`, `environment` and `ended` (a [`LockHolder`], or null if nobody held the lock). On tenants it
//! has `known`, `unknown` and `tenants`, each with `tenant`, `database`, `ended`, `error` and `next`.

use std::num::NonZeroUsize;

use clap::Args;
use serde::Serialize;

use super::arguments::{DatabaseArgs, Place, PlaceName};
use super::tenants::{TenantArgs, rows};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::db::Target;
use crate::db::database::LockHolder;
use crate::db::runner::{require_own_run, unlock};
use crate::db::state::Tables;
use crate::db::tenants::{Share, Tenant};
use crate::migration::{Error, exit, owner_text};

/// `haul db unlock`
#[derive(Args)]
pub struct UnlockCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    /// End the run that holds it: its process for SQLite, its session for PostgreSQL
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    tenants: TenantArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct UnlockEnd {
    #[serde(flatten)]
    database: PlaceName,
    #[serde(flatten)]
    ended: Ended,
}

#[derive(Serialize)]
struct Ended {
    ended: Option<LockHolder>,
}

impl UnlockCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.tenants.are_given() {
            return self.run_on_tenants();
        }
        let place = self.database.place()?;
        let ended = self.end(&place.target, &place.tables)?;
        let end = UnlockEnd { database: place.name(), ended };
        Answer::new(&end).print(self.output, |table| match &end.ended.ended {
            Some(holder) => table.line(format_args!("{}: ended {}", end.database, holder.owner)),
            None => table.line(format_args!("{}: not held; nothing to do", end.database)),
        })
    }

    fn run_on_tenants(&self) -> anyhow::Result<u8> {
        // One after the other: a run that holds the locks of several tenants is ended with the first.
        let share = Share { jobs: NonZeroUsize::MIN, ..self.tenants.share() };
        let end = |tenant: &Tenant, _: &Place| self.end(&tenant.target, &tenant.tables);
        let ends = rows(&self.tenants, &self.database, share, end)?;
        let answer = Answer::new(&ends).exit_if(ends.has_errors(), exit::REFUSED_RECORDS);
        let code = answer.print(self.output, |table| {
            let ended = ends.found().filter_map(|(tenant, end)| Some((tenant, end.ended.as_ref()?)));
            let count = ended.map(|(tenant, holder)| table.item("ended", tenant, &holder.owner)).count();
            table.line(ends.sum(&format!("{count} runs ended")));
        })?;
        ends.say_errors();
        Ok(code)
    }

    /// Ends the run that holds the lock of a database or a tenant, if that is asked for.
    fn end(&self, target: &Target, tables: &Tables) -> Result<Ended, Error> {
        let mut database = target.open_read_only()?;
        let holder = database.lock_holder(&tables.lock_name())?;
        if let Some(holder) = &holder {
            require_own_run(&mut *database, tables, holder)?;
            if !self.force {
                return Err(refused(holder));
            }
            unlock(&mut *target.open()?, tables, &owner_text(), holder)?;
        }
        Ok(Ended { ended: holder })
    }
}

/// Explains that a lock is released only by the end of its run.
fn refused(holder: &LockHolder) -> Error {
    Error::Usage {
        what: format!("the lock is held by {}", holder.owner),
        next: "wait for that run to end; in an emergency add --force, which ends it".into(),
    }
}
