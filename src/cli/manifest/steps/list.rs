//! `haul manifest steps list`: the steps, in the order of their registration.
//!
//! The JSON document has `latest`, `versions` and `steps` (each with `from`, `to`, `breaking` and `changes`).

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::manifest::arguments::StepsArgs;
use crate::cli::table::Table;
use crate::manifest::{Registry, Touch};

/// `haul manifest steps list`
#[derive(Args)]
pub struct ListCommand {
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct StepList {
    latest: String,
    versions: Vec<String>,
    steps: Vec<Listed>,
}

#[derive(Serialize)]
struct Listed {
    from: String,
    to: String,
    breaking: bool,
    changes: Vec<String>,
}

impl ListCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let list = step_list(&self.steps.registry()?);
        Answer::new(&list).print(self.output, |table| render(table, &list))
    }
}

fn step_list(registry: &Registry) -> StepList {
    let listed = registry.steps().iter().map(|step| Listed {
        from: step.from().to_string(),
        to: step.to().to_string(),
        breaking: step.touches().iter().any(Touch::is_breaking),
        changes: step.changes(),
    });
    StepList {
        latest: registry.latest().to_string(),
        versions: registry.versions().iter().map(ToString::to_string).collect(),
        steps: listed.collect(),
    }
}

fn render(table: &mut Table, list: &StepList) {
    table.row("versions", list.versions.join(", "));
    table.row("latest", &list.latest);
    for step in &list.steps {
        let breaking = if step.breaking { " (breaking)" } else { "" };
        table.gap();
        table.line(format_args!("{} → {}{breaking}", step.from, step.to));
        table.nested(|table| step.changes.iter().for_each(|change| table.line(change)));
    }
}
