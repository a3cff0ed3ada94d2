//! `haul db log`: every attempt, failed ones too, oldest first.
//!
//! The JSON document has `database`, `environment` and `log` (a list of [`LogRow`]).

use clap::Args;
use serde::Serialize;

use super::arguments::{DatabaseArgs, PlaceName};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::db::state::{LogRow, Outcome, StateReader};
use crate::migration::unescaped;

/// `haul db log`
#[derive(Args)]
pub struct LogCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Number of rows to show, the newest ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: u32,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Log {
    #[serde(flatten)]
    database: PlaceName,
    log: Vec<LogRow>,
}

impl LogCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let log = StateReader::new(&mut *place.target.open_read_only()?, &place.tables).log(self.last);
        let log = Log { log: log.map_err(|error| error.at(&place.target.to_string()))?, database: place.name() };
        Answer::new(&log).print(self.output, |table| log.log.iter().for_each(|row| render(table, row)))
    }
}

fn render(table: &mut Table, row: &LogRow) {
    let at = row.finished_at.as_ref().unwrap_or(&row.started_at);
    let statement = row.statement.map_or(String::new(), |statement| format!("  statement {statement}"));
    let duration = row.duration_ms.map_or(String::new(), |duration_ms| format!("  {duration_ms} ms"));
    let (outcome, direction, name) = (&row.outcome, &row.direction, &row.name);
    table.line(format_args!("{at}  {outcome:<10}{direction:<5}{name}{statement}{duration}  by {}", row.owner));
    table.nested(|table| {
        if row.known_outcome() == Some(Outcome::BackedUp) {
            table.line(format_args!("BLAKE3 {}", row.checksum.as_deref().unwrap_or_default()));
        }
        match (row.known_outcome(), &row.error) {
            (Some(Outcome::Noticed), Some(notices)) => notices.lines().for_each(|notice| table.line(unescaped(notice))),
            (Some(Outcome::BackedUp), _) => {}
            (_, error) => error.iter().for_each(|error| table.line(error)),
        }
    });
}
