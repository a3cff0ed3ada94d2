//! `haul manifest write`: checks a manifest from standard input and puts it in its place.
//!
//! It must fit the schema of its version, and keep what must not change of the file that it replaces. Otherwise the file
//! stays as it is, and the exit code is 65, or 75 if a run is active in its tree. The JSON document has `file`, `version`
//! and `warnings`.

use std::io::{Read, stdin};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::arguments::StepsArgs;
use super::validate::Warning;
use crate::cli::arguments::{MemoryArgs, OutputArgs, ShortWaitArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::durable::RealDisk;
use crate::manifest::document::json::LEN_MAX_BYTES;
use crate::manifest::{prove, write_manifest};

/// `haul manifest write`
#[derive(Args)]
pub struct WriteCommand {
    /// Where to put it; an existing file is replaced
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    steps: StepsArgs,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    wait: ShortWaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct WriteEnd {
    file: String,
    version: String,
    warnings: Vec<Warning>,
}

impl WriteCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let registry = prove(Arc::new(self.steps.registry()?))?;
        // One byte more than is allowed, so that a manifest that is too long is refused and not cut.
        let budget_bytes = self.memory.budget_bytes();
        let max_bytes = (LEN_MAX_BYTES as u64).min(budget_bytes / 2) + 1;
        // The room for all of it is only taken as it is filled. Growing would copy it, and hold both for a moment.
        let mut bytes = Vec::with_capacity(usize::try_from(max_bytes)?);
        let limited = &mut stdin().lock().take(max_bytes);
        limited.read_to_end(&mut bytes).context("cannot read standard input")?;
        let (version, notices) = WaitArgs::from(self.wait)
            .until_free(self.output, || write_manifest(&RealDisk, &registry, &self.file, &bytes, budget_bytes))?;
        let file = self.file.display().to_string();
        if !self.output.json {
            notices.iter().for_each(|notice| self.output.say(format_args!("{}: {}", notice.code, notice.text)));
        }
        let warnings = notices.into_iter().map(Warning::from).collect();
        let end = WriteEnd { file, version: version.to_string(), warnings };
        Answer::new(&end).print(self.output, |table| table.line(format_args!("{} written at {version}", end.file)))
    }
}
