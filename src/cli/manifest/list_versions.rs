//! `haul manifest migrate --list-versions`: how many manifests there are of each version.
//!
//! The JSON document is a [`VersionSurvey`] and `root`.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::compat;
use super::text::write_findings;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::source_root;
use crate::manifest::run_options::MigrateOptions;
use crate::manifest::version_survey::{VersionSurvey, survey_versions};
use crate::migration::exit;
use crate::migration::units::count_text;
use crate::observe::Scope;

#[derive(Serialize)]
struct Document<'a> {
    root: String,
    #[serde(flatten)]
    survey: &'a VersionSurvey,
}

/// Counts and prints.
pub fn run(
    watch: &Watch,
    root: &Path,
    options: &MigrateOptions,
    scope: Scope,
    (compat, json): (bool, bool),
) -> anyhow::Result<u8> {
    let tree = source_root(root)?;
    let survey = watch.run(scope, |control| survey_versions(tree, options, control))?;
    if survey.stopped {
        watch.say_stopped();
        return Ok(exit::TEMPORARY);
    }
    let document = Document { root: root.display().to_string(), survey: &survey };
    output::print(json, &document, || if compat { compat::versions_text(&survey) } else { text(&survey) })?;
    Ok(exit::OK)
}

fn text(survey: &VersionSurvey) -> String {
    let mut text = String::new();
    let mut render = || -> std::fmt::Result {
        writeln!(text, "{:<28}{:>18}", "manifests", count_text(survey.manifests))?;
        for (version, &count) in &survey.by_version {
            let share = count as f64 * 100.0 / survey.manifests.max(1) as f64;
            writeln!(text, "  {version:<26}{:>18}  {share:>5.1} %", count_text(count))?;
        }
        writeln!(text, "{:<28}{:>18}", "latest version", survey.latest_version)?;
        write_findings(&mut text, &survey.findings)
    };
    render().expect("a string takes any text");
    text
}
