//! `haul manifest write`: a manifest from standard input into its place, after it was checked.
//!
//! It must fit the schema of its version, and keep what must not change of the file that it replaces. Otherwise the file
//! stays as it is, and the exit code is 65; 75 if a run is at work in its tree. The JSON document is `file`, `version` and
//! `warnings`.

use std::io::{Read, stdin};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::arguments::StepsArgs;
use super::validate::Warning;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::durable::RealDisk;
use crate::manifest::document::json::LEN_MAX_BYTES;
use crate::manifest::{prove, write_manifest};
use crate::migration::exit;
use crate::observe::Console;

/// `haul manifest write`
#[derive(Args)]
pub struct WriteCommand {
    /// Where it goes; a file that is there is replaced
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    file: String,
    version: String,
    warnings: Vec<Warning>,
}

impl WriteCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let registry = prove(Arc::new(self.steps.registry()?))?;
        let mut bytes = Vec::new();
        let limited = &mut stdin().lock().take(LEN_MAX_BYTES as u64 + 1);
        limited.read_to_end(&mut bytes).context("cannot read standard input")?;
        let (version, notices) = write_manifest(&RealDisk, &registry, &self.file, &bytes)?;
        let file = self.file.display().to_string();
        if self.output.progress.is_spoken() && !self.output.json {
            let console = Console::new();
            notices.iter().for_each(|notice| console.line(&format!("{}: {}", notice.code, notice.text)));
        }
        let warnings = notices.into_iter().map(Warning::from).collect();
        let document = Document { file, version: version.to_string(), warnings };
        output::print(self.output.json, &document, || format!("{} written at {version}\n", document.file))?;
        Ok(exit::OK)
    }
}
