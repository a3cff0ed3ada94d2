//! `haul db drift`: compares the schema with the one after the last run. Changes nothing.
//!
//! The JSON document has `database`, `environment`, `kept_at`, `kept_digest`, `digest`, `stale` (true if a run that did not end has run
//! migrations since), `changes` (a list of [`Change`]), `left_out` (a list of texts) and `exit_code`. On tenants it has `known`,
//! `unknown` and `tenants`, each with `tenant`, `database`, what is found in one database, `error` and `next`.

use clap::Args;
use serde::Serialize;

use super::arguments::{DatabaseArgs, Place, PlaceName};
use super::tenants::{Rows, TenantArgs, rows};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::db::database::ReadDatabase;
use crate::db::schema::{Change, changes, left_out};
use crate::db::state::{KeptSchema, StateReader, Tables};
use crate::db::tenants::Tenant;
use crate::db::{Schema, Target};
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
    tenants: TenantArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct DriftEnd {
    #[serde(flatten)]
    database: PlaceName,
    #[serde(flatten)]
    drift: Drift,
}

#[derive(Serialize)]
struct Drift {
    kept_at: String,
    kept_digest: String,
    digest: String,
    stale: bool,
    changes: Vec<Change>,
    left_out: Vec<String>,
}

impl DriftCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        if self.tenants.are_given() {
            return self.run_on_tenants();
        }
        let place = self.database.place()?;
        let drift = self.find(&place.target, &place.tables, &place)?;
        let end = DriftEnd { database: place.name(), drift };
        // The digest also differs if only the order of the objects does.
        let answer = Answer::new(&end).exit_if(!end.drift.changes.is_empty(), exit::BAD_DATA);
        answer.print(self.output, |table| render(table, &end))
    }

    fn run_on_tenants(&self) -> anyhow::Result<u8> {
        let find = |tenant: &Tenant, place: &Place| self.find(&tenant.target, &tenant.tables, place);
        let drifts = rows(&self.tenants, &self.database, self.tenants.share(), find)?;
        let differs = drifts.found().any(|(_, drift)| !drift.changes.is_empty());
        let answer = Answer::new(&drifts).exit_if(differs, exit::BAD_DATA);
        let answer = answer.exit_if(drifts.has_errors(), exit::REFUSED_RECORDS);
        let next = "`haul db drift` on one of these tenants shows the lines that differ".to_owned();
        let code = answer.next(differs.then_some(next)).print(self.output, |table| render_tenants(table, &drifts))?;
        drifts.say_errors();
        Ok(code)
    }

    /// Compares the schema of a database, or of a tenant in `place`, with the one that its last run has kept.
    fn find(&self, target: &Target, tables: &Tables, place: &Place) -> Result<Drift, Error> {
        let name = target.to_string();
        let mut database = target.open_read_only()?;
        let (kept, stale) = kept(&mut *database, tables, &name)?;
        let now = Schema::read(&mut *database, tables).map_err(|error| error.at(&name))?;
        // Nobody waits for this while the answer is read.
        drop(database);
        let patterns: Vec<_> = self.ignore.iter().chain(place.ignored()).cloned().collect();
        let (changes, left_out) = left_out(changes(&kept.schema.text, &now.text), &patterns);
        let (kept_at, kept_digest, digest) = (kept.taken_at, kept.schema.digest, now.digest);
        Ok(Drift { kept_at, kept_digest, digest, stale, changes, left_out })
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

fn render_tenants(table: &mut Table, drifts: &Rows<Drift>) {
    for (tenant, drift) in drifts.found() {
        for Change { object, kind, .. } in &drift.changes {
            table.item("differs", tenant, format_args!("{object} {kind}"));
        }
        drift.left_out.iter().for_each(|object| table.item("left out", tenant, object));
        if drift.stale {
            table.item("note", tenant, "the run after that one did not end: its migrations count as differences");
        }
    }
    let differ = drifts.found().filter(|(_, drift)| !drift.changes.is_empty()).count();
    table.line(drifts.sum(&format!("{differ} differ from the schema after their last run")));
}

fn render(table: &mut Table, DriftEnd { database, drift }: &DriftEnd) {
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
    table.line(format_args!("{database}: {what} after the last run, of {}", drift.kept_at));
}
