//! `haul db locks`: who holds the lock of a database. Changes nothing.
//!
//! The JSON document has `database`, `environment` and `lock` (a [`LockHolder`] or null).

use clap::Args;
use serde::Serialize;

use super::arguments::{DatabaseArgs, PlaceName};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::db::database::LockHolder;

/// `haul db locks`
#[derive(Args)]
pub struct LocksCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Locks {
    #[serde(flatten)]
    database: PlaceName,
    lock: Option<LockHolder>,
}

impl LocksCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let lock = place.target.open_read_only()?.lock_holder(&place.tables.lock_name())?;
        let locks = Locks { database: place.name(), lock };
        Answer::new(&locks).print(self.output, |table| {
            let how = locks.lock.as_ref().map_or("not held".to_owned(), |lock| format!("held by {}", lock.owner));
            table.line(format_args!("{}: {how}", locks.database));
        })
    }
}
