//! `haul db baseline`: records migrations as applied without running them.
//!
//! The JSON document has `database`, `environment`, `declared` (a list of labels) and `ledger` (the table of another runner, or null).

use clap::{ArgGroup, Args};

use super::arguments::{FileArgs, LimitArgs, MigrationArgs, Work, scope, version};
use crate::cli::arguments::{ConsentArgs, OutputArgs};
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::foreign_ledgers::Others;
use crate::db::runner::Takeover;
use crate::db::script::tables_made;
use crate::migration::Error;

/// `haul db baseline`
#[derive(Args)]
#[command(group(ArgGroup::new("what").required(true).args(["version", "from_ledger"])))]
pub struct BaselineCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The highest version that the schema already has
    #[arg(value_name = "VERSION", value_parser = version)]
    version: Option<Version>,
    /// Take over what another runner has recorded in its table, after comparing it with the files
    #[arg(long, value_name = "TABLE", num_args = 0..=1, default_missing_value = "")]
    from_ledger: Option<String>,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl BaselineCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.files.apply(self.migrations.work()?);
        let database = work.place.name();
        let takeover = match (&self.from_ledger, &self.version) {
            (Some(name), _) => Some(takeover(&work, Some(name.as_str()).filter(|name| !name.is_empty()))?),
            (None, Some(version)) => {
                self.note_what_is_missing(&work, version)?;
                None
            }
            (None, None) => None,
        };
        if let Some(takeover) = &takeover {
            self.confirm_takeover(&work, takeover)?;
        }
        let watch = Watch::start(self.output)?;
        let mut runner = work.runner(&self.limits)?;
        let declared = watch.run(scope(), |control| match (&takeover, &self.version) {
            (Some(takeover), _) => runner.take_over(takeover, control),
            (None, Some(version)) => runner.baseline(version, control),
            (None, None) => Ok(Vec::new()),
        })?;
        let ledger = takeover.map(|takeover| takeover.table);
        let answer = database.in_answer(Answer::new(&())).with("declared", declared.clone()).with("ledger", ledger);
        answer.print(self.output, |table| {
            declared.iter().for_each(|name| table.item("recorded", name, ""));
            table.line(format_args!("{database}: {} recorded as applied, none was run", declared.len()));
        })
    }

    /// Says if the database has no tables at all, or not those that the files make: then it is probably not the one that was
    /// meant, or the version is not.
    fn note_what_is_missing(&self, work: &Work, version: &Version) -> Result<(), Error> {
        const COUNTS: &str = "what is recorded now counts as applied and never runs";
        let (place, name) = (&work.place, work.place.target.to_string());
        let mut database = place.target.open_read_only()?;
        if Others::find(&mut *database, &place.tables).map_err(|error| error.at(&name))?.is_empty() {
            self.output.say(format_args!("note: {name} has no tables; {COUNTS}, up to {version}"));
            return Ok(());
        }
        let chain = work.migrations.iter().filter(|migration| migration.version <= *version);
        let statements = chain.flat_map(|migration| migration.up.statements()).map(|(_, statement)| statement);
        let mut missing = Vec::new();
        for table in tables_made(work.migrations.dialect(), statements) {
            if !database.has_table(&table).map_err(|error| error.at(&name))? {
                missing.push(table);
            }
        }
        if let Some(first) = missing.first() {
            let count = missing.len();
            self.output.say(format_args!(
                "note: {name} has no table {first}, which files up to {version} make ({count} in all); {COUNTS}"
            ));
        }
        Ok(())
    }

    fn confirm_takeover(&self, work: &Work, takeover: &Takeover) -> Result<(), Error> {
        let Takeover { table, runner, labels, pending, .. } = takeover;
        let pending = if pending.is_empty() { "nothing".to_owned() } else { pending.join(", ") };
        let what = format!(
            "{}: {} versions that {runner} has recorded in {table} count as applied, and nothing runs; pending afterwards: {pending}",
            work.place.name(),
            labels.len()
        );
        if labels.is_empty() { Ok(()) } else { self.consent.confirm_all(what, labels) }
    }
}

fn takeover(work: &Work, name: Option<&str>) -> Result<Takeover, Error> {
    let plan = work.plan_to_act()?;
    let mut database = work.place.target.open_read_only()?;
    let others = Others::find(&mut *database, &work.place.tables);
    let others = others.map_err(|error| error.at(&work.place.target.to_string()))?;
    let ledger = others.named(name)?;
    Takeover::make(ledger, &ledger.records(&mut *database)?, &plan, &work.migrations)
}
