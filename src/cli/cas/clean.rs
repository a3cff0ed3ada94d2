//! `haul cas clean`: removes files that neither a run nor a reader needs.
//!
//! The JSON document has `target` (path), `removed` (a list of [`CleanItem`](crate::cas::clean::CleanItem)), `left` (what
//! could not be removed, with `path` and `reason`) and `bytes`.

use std::sync::Arc;

use clap::Args;

use super::arguments::TargetArgs;
use crate::cas::clean::{CleanKind, clean, clean_plan};
use crate::cas::status::check_known;
use crate::cli::arguments::{ConsentArgs, OutputArgs, WaitArgs};
use crate::cli::clean::clean_and_print;
use crate::durable::RealDisk;

/// `haul cas clean`
#[derive(Args)]
pub struct CleanCommand {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl CleanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.target.paths()?;
        check_known(&RealDisk, &paths)?;
        self.output.say(format_args!("measuring what is kept for {}", paths.target().display()));
        let items = clean_plan(Arc::new(RealDisk), &paths)?;
        let remove = || self.wait.until_free(self.output, || clean(Arc::new(RealDisk), &paths, &items));
        clean_and_print(("target", paths.target()), &items, kind_text, &self.consent, self.output, remove)
    }
}

fn kind_text(kind: &CleanKind) -> &'static str {
    match kind {
        CleanKind::Scratch => "scratch files of a sort",
        CleanKind::Incoming => "blobs that were being copied",
        CleanKind::Verification => "the progress of a stopped verification",
        CleanKind::Retired => "what an earlier clean-up had begun to remove",
        CleanKind::Staging => "a store that is not published",
        CleanKind::Moved => "the log of migrated objects",
        CleanKind::MergeLog => "the log of a merge (no rollback after that)",
        CleanKind::Replaced => "the store that was replaced (no rollback after that)",
        CleanKind::Withdrawn => "a store that a rollback removed",
        CleanKind::Temporary => "a leftover of an interrupted write",
    }
}
