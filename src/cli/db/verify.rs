//! `haul db verify`: compares each applied migration with its file.
//!
//! The JSON document has `database`, `environment`, `migrations` (each with `version`, `name` and `state`: `equal`, `changed`,
//! `replaced`, `missing` or `ignored`), `differences`, `unfinished_builds` (each with `name` and `remedy`) and `exit_code`.

use clap::Args;
use serde::Serialize;

use super::arguments::{FileArgs, MigrationArgs, PlaceName};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::db::runner::Plan;
use crate::db::state::AppliedRow;
use crate::db::{UnfinishedBuild, Version};
use crate::migration::exit;

/// `haul db verify`
#[derive(Args)]
pub struct VerifyCommand {
    #[command(flatten)]
    migrations: MigrationArgs,
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct VerifyEnd {
    #[serde(flatten)]
    database: PlaceName,
    migrations: Vec<Verified>,
    differences: usize,
    unfinished_builds: Vec<UnfinishedBuild>,
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
        let work = self.files.apply(self.migrations.work()?);
        let plan = work.plan()?;
        let differences = plan.changed.len() + plan.replaced.len() + plan.missing.len();
        let next = plan.require_unchanged().err().and_then(|error| error.next_step());
        let end = VerifyEnd {
            database: work.place.name(),
            migrations: verified(&plan),
            differences,
            unfinished_builds: plan.unfinished_builds,
        };
        let answer = Answer::new(&end).exit_if(differences > 0, exit::BAD_DATA);
        answer.next(next).print(self.output, |table| {
            end.migrations.iter().for_each(|row| table.item(row.state, &row.name, ""));
            for build in &end.unfinished_builds {
                table.item("note", format_args!("{}; `{}`", build.what(), build.remedy), "");
            }
            let checked = end.migrations.len();
            table.line(format_args!("{}: {checked} checked, {differences} differ", end.database));
        })
    }
}

fn verified(plan: &Plan) -> Vec<Verified> {
    let of = |row: &AppliedRow| {
        let mut differing = plan.changed.iter().chain(&plan.replaced);
        let (state, checksum) = match (plan.state_of(row), differing.find(|changed| changed.version == row.version)) {
            ("applied", _) => ("equal", Some(row.checksum.clone())),
            (state, changed) => (state, changed.map(|changed| changed.checksum.clone())),
        };
        let (version, name) = (row.version.clone(), row.name.clone());
        Verified { version, name, state, applied_checksum: row.checksum.clone(), checksum }
    };
    plan.applied.iter().map(of).collect()
}
