//! `haul db drift`: the schema now against the schema after the last run. Changes nothing.
//!
//! The JSON document has `database`, `kept_at`, `kept_digest`, `digest`, `stale` (true if migrations were run since then by a
//! run that did not end), `changes` (a list of [`Change`]) and `exit_code`.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::arguments::DatabaseArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::db::Schema;
use crate::db::database::ReadDatabase;
use crate::db::schema::{Change, changes};
use crate::db::state::{KeptSchema, StateReader, Tables};
use crate::migration::{Error, exit};

/// `haul db drift`
#[derive(Args)]
pub struct DriftCommand {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    database: String,
    kept_at: String,
    kept_digest: String,
    digest: String,
    stale: bool,
    changes: Vec<Change>,
    exit_code: u8,
}

impl DriftCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let place = self.database.place()?;
        let name = place.target.to_string();
        let mut database = place.target.open_read_only()?;
        let (kept, stale) = kept(&mut *database, &place.tables, &name)?;
        let now = Schema::read(&mut *database, &place.tables).map_err(|error| error.at(&name))?;
        let changes = changes(&kept.schema.text, &now.text);
        let exit_code = if kept.schema.digest == now.digest { exit::OK } else { exit::BAD_DATA };
        let (kept_at, kept_digest, digest) = (kept.taken_at, kept.schema.digest, now.digest);
        let document = Document { database: name, kept_at, kept_digest, digest, stale, changes, exit_code };
        output::print(self.output.json, &document, || text(&document))?;
        Ok(exit_code)
    }
}

/// The schema that is kept, and whether migrations were run since.
fn kept(database: &mut dyn ReadDatabase, tables: &Tables, name: &str) -> Result<(KeptSchema, bool), Error> {
    let mut state = StateReader::new(database, tables);
    let mut read = || Ok((state.kept_schema()?, state.newest_log_id()?));
    match read().map_err(|error: crate::db::EngineError| error.at(name))? {
        (Some(kept), newest) => {
            let stale = kept.log_id != newest;
            Ok((kept, stale))
        }
        (None, _) => Err(Error::Usage {
            what: format!("{name}: no run has kept a schema yet"),
            next: "`haul db migrate` or `haul db baseline VERSION` keeps the one that is there afterwards".into(),
        }),
    }
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    render(&mut text, document).expect("a string takes any text");
    text
}

fn render(text: &mut String, document: &Document) -> std::fmt::Result {
    for change in &document.changes {
        writeln!(text, "{} {}", change.kind, change.object)?;
        change.lines.iter().try_for_each(|line| writeln!(text, "  {line}"))?;
    }
    if document.stale {
        writeln!(text, "the run after that one did not end: its migrations count as differences")?;
    }
    let (database, at) = (&document.database, &document.kept_at);
    match document.changes.len() {
        0 => writeln!(text, "{database}: the schema is the one after the last run, of {at}"),
        1 => writeln!(text, "{database}: 1 difference to the schema after the last run, of {at}"),
        count => writeln!(text, "{database}: {count} differences to the schema after the last run, of {at}"),
    }
}
