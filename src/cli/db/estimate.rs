//! `haul db migrate --estimate`: how long what is pending may take. Reads only.
//!
//! The JSON document has `database`, `migrations` (a list of [`Estimate`]), `duration_ms` (the sum of what is known),
//! `unknown` (how many are not) and `exit_code`.

use std::fmt::Write;

use serde::Serialize;

use super::arguments::Work;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::db::Target;
use crate::db::estimate::{Estimate, estimate};
use crate::db::runner::{MigrateRequest, Plan};
use crate::migration::units::count_text;
use crate::migration::{Error, exit};

#[derive(Serialize)]
struct Document {
    database: String,
    migrations: Vec<Estimate>,
    duration_ms: u64,
    unknown: usize,
    exit_code: u8,
}

/// Prints how long the pending migrations of a request may take, by the ledgers of the databases `history`.
pub fn print_estimate(
    work: &Work,
    request: &MigrateRequest,
    plan: &Plan,
    history: &[String],
    output: &OutputArgs,
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
    let known = migrations.iter().filter_map(|estimate| estimate.duration_ms);
    let duration_ms = known.fold(0, u64::saturating_add);
    let unknown = migrations.iter().filter(|estimate| estimate.duration_ms.is_none()).count();
    let database = work.place.target.to_string();
    let document = Document { database, migrations, duration_ms, unknown, exit_code: exit::OK };
    output::print(output.json, &document, || output::text_of(|text| render(text, &document)))?;
    Ok(exit::OK)
}

fn render(text: &mut String, document: &Document) -> std::fmt::Result {
    for found in &document.migrations {
        let duration = found.duration_ms.map_or("unknown".to_owned(), |ms| format!("about {} ms", count_text(ms)));
        write!(text, "{:<50}{duration:>20}", found.name)?;
        match &found.measured {
            Some(measured) => {
                writeln!(text, "  {} ms on {}", count_text(measured.duration_ms), measured.database)?;
            }
            None => writeln!(text, "  none of the databases asked has applied it")?,
        }
        let count = |rows: Option<u64>| rows.map_or("an unknown number of".to_owned(), count_text);
        for table in &found.tables {
            write!(text, "    {}: about {} rows", table.table, count(table.rows))?;
            match &found.measured {
                Some(_) => writeln!(text, ", {} there", count(table.rows_there))?,
                None => writeln!(text)?,
            }
        }
    }
    let (sum, unknown) = (count_text(document.duration_ms), document.unknown);
    writeln!(text, "{}: about {sum} ms, {unknown} unknown; nothing was changed", document.database)
}
