//! `haul manifest runs`: the runs of a tree, the oldest first.
//!
//! The JSON document has `root` and `runs`, each a [`Run`].

use clap::Args;
use serde::Serialize;

use super::arguments::RootArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::durable::RealDisk;
use crate::manifest::runs::{Run, runs};
use crate::migration::units::count_text;

/// `haul manifest runs`
#[derive(Args)]
pub struct RunsCommand {
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct RunsEnd {
    runs: Vec<Run>,
}

impl RunsCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = self.root.existing()?;
        let end = RunsEnd { runs: runs(&RealDisk, root)? };
        Answer::new(&end).path("root", root).print(self.output, |table| {
            end.runs.iter().for_each(|run| table.line(text(run)));
            if end.runs.is_empty() {
                table.line(format_args!("{}: no run", root.display()));
            }
        })
    }
}

fn text(run: &Run) -> String {
    let began_at = run.began_at.as_deref().unwrap_or("-");
    let mut text =
        format!("{}  {began_at}  to {}: {} written", run.run_id, run.target_version, count_text(run.written));
    for (count, what) in [(run.restored, "restored"), (run.removed, "backups removed")] {
        if count > 0 {
            text += &format!(", {} {what}", count_text(count));
        }
    }
    if !run.ended {
        text += ", not ended";
    }
    match (run.verified, run.faulty) {
        (false, _) => text += ", not verified",
        (true, 0) => text += ", verified",
        (true, faulty) => text += &format!(", verified but for {} files", count_text(faulty)),
    }
    text
}
