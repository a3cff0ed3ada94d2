//! `haul manifest steps check`: checks what each step does, on generated manifests and on those that are named.
//!
//! The JSON document has `steps`, each with its counts and `faults`, and `exit_code`: 65 if there is any fault.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::manifest::arguments::StepsArgs;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::manifest::read_whole;
use crate::manifest::transform::step_check::{GivenManifest, check_steps};
use crate::migration::{Error, RunOptions, exit};

/// `haul manifest steps check`
#[derive(Args)]
pub struct CheckCommand {
    /// Manifests to check the steps on, in addition to generated ones
    #[arg(value_name = "MANIFEST")]
    manifests: Vec<PathBuf>,
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct CheckEnd {
    steps: Vec<Proved>,
}

#[derive(Serialize)]
struct Proved {
    from: String,
    to: String,
    manifests: u64,
    refused: u64,
    faults: Vec<String>,
}

impl CheckCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let registry = self.steps.registry()?;
        let given = self.manifests.iter().map(|path| -> Result<_, Error> {
            let bytes = read_whole(&RealDisk, path, RunOptions::default().memory_budget_bytes)?;
            Ok(GivenManifest { name: path.display().to_string(), bytes })
        });
        let given = given.collect::<Result<Vec<_>, _>>()?;
        let proofs = check_steps(&registry, &given)?;
        let steps: Vec<_> = proofs
            .into_iter()
            .map(|proof| Proved {
                from: proof.from.to_string(),
                to: proof.to.to_string(),
                manifests: proof.manifests,
                refused: proof.refused,
                faults: proof.faults,
            })
            .collect();
        let end = CheckEnd { steps };
        let is_any_faulty = end.steps.iter().any(|step| !step.faults.is_empty());
        let answer = Answer::new(&end).exit_if(is_any_faulty, exit::BAD_DATA);
        answer.print(self.output, |table| end.steps.iter().for_each(|step| render(table, step)))
    }
}

fn render(table: &mut Table, step: &Proved) {
    let verdict = if step.faults.is_empty() { "holds" } else { "fails" };
    let (manifests, refused) = (step.manifests, step.refused);
    table.line(format_args!("{} → {}: {verdict} on {manifests} manifests, {refused} refused", step.from, step.to));
    table.nested(|table| step.faults.iter().for_each(|fault| table.line(fault)));
}
