//! `haul manifest clean`: removes the backups of verified runs.
//!
//! The JSON document has `root`, `runs` (each with `run_id`, `began_at`, `backups`, `bytes`), `kept` (each with `run_id`,
//! `backups`, `why`), `removed`, `bytes`, `findings` (backups that cannot be removed) and `exit_code`.

use std::sync::Arc;

use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;

use super::root::RootArgs;
use super::text::{TreeEnd, write_findings};
use crate::cli::arguments::{ConsentArgs, OutputArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::durable::{Disk, RealDisk};
use crate::manifest::clean::{CleanEnd, CleanList, KeptBackups, KeptWhy, RunBackups, clean, clean_list};
use crate::manifest::selection::age;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, clock, exit};

/// `haul manifest clean`
#[derive(Args)]
pub struct CleanCommand {
    #[command(flatten)]
    root: RootArgs,
    /// Only backups of runs that began at least this long ago, as in 7d, 12h or 30m
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = age)]
    older_than: SignedDuration,
    #[command(flatten)]
    consent: ConsentArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Removed<'a> {
    #[serde(flatten)]
    list: &'a CleanList,
    removed: u64,
    bytes: u64,
}

impl CleanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = self.root.with_runs()?;
        let before = clock::now()?.checked_sub(self.older_than).map_err(|_| Error::Usage {
            what: "--older-than reaches back too far".into(),
            next: "give a shorter age".into(),
        })?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let list = clean_list(&disk, root, before)?;
        let mut end = CleanEnd::default();
        if !list.runs.is_empty() {
            let lines: Vec<_> = list.runs.iter().map(run_text).collect();
            let what = "this removes the backups of verified runs, which can then not be rolled back";
            self.consent.confirm_all(what, &lines)?;
            end = self.wait.until_free(self.output, || clean(disk.clone(), root, before))?;
        }
        let removed = Removed { list: &list, removed: end.backups, bytes: end.bytes };
        let answer = TreeEnd::new(root, &removed, &end.findings);
        let answer = Answer::new(&answer).exit_if(!end.findings.first.is_empty(), exit::REFUSED_RECORDS);
        answer.print(self.output, |table| {
            let what = match end.backups {
                0 => "nothing to remove".to_owned(),
                removed => format!("{} backups removed, {} freed", count_text(removed), bytes_text(end.bytes)),
            };
            table.line(format_args!("{}: {what}", root.display()));
            list.kept.iter().for_each(|kept| table.line(kept_text(kept)));
            write_findings(table, &end.findings);
        })
    }
}

fn kept_text(kept: &KeptBackups) -> String {
    let why = match kept.why {
        KeptWhy::NotVerified => "the run is not verified; `haul manifest verify` does that",
        KeptWhy::TooYoung => "the run is younger than --older-than",
        KeptWhy::Faulty => {
            "verification found faults in their files; restore them, or take them as they are with `haul manifest accept`"
        }
        KeptWhy::Changed => {
            "their files are no longer what was verified; restore them, or take them as they are with `haul manifest accept`"
        }
        KeptWhy::Shared => "another run needs them too",
    };
    format!("run {}: {} backups kept: {why}", kept.run_id, count_text(kept.backups))
}

fn run_text(run: &RunBackups) -> String {
    let (count, bytes) = (count_text(run.backups), bytes_text(run.bytes));
    format!("run {} of {}: {count} backups, {bytes}", run.run_id, run.began_at)
}
