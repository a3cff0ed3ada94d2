//! `haul db migrate --estimate`: how long what is pending may take. Reads only.
//!
//! The JSON document has `database`, `environment`, `migrations` (a list of [`Estimate`]), `duration_ms` (the sum of what is known),
//! `unknown` (how many are not) and `exit_code`.

use serde::Serialize;

use super::arguments::{PlaceName, Work};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::db::Target;
use crate::db::estimate::{Estimate, estimate};
use crate::db::runner::{MigrateRequest, Plan};
use crate::migration::units::count_text;
use crate::migration::{Error, exit};

#[derive(Serialize)]
struct EstimateEnd {
    #[serde(flatten)]
    database: PlaceName,
    migrations: Vec<Estimate>,
    duration_ms: u64,
    unknown: usize,
}

/// Prints how long the pending migrations of a request may take, by the ledgers of the databases `history`.
pub fn print_estimate(
    work: &Work,
    request: &MigrateRequest,
    plan: &Plan,
    history: &[String],
    output: OutputArgs,
) -> anyhow::Result<u8> {
    let targets = history.iter().map(|url| Target::parse(url)).collect::<Result<Vec<_>, Error>>()?;
    let dialect = work.migrations.dialect();
    if let Some(other) = targets.iter().find(|target| target.dialect() != dialect) {
        return Err(Error::Usage {
            what: format!("{other} is of another engine than {}", work.place.target),
            next: "name databases of the same engine with --history".into(),
        }
        .into());
    }
    let wanted = plan.pending.iter().filter(|pending| request.takes(&pending.version));
    let wanted: Vec<_> = wanted.filter_map(|pending| work.migrations.get(&pending.version)).collect();
    let elsewhere = targets.iter().map(Target::open_read_only).collect::<Result<Vec<_>, Error>>()?;
    let mut here = work.place.target.open_read_only()?;
    let migrations = estimate(&wanted, &mut *here, elsewhere, &work.place.tables)?;
    drop(here);
    let known = migrations.iter().filter_map(|estimate| estimate.duration_ms);
    let duration_ms = known.fold(0, u64::saturating_add);
    let unknown = migrations.iter().filter(|estimate| estimate.duration_ms.is_none()).count();
    let database = work.place.name();
    let end = EstimateEnd { database, migrations, duration_ms, unknown };
    Answer::new(&end).exit(exit::OK).print(output, |table| render(table, &end))
}

fn render(table: &mut Table, end: &EstimateEnd) {
    let count = |rows: Option<u64>| rows.map_or("an unknown number of".to_owned(), count_text);
    for found in &end.migrations {
        let duration = found.duration_ms.map_or("unknown".to_owned(), |ms| format!("about {} ms", count_text(ms)));
        let source = match &found.measured {
            Some(measured) => format!("{} ms on {}", count_text(measured.duration_ms), measured.database),
            None => "none of the databases asked has applied it".to_owned(),
        };
        table.item("pending", &found.name, format_args!("{duration}, {source}"));
        for tables in &found.tables {
            let there = found.measured.as_ref().map(|_| format!(", {} there", count(tables.rows_there)));
            let (rows, there) = (count(tables.rows), there.unwrap_or_default());
            table.nested(|table| table.line(format_args!("{}: about {rows} rows{there}", tables.table)));
        }
    }
    let (sum, unknown) = (count_text(end.duration_ms), end.unknown);
    table.line(format_args!("{}: about {sum} ms, {unknown} unknown; nothing was changed", end.database));
}
