//! `haul db baseline`: records migrations as applied without running them.
//!
//! The JSON document has `database` and `declared` (a list of labels).

use clap::Args;

use super::arguments::{LimitArgs, MigrationArgs, scope, version};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::progress::Watch;
use crate::db::Version;

/// `haul db baseline`
#[derive(Args)]
pub struct BaselineCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    /// The highest version that the schema already has
    #[arg(value_name = "VERSION", value_parser = version)]
    version: Version,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl BaselineCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let work = self.migrations.work()?;
        let database = work.place.target.to_string();
        let watch = Watch::start(self.output)?;
        let mut runner = work.runner(&self.limits)?;
        let declared = watch.run(scope(), |control| runner.baseline(&self.version, control))?;
        let answer = Answer::new(&()).with("database", &*database).with("declared", declared.clone());
        answer.print(self.output, |table| {
            declared.iter().for_each(|name| table.item("recorded", name, ""));
            table.line(format_args!("{database}: {} recorded as applied, none was run", declared.len()));
        })
    }
}
