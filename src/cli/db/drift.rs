//! `haul db drift`: compares the schema with the one after the last run. Changes nothing.
//!
//! The JSON document has `database`, `environment`, `kept_at`, `kept_digest`, `digest`, `stale` (true if a run that did not end has run
//! migrations since), `changes` (a list of [`Change`]), `left_out` (a list of texts) and `exit_code`.

use clap::Args;
use serde::Serialize;

use super::arguments::{DatabaseArgs, PlaceName};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::db::Schema;
use crate::db::database::ReadDatabase;
use crate::db::schema::{Change, changes, left_out};
use crate::db::state::{KeptSchema, StateReader, Tables};
use crate::migration::{Error, exit};

/// `haul db drift`
#[derive(Args)]
pub struct DriftCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Leave out objects that this pattern names, as in 'table public.log_*'; may be given more than once
    #[arg(long, value_name = "PATTERN")]
    ignore: Vec<String>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Drift {
    #[serde(flatten)]
    database: PlaceName,
    kept_at: String,
    kept_digest: String,
    digest: String,
    stale: bool,
    changes: Vec<Change>,
    left_out: Vec<String>,
}

impl DriftCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let name = place.target.to_string();
        let mut database = place.target.open_read_only()?;
        let (kept, stale) = kept(&mut *database, &place.tables, &name)?;
        let now = Schema::read(&mut *database, &place.tables).map_err(|error| error.at(&name))?;
        // Nobody waits for this while the answer is read.
        drop(database);
        let patterns: Vec<_> = self.ignore.iter().chain(place.ignored()).cloned().collect();
        let (changes, left_out) = left_out(changes(&kept.schema.text, &now.text), &patterns);
        let (kept_at, kept_digest, digest) = (kept.taken_at, kept.schema.digest, now.digest);
        let drift = Drift { database: place.name(), kept_at, kept_digest, digest, stale, changes, left_out };
        // The digest also differs if only the order of the objects does.
        let answer = Answer::new(&drift).exit_if(!drift.changes.is_empty(), exit::BAD_DATA);
        answer.print(self.output, |table| render(table, &drift))
    }
}

/// Returns the schema that is kept, and whether migrations were run since.
fn kept(database: &mut dyn ReadDatabase, tables: &Tables, name: &str) -> Result<(KeptSchema, bool), Error> {
    let mut state = StateReader::new(database, tables);
    let mut read = || Ok((state.kept_schema()?, state.newest_log_id()?));
    match read().map_err(|error: crate::db::EngineError| error.at(name))? {
        (Some(kept), newest) => {
            let stale = kept.log_id != newest;
            Ok((kept, stale))
        }
        (None, _) => Err(Error::Usage {
            what: format!("{name}: no run has stored a schema yet"),
            next: "`haul db migrate` or `haul db baseline VERSION` stores the one that it leaves".into(),
        }),
    }
}

fn render(table: &mut Table, drift: &Drift) {
    for change in &drift.changes {
        table.line(format_args!("{} {}", change.kind, change.object));
        table.nested(|table| change.lines.iter().for_each(|line| table.line(line)));
    }
    drift.left_out.iter().for_each(|object| table.item("left out", object, ""));
    if drift.stale {
        table.line("the run after that one did not end: its migrations count as differences");
    }
    let what = match drift.changes.len() {
        0 => "the schema is the one".to_owned(),
        1 => "1 difference to the schema".to_owned(),
        count => format!("{count} differences to the schema"),
    };
    table.line(format_args!("{}: {what} after the last run, of {}", drift.database, drift.kept_at));
}
