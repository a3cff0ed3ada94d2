//! `haul cas validate`: compares a target and its map with the source.
//!
//! The JSON document is a [`ValidateEnd`] with `exit_code`.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{SourceTargetArgs, resource_options, scope};
use crate::cas::validate::{ValidateEnd, validate};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command::Answer;
use crate::cli::output::write_findings;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::migration::exit;
use crate::migration::units::count_text;

/// `haul cas validate`
#[derive(Args)]
pub struct ValidateCommand {
    #[command(flatten)]
    places: SourceTargetArgs,
    /// The map of the migration
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ValidateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let options = resource_options(&self.resources);
        let watch = Watch::start(self.output)?;
        let SourceTargetArgs { source, target } = &self.places;
        watch.say(format_args!("validating {} against {}", target.display(), source.display()));
        let end = watch.run(scope(&options), |control| validate(source, target, &self.map, &options, control))?;
        let answer = Answer::new(&end).stopped(end.stopped).exit_if(end.errors > 0, exit::BAD_DATA);
        answer.print(self.output, |table| render(table, &end))
    }
}

fn render(table: &mut Table, end: &ValidateEnd) {
    table.line(match (end.stopped, end.errors) {
        (true, _) => "stopped; the numbers cover a part".to_owned(),
        (_, 0) => "every readable object is in the target, byte for byte, and the map agrees".to_owned(),
        (_, errors) => format!("{} errors", count_text(errors)),
    });
    table.nested(|table| {
        table.count("objects of the source", end.objects);
        table.count("identified", end.source.migrated);
        table.count("equal in the target", end.equal);
        table.count("rows of the map", end.map_rows);
        table.count("errors", end.errors);
    });
    write_findings(table, &end.findings_count, &end.findings, |finding| finding.file.clone());
}
