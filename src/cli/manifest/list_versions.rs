//! `haul manifest migrate --list-versions`: how many manifests there are of each version.
//!
//! The JSON document is a [`VersionSurvey`] with `root`.

use std::path::Path;

use super::compat::write_versions;
use super::text::write_findings;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::{Answer, say_stopped};
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::source_root;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::version_survey::{VersionSurvey, survey_versions};
use crate::migration::units::count_text;
use crate::observe::Scope;

/// Counts and prints. With `compat` the lines are those of the original.
pub fn run(
    watch: &Watch,
    root: &Path,
    options: &MigrateOptions,
    scope: Scope,
    (compat, output): (bool, OutputArgs),
) -> anyhow::Result<u8> {
    let tree = source_root(root)?;
    let survey = watch.run(scope, |control| survey_versions(tree, options, control))?;
    if survey.stopped {
        return Ok(say_stopped());
    }
    let render = if compat { write_versions } else { render };
    Answer::new(&survey).path("root", root).print(output, |table| render(table, &survey))
}

fn render(table: &mut Table, survey: &VersionSurvey) {
    table.count("manifests", survey.manifests);
    table.nested(|table| {
        for (version, &count) in &survey.by_version {
            let share = count as f64 * 100.0 / survey.manifests.max(1) as f64;
            table.row(version, format_args!("{:>18}  {share:>5.1} %", count_text(count)));
        }
    });
    table.row("latest version", &survey.latest_version);
    write_findings(table, &survey.findings);
}
