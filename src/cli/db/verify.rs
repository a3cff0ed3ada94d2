//! `haul db verify`: holds each applied migration against its file.
//!
//! The JSON document has `database`, `migrations` (each with `version`, `name` and `state`: `equal`, `changed` or
//! `missing`), `differences` and `exit_code`.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::arguments::MigrationArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::db::Version;
use crate::db::runner::Plan;
use crate::migration::exit;

/// `haul db verify`
#[derive(Args)]
pub struct VerifyCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    database: String,
    migrations: Vec<Verified>,
    differences: usize,
    exit_code: u8,
}

#[derive(Serialize)]
struct Verified {
    version: Version,
    name: String,
    state: &'static str,
    applied_checksum: String,
    checksum: Option<String>,
}

impl VerifyCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let watch = Watch::start(self.output.progress)?;
        let work = self.migrations.work()?;
        let plan = work.plan()?;
        let migrations = verified(&plan);
        let differences = plan.changed.len() + plan.missing.len();
        let exit_code = if differences == 0 { exit::OK } else { exit::BAD_DATA };
        let document = Document { database: work.place.target.to_string(), migrations, differences, exit_code };
        output::print(self.output.json, &document, || text(&document))?;
        if differences > 0 {
            watch.say(
                "next: put the files back as they were; `haul db repair` takes over the checksums of changed ones",
            );
        }
        Ok(exit_code)
    }
}

fn verified(plan: &Plan) -> Vec<Verified> {
    let of = |row: &crate::db::state::AppliedRow| {
        let changed = plan.changed.iter().find(|changed| changed.version == row.version);
        let is_missing = plan.missing.iter().any(|missing| missing.version == row.version);
        let (state, checksum) = match (changed, is_missing) {
            (Some(changed), _) => ("changed", Some(changed.checksum.clone())),
            (None, true) => ("missing", None),
            (None, false) => ("equal", Some(row.checksum.clone())),
        };
        let (version, name) = (row.version.clone(), row.name.clone());
        Verified { version, name, state, applied_checksum: row.checksum.clone(), checksum }
    };
    plan.applied.iter().map(of).collect()
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    for row in &document.migrations {
        writeln!(text, "{:<9}{}", row.state, row.name).expect("a string takes any text");
    }
    let (checked, differences) = (document.migrations.len(), document.differences);
    writeln!(text, "{}: {checked} checked, {differences} differ", document.database).expect("a string takes any text");
    text
}
