//! `haul manifest steps graph`: the versions and steps in the language of Graphviz; breaking steps are dashed.
//!
//! The JSON document has `versions` and `edges` (pairs of versions).

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::manifest::arguments::StepsArgs;
use crate::cli::table::Table;
use crate::manifest::{Registry, Touch};

/// `haul manifest steps graph`
#[derive(Args)]
pub struct GraphCommand {
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Graph {
    versions: Vec<String>,
    edges: Vec<(String, String)>,
}

impl GraphCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let registry = self.steps.registry()?;
        let edges = registry.steps().iter().map(|step| (step.from().to_string(), step.to().to_string()));
        let versions = registry.versions().iter().map(ToString::to_string).collect();
        let graph = Graph { versions, edges: edges.collect() };
        Answer::new(&graph).print(self.output, |table| render(table, &registry))
    }
}

fn render(table: &mut Table, registry: &Registry) {
    table.lines("digraph steps {\n  rankdir = LR;");
    table.nested(|table| {
        registry.versions().iter().for_each(|version| table.line(format_args!("\"{version}\";")));
        for step in registry.steps() {
            let style = if step.touches().iter().any(Touch::is_breaking) { " [style = dashed]" } else { "" };
            table.line(format_args!("\"{}\" -> \"{}\"{style};", step.from(), step.to()));
        }
    });
    table.line("}");
}
