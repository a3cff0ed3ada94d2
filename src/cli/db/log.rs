//! `haul db log`: every attempt, failed ones too, oldest first.
//!
//! The JSON document has `database`, `environment` and `log` (a list of [`LogRow`]). On tenants it has `known`, `unknown` and
//! `tenants`, each with `tenant`, `database`, `log`, `error` and `next`.

use clap::Args;
use serde::Serialize;

use super::arguments::{DatabaseArgs, Place, PlaceName};
use super::tenants::{TenantArgs, rows};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::db::Target;
use crate::db::state::{LogRow, Outcome, StateReader, Tables};
use crate::db::tenants::Tenant;
use crate::migration::{Error, exit, unescaped};

/// `haul db log`
#[derive(Args)]
pub struct LogCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Number of rows to show, the newest ones
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: u32,
    #[command(flatten)]
    tenants: TenantArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct LogEnd {
    #[serde(flatten)]
    database: PlaceName,
    #[serde(flatten)]
    log: Log,
}

#[derive(Serialize)]
struct Log {
    log: Vec<LogRow>,
}

impl LogCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.tenants.are_given() {
            return self.run_on_tenants();
        }
        let place = self.database.place()?;
        let log = self.read(&place.target, &place.tables)?;
        let end = LogEnd { database: place.name(), log };
        Answer::new(&end).print(self.output, |table| end.log.log.iter().for_each(|row| render(table, row)))
    }

    fn run_on_tenants(&self) -> anyhow::Result<u8> {
        let read = |tenant: &Tenant, _: &Place| self.read(&tenant.target, &tenant.tables);
        let logs = rows(&self.tenants, &self.database, self.tenants.share(), read)?;
        let answer = Answer::new(&logs).exit_if(logs.has_errors(), exit::REFUSED_RECORDS);
        let code = answer.print(self.output, |table| {
            for (tenant, log) in logs.found() {
                table.line(tenant);
                table.nested(|table| log.log.iter().for_each(|row| render(table, row)));
            }
        })?;
        logs.say_errors();
        Ok(code)
    }

    fn read(&self, target: &Target, tables: &Tables) -> Result<Log, Error> {
        let mut database = target.open_read_only()?;
        let log = StateReader::new(&mut *database, tables).log(self.last);
        Ok(Log { log: log.map_err(|error| error.at(&target.to_string()))? })
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
