//! `haul manifest steps list`: the steps, in the order of their registration.
//!
//! The JSON document is `latest`, `versions` and `steps`, each with `from`, `to`, `breaking` and `changes`.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::manifest::arguments::StepsArgs;
use crate::cli::output;
use crate::manifest::{Registry, Touch};
use crate::migration::exit;

/// `haul manifest steps list`
#[derive(Args)]
pub struct ListCommand {
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
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
        let document = document(&self.steps.registry()?);
        output::print(self.output.json, &document, || text(&document))?;
        Ok(exit::OK)
    }
}

fn document(registry: &Registry) -> Document {
    let listed = registry.steps().iter().map(|step| Listed {
        from: step.from().to_string(),
        to: step.to().to_string(),
        breaking: step.touches().iter().any(Touch::is_breaking),
        changes: step.changes(),
    });
    Document {
        latest: registry.latest().to_string(),
        versions: registry.versions().iter().map(ToString::to_string).collect(),
        steps: listed.collect(),
    }
}

fn text(document: &Document) -> String {
    let mut text = format!("versions: {}\nlatest:   {}\n", document.versions.join(", "), document.latest);
    for step in &document.steps {
        let breaking = if step.breaking { " (breaking)" } else { "" };
        writeln!(text, "\n{} → {}{breaking}", step.from, step.to).expect("a string takes any text");
        for change in &step.changes {
            writeln!(text, "  {change}").expect("a string takes any text");
        }
    }
    text
}
