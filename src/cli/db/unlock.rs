//! `haul db unlock`: ends the run that holds the lock of a database.
//!
//! The JSON document has `database`, `environment` and `ended` (a [`LockHolder`], or null if nobody held the lock).

use clap::Args;
use serde::Serialize;

use super::arguments::{DatabaseArgs, PlaceName};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::db::database::LockHolder;
use crate::db::runner::unlock;
use crate::migration::{Error, owner_text};

/// `haul db unlock`
#[derive(Args)]
pub struct UnlockCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    /// End the run that holds it: its process for SQLite, its session for PostgreSQL
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct UnlockEnd {
    #[serde(flatten)]
    database: PlaceName,
    ended: Option<LockHolder>,
}

impl UnlockCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let holder = place.target.open_read_only()?.lock_holder(&place.tables.lock_name())?;
        match &holder {
            Some(holder) if !self.force => return Err(refused(holder).into()),
            Some(holder) => unlock(&mut *place.target.open()?, &place.tables, &owner_text(), holder)?,
            None => {}
        }
        let end = UnlockEnd { database: place.name(), ended: holder };
        Answer::new(&end).print(self.output, |table| match &end.ended {
            Some(holder) => table.line(format_args!("{}: ended {}", end.database, holder.owner)),
            None => table.line(format_args!("{}: not held; nothing to do", end.database)),
        })
    }
}

/// Explains that a lock is released only by the end of its run.
fn refused(holder: &LockHolder) -> Error {
    Error::Usage {
        what: format!("the lock is held by {}", holder.owner),
        next: "wait for that run to end; in an emergency add --force, which ends it".into(),
    }
}
