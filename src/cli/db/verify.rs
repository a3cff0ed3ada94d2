//! `haul db verify`: compares each applied migration with its file.
//!
//! The JSON document has `database`, `environment`, `migrations` (each with `version`, `name` and `state`: `equal`,
//! `changed`, `replaced`, `missing`, `ignored` or `squashed`), `repeatables` (a list of [`FileState`]), `differences`,
//! `unfinished_builds` (each with `name` and `remedy`) and `exit_code`. What a migration has left half built is not what
//! its file says, so it ends with 65 too.

use clap::Args;
use serde::Serialize;

use super::arguments::{FileArgs, MigrationArgs, PlaceName};
use super::tenants::{self, TenantArgs, TenantWork};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::db::runner::{FileState, Plan};
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
    tenants: TenantArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct VerifyEnd {
    #[serde(flatten)]
    database: PlaceName,
    migrations: Vec<Verified>,
    repeatables: Vec<FileState>,
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
        if self.tenants.are_given() {
            let work = TenantWork::with_files(&self.tenants, &self.migrations, &self.files)?;
            let Some(work) = work else { return tenants::nothing_to_do(self.output, "applied") };
            return tenants::verify(&work, self.output);
        }
        let work = self.files.apply(self.migrations.work()?);
        let plan = work.plan()?;
        let differences = plan.changed.len() + plan.replaced.len() + plan.missing.len();
        let remedy = plan.unfinished_builds.first().map(|build| format!("`{}`, then build it again", build.remedy));
        let next = plan.require_unchanged().err().and_then(|error| error.next_step()).or(remedy);
        let end = VerifyEnd {
            database: work.place.name(),
            migrations: verified(&plan),
            repeatables: plan.files,
            differences,
            unfinished_builds: plan.unfinished_builds,
        };
        let half_squashed = plan.half_squashed;
        let answer = Answer::new(&end).exit_if(differences + end.unfinished_builds.len() > 0, exit::BAD_DATA);
        answer.next(next).print(self.output, |table| {
            end.migrations.iter().for_each(|row| table.item(row.state, &row.name, ""));
            half_squashed.iter().for_each(|half| table.item("note", half.what(), ""));
            for file in &end.repeatables {
                let how = if file.is_pending() { "to be run" } else { "" };
                table.item(if file.state == "applied" { "equal" } else { file.state }, &file.name, how);
            }
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
