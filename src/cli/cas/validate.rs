//! `haul cas validate`: holds a target and its map against the source.
//!
//! The JSON document is a [`ValidateEnd`] and, beside its fields, `exit_code`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::arguments::{course, scope};
use super::doctor::push_findings;
use crate::cas::validate::{ValidateEnd, validate};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::migration::exit;
use crate::migration::units::count_text;

/// `haul cas validate`
#[derive(Args)]
pub struct ValidateCommand {
    /// Root of the old store
    #[arg(long, value_name = "DIR")]
    source: PathBuf,
    /// Root of the v2 store
    #[arg(long, value_name = "DIR")]
    target: PathBuf,
    /// The map of the migration
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    end: &'a ValidateEnd,
    exit_code: u8,
}

impl ValidateCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let options = course(&self.resources);
        let watch = Watch::start(self.output.progress)?;
        watch.say(&format!("validating {} against {}", self.target.display(), self.source.display()));
        let end =
            watch.run(scope(&options), |control| validate(&self.source, &self.target, &self.map, &options, control))?;
        let exit_code = match (end.stopped, end.errors) {
            (true, _) => exit::TEMPORARY,
            (_, 0) => exit::OK,
            _ => exit::BAD_DATA,
        };
        let document = Document { end: &end, exit_code };
        output::print(self.output.json, &document, || text(&end))?;
        if end.stopped {
            watch.say_stopped();
        }
        Ok(exit_code)
    }
}

fn text(end: &ValidateEnd) -> String {
    let mut text = String::new();
    let verdict = match (end.stopped, end.errors) {
        (true, _) => "stopped; the numbers cover a part".to_owned(),
        (_, 0) => "every readable object is in the target, byte for byte, and the map says so".to_owned(),
        (_, errors) => format!("{} errors", count_text(errors)),
    };
    writeln!(text, "{verdict}").expect("a string takes any text");
    for (name, count) in [
        ("objects of the source", end.objects),
        ("identified", end.source.migrated),
        ("equal in the target", end.equal),
        ("rows of the map", end.map_rows),
        ("errors", end.errors),
    ] {
        writeln!(text, "  {name:<28}{:>16}", count_text(count)).expect("a string takes any text");
    }
    push_findings(&mut text, &end.findings);
    text
}
