//! `haul cas clean`: removes what no run and no reader needs any more.
//!
//! The JSON document has `target` (path), `removed` (a list of [`CleanItem`](crate::cas::clean::CleanItem)) and `bytes`.

use std::sync::Arc;

use clap::Args;

use super::arguments::TargetArgs;
use crate::cas::clean::{CleanKind, clean, clean_plan};
use crate::cli::arguments::OutputArgs;
use crate::cli::clean::clean_and_print;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::observe::Console;

/// `haul cas clean`
#[derive(Args)]
pub struct CleanCommand {
    #[command(flatten)]
    target: TargetArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl CleanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.target.paths()?;
        if self.output.progress.is_spoken() {
            Console::new().line(&format!("measuring what lies beside {}", paths.target().display()));
        }
        let items = clean_plan(Arc::new(RealDisk), &paths)?;
        let remove = || clean(Arc::new(RealDisk), &paths, &items);
        clean_and_print(("target", paths.target()), &items, kind_text, (self.yes, self.output.json), remove)?;
        Ok(exit::OK)
    }
}

fn kind_text(kind: &CleanKind) -> &'static str {
    match kind {
        CleanKind::Scratch => "scratch files of a sort",
        CleanKind::Incoming => "blobs in transfer",
        CleanKind::Verification => "the resume point of a stopped verification",
        CleanKind::Staging => "of a store that is not published",
        CleanKind::Moved => "the log of migrated objects",
        CleanKind::MergeLog => "of a merge (no rollback after that)",
        CleanKind::Replaced => "the store that was replaced (no rollback after that)",
        CleanKind::Withdrawn => "a store that a rollback removed",
        CleanKind::Temporary => "a leftover of an interrupted write",
    }
}
