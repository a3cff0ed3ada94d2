//! `haul db resolve`: says how a section without a transaction stands that failed or did not end.
//!
//! The JSON document has `database`, `name` and `settled`: `done`, `not_begun` or `from_statement`.

use clap::Args;
use serde::Serialize;

use super::arguments::{CourseArgs, MigrationArgs, scope, version};
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::runner::Resolution;
use crate::migration::exit;

/// `haul db resolve`
#[derive(Args)]
pub struct ResolveCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The migration; without one of the options below all of it counts as done
    #[arg(long, value_name = "VERSION", value_parser = version)]
    version: Version,
    /// Nothing of it took effect: the next run begins it anew
    #[arg(long, conflicts_with = "from_statement")]
    not_begun: bool,
    /// The next run goes on with this statement, counted from 1
    #[arg(long, value_name = "N")]
    from_statement: Option<u64>,
    #[command(flatten)]
    course: CourseArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    database: String,
    name: String,
    settled: &'static str,
}

impl ResolveCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let database = work.place.target.to_string();
        let (how, settled) = match (self.from_statement, self.not_begun) {
            (Some(number), _) => (Resolution::FromStatement(number), "from_statement"),
            (None, true) => (Resolution::NotBegun, "not_begun"),
            (None, false) => (Resolution::Done, "done"),
        };
        let watch = Watch::start(self.output.progress)?;
        let mut runner = work.runner(&self.course)?;
        let name = watch.run(scope(), |control| runner.resolve(&self.version, how, control))?;
        let document = Document { database, name, settled };
        output::print(self.output.json, &document, || {
            format!("{}: {} is settled\n", document.database, document.name)
        })?;
        Ok(exit::OK)
    }
}
