//! `haul manifest steps check`: proves what each step does, on made-up manifests and on those that are named.
//!
//! The JSON document is `steps`, each with its counts and `faults`, and `exit_code`: 65 if there is any fault.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::OutputArgs;
use crate::cli::manifest::arguments::StepsArgs;
use crate::cli::manifest::validate::read;
use crate::cli::output;
use crate::durable::DiskError;
use crate::manifest::transform::step_check::{GivenManifest, check_steps};
use crate::migration::exit;

/// `haul manifest steps check`
#[derive(Args)]
pub struct CheckCommand {
    /// Manifests to prove the steps on, beside made-up ones
    #[arg(value_name = "MANIFEST")]
    manifests: Vec<PathBuf>,
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    steps: Vec<Proved>,
    exit_code: u8,
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
        let given = self.manifests.iter().map(|path| -> Result<_, DiskError> {
            Ok(GivenManifest { name: path.display().to_string(), bytes: read(path)? })
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
        let exit_code = if steps.iter().all(|step| step.faults.is_empty()) { exit::OK } else { exit::BAD_DATA };
        let document = Document { steps, exit_code };
        output::print(self.output.json, &document, || text(&document))?;
        Ok(exit_code)
    }
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    for step in &document.steps {
        let verdict = if step.faults.is_empty() { "holds" } else { "fails" };
        let (manifests, refused) = (step.manifests, step.refused);
        writeln!(text, "{} → {}: {verdict} on {manifests} manifests, {refused} refused", step.from, step.to)
            .expect("a string takes any text");
        for fault in &step.faults {
            writeln!(text, "  {fault}").expect("a string takes any text");
        }
    }
    text
}
