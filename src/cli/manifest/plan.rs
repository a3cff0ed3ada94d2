//! `haul manifest plan`: what a migration would read and need.
//!
//! The JSON document is a [`VersionSurvey`] and, beside its fields, `root` and `findings` (the first of them).

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::arguments::{ResultArgs, RootArgs, scope};
use super::text::{FileFinding, documents, write_findings};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::source_root;
use crate::manifest::version_survey::{VersionSurvey, survey_versions};
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};

/// `haul manifest plan`
#[derive(Args)]
pub struct PlanCommand {
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    result: ResultArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    root: String,
    #[serde(flatten)]
    survey: &'a VersionSurvey,
    findings: Vec<FileFinding<'a>>,
}

impl PlanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = &self.root.root;
        let options = self.result.options(root, &self.resources)?;
        let tree = source_root(root)?;
        let watch = Watch::start(self.output.progress)?;
        let survey = watch.run(scope(&self.resources), |control| survey_versions(tree, &options, control))?;
        if survey.stopped {
            watch.say_stopped();
            return Ok(exit::TEMPORARY);
        }
        let findings = documents(&survey.findings);
        let document = Document { root: root.display().to_string(), survey: &survey, findings };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, document: &Document<'_>) -> std::fmt::Result {
    let survey = document.survey;
    writeln!(text, "{}: to {}", document.root, survey.target_version)?;
    writeln!(text, "{:<28}{:>18}", "manifests", count_text(survey.manifests))?;
    for (status, &count) in &survey.by_status {
        writeln!(text, "  {:<26}{:>18}", status.replace('_', " "), count_text(count))?;
    }
    writeln!(text, "by version")?;
    for (version, &count) in &survey.by_version {
        writeln!(text, "  {version:<26}{:>18}", count_text(count))?;
    }
    let skipped = survey.passed_over.each().into_iter().filter(|(_, count)| *count > 0);
    for (name, count) in skipped {
        writeln!(text, "{name:<28}{:>18}", count_text(count))?;
    }
    writeln!(text, "{:<28}{:>18}", "bytes", bytes_text(survey.source_bytes))?;
    writeln!(text, "{:<28}{:>18}", "to be migrated", bytes_text(survey.pending_bytes))?;
    writeln!(text, "{:<28}{:>18}", "space needed", bytes_text(survey.space_needed_bytes))?;
    writeln!(text, "{:<28}{:>18}", "space available", bytes_text(survey.space_available_bytes))?;
    write_findings(text, &survey.findings)
}
