//! `haul manifest accept`: accepts files as they are.
//!
//! The JSON document has `root` and `files`, each with `file` and `sha256` (null if there is no such file).

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::below;
use super::root::FirstRootArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::command_line::manifest_command;
use crate::durable::{Disk, RealDisk};
use crate::manifest::accept::{AcceptedFile, accept};
use crate::migration::Error;

/// `haul manifest accept`
#[derive(Args)]
pub struct AcceptCommand {
    #[command(flatten)]
    root: FirstRootArgs,
    /// The files, relative to the root; a file that a run has written and that is gone can be accepted too
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct AcceptEnd {
    files: Vec<AcceptedFile>,
}

impl AcceptCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = self.root.with_runs()?;
        let files: Vec<_> = self.files.iter().map(|file| below(root, file)).collect::<Result<_, Error>>()?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let end = AcceptEnd { files: accept(&disk, root, &files)? };
        let answer = Answer::new(&end).path("root", root).next(manifest_command("verify", root).to_string());
        answer.print(self.output, |table| {
            for AcceptedFile { file, sha256 } in &end.files {
                let how = if sha256.is_some() { "accepted as it is" } else { "accepted as gone" };
                table.line(format_args!("{file}: {how}"));
            }
        })
    }
}
