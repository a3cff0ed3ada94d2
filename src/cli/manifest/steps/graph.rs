//! `haul manifest steps graph`: the versions and steps in the language of Graphviz; breaking steps are dashed.
//!
//! The JSON document is `versions` and `edges`, pairs of versions.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::manifest::arguments::StepsArgs;
use crate::cli::output;
use crate::manifest::{Registry, Touch};
use crate::migration::exit;

/// `haul manifest steps graph`
#[derive(Args)]
pub struct GraphCommand {
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    versions: Vec<String>,
    edges: Vec<(String, String)>,
}

impl GraphCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let registry = self.steps.registry()?;
        let edges = registry.steps().iter().map(|step| (step.from().to_string(), step.to().to_string()));
        let versions = registry.versions().iter().map(ToString::to_string).collect();
        let document = Document { versions, edges: edges.collect() };
        output::print(self.output.json, &document, || text(&registry))?;
        Ok(exit::OK)
    }
}

fn text(registry: &Registry) -> String {
    let mut text = "digraph steps {\n  rankdir = LR;\n".to_owned();
    for version in registry.versions() {
        writeln!(text, "  \"{version}\";").expect("a string takes any text");
    }
    for step in registry.steps() {
        let style = if step.touches().iter().any(Touch::is_breaking) { " [style = dashed]" } else { "" };
        writeln!(text, "  \"{}\" -> \"{}\"{style};", step.from(), step.to()).expect("a string takes any text");
    }
    text + "}\n"
}
