//! `haul db log`: every attempt, failed ones too, oldest first.
//!
//! The JSON document has `database` and `log`, a list of [`LogRow`].

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::arguments::DatabaseArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::db::state::{LogRow, Outcome, StateReader};
use crate::migration::exit;

/// `haul db log`
#[derive(Args)]
pub struct LogCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    /// How many rows, the newest ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: u32,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    database: String,
    log: Vec<LogRow>,
}

impl LogCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let mut database = place.target.open_read_only()?;
        let log = StateReader::new(&mut *database, &place.tables).log(self.last);
        let database = place.target.to_string();
        let document = Document { log: log.map_err(|error| error.at(&database))?, database };
        output::print(self.output.json, &document, || text(&document.log))?;
        Ok(exit::OK)
    }
}

fn text(log: &[LogRow]) -> String {
    let mut text = String::new();
    log.iter().try_for_each(|row| render(&mut text, row)).expect("a string takes any text");
    text
}

fn render(text: &mut String, row: &LogRow) -> std::fmt::Result {
    let at = row.finished_at.as_ref().unwrap_or(&row.started_at);
    write!(text, "{at}  {:<10}{:<5}{}", row.outcome, row.direction, row.name)?;
    if let Some(statement) = row.statement {
        write!(text, "  statement {statement}")?;
    }
    if let Some(duration_ms) = row.duration_ms {
        write!(text, "  {duration_ms} ms")?;
    }
    writeln!(text, "  by {}", row.owner)?;
    if row.known_outcome() == Some(Outcome::BackedUp) {
        writeln!(text, "    BLAKE3 {}", row.checksum.as_deref().unwrap_or_default())?;
    }
    row.error.iter().try_for_each(|error| writeln!(text, "    {error}"))
}
