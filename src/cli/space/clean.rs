//! `haul space clean`: removes what no run and no reader needs any more.
//!
//! The JSON document has `space` (path), `removed` (a list of [`CleanItem`](crate::space::clean::CleanItem)),
//! `left` (what could not be removed, with `path` and `reason`) and `bytes`.

use std::sync::Arc;

use clap::Args;

use super::arguments::SpaceArgs;
use crate::cli::arguments::{ConsentArgs, OutputArgs, WaitArgs};
use crate::cli::clean::clean_and_print;
use crate::durable::RealDisk;
use crate::space::clean::{CleanKind, clean, clean_plan, left_alone};

/// `haul space clean`
#[derive(Args)]
pub struct CleanCommand {
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl CleanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let items = clean_plan(Arc::new(RealDisk), &paths)?;
        for left in left_alone(&RealDisk, &paths)? {
            let path = paths.store(&left.name);
            self.output.say(format_args!("left alone: {}: it {}", path.display(), left.reason));
        }
        let remove = || self.wait.until_free(self.output, || clean(Arc::new(RealDisk), &paths, &items));
        clean_and_print(("space", paths.root()), &items, kind_text, &self.consent, self.output, remove)
    }
}

fn kind_text(kind: &CleanKind) -> &'static str {
    match kind {
        CleanKind::Scratch => "scratch files of an index",
        CleanKind::Verification => "the progress of a stopped verification",
        CleanKind::Staging => "a store that is not finished",
        CleanKind::Store => "a store that is not live",
        CleanKind::Retired => "the rest of a store whose removal was interrupted",
        CleanKind::Temporary => "a leftover of an interrupted write",
    }
}
