//! `haul db locks`: who holds the lock of a database. Changes nothing.
//!
//! The JSON document has `database` and `lock`, a [`LockHolder`] or null.

use clap::Args;
use serde::Serialize;

use super::arguments::DatabaseArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::db::database::LockHolder;
use crate::migration::exit;

/// `haul db locks`
#[derive(Args)]
pub struct LocksCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    database: String,
    lock: Option<LockHolder>,
}

impl LocksCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let lock = place.target.open_read_only()?.lock_holder(place.tables.ledger())?;
        let document = Document { database: place.target.to_string(), lock };
        output::print(self.output.json, &document, || match &document.lock {
            Some(lock) => format!("{}: held by {}\n", document.database, lock.owner),
            None => format!("{}: not held\n", document.database),
        })?;
        Ok(exit::OK)
    }
}
