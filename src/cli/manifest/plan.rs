//! `haul manifest plan`: what a migration would read and need.
//!
//! The JSON document is a [`VersionSurvey`] with `root` and `findings` (the first of them).

use std::path::Path;

use clap::Args;

use super::arguments::{ResultArgs, RootArgs, scope};
use super::text::{TreeEnd, write_findings, write_lacks};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command::{Answer, say_stopped};
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::source_root;
use crate::manifest::version_survey::{VersionSurvey, survey_versions};

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

impl PlanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = self.root.existing()?;
        let options = self.result.options(root, &self.resources)?;
        let tree = source_root(root)?;
        let watch = Watch::start(self.output)?;
        let survey = watch.run(scope(&self.resources), |control| survey_versions(tree, &options, control))?;
        if survey.stopped {
            return Ok(say_stopped());
        }
        let end = TreeEnd::new(root, &survey, &survey.findings);
        Answer::new(&end).print(self.output, |table| render(table, root, &survey))
    }
}

fn render(table: &mut Table, root: &Path, survey: &VersionSurvey) {
    table.line(format_args!("{}: to {}", root.display(), survey.target_version));
    table.count("manifests", survey.manifests);
    let by_status = survey.by_status.iter().map(|(status, &count)| (status.replace('_', " "), count));
    table.nested(|table| table.counts(by_status));
    table.line("by version");
    table.nested(|table| table.counts(survey.by_version.iter().map(|(version, &count)| (version, count))));
    table.counts(survey.passed_over.each().into_iter().filter(|(_, count)| *count > 0));
    table.bytes("bytes", survey.source_bytes);
    table.bytes("to be migrated", survey.pending_bytes);
    table.bytes("space needed", survey.space_needed_bytes);
    table.bytes("space available", survey.space_available_bytes);
    write_lacks(table, &survey.file_systems);
    write_findings(table, &survey.findings);
}
