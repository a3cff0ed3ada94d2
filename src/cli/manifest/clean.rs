//! `haul manifest clean`: removes the backups of verified runs, and what a killed run or estimate has left.
//!
//! The JSON document has `root`, `runs` (each with `run_id`, `began_at`, `backups`, `bytes`), `kept` (each with `run_id`,
//! `backups`, `why`), `removed`, `bytes`, `findings` (backups that cannot be removed), `leftovers` (a list of
//! [`CleanItem`](crate::migration::CleanItem) that were removed), `left` (those that could not be, with `path` and `reason`) and
//! `exit_code`.

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
use crate::manifest::leftovers::{Leftover, leftovers, remove_leftovers};
use crate::manifest::selection::age;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Cleaned, Error, LeftBehind, clock, exit};

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
    leftovers: Vec<&'a Leftover>,
    left: &'a [LeftBehind],
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
        let items = leftovers(&disk, root)?;
        self.ask(&list, &items)?;
        let mut end = CleanEnd::default();
        if !list.runs.is_empty() {
            end = self.wait.until_free(self.output, || clean(disk.clone(), root, before))?;
        }
        let cleaned = self.wait.until_free(self.output, || remove_leftovers(&disk, root, &items))?;
        let gone = |item: &&Leftover| cleaned.left.iter().all(|left| left.path != item.path);
        let leftovers: Vec<_> = items.iter().filter(gone).collect();
        let removed = Removed { list: &list, removed: end.backups, bytes: end.bytes, leftovers, left: &cleaned.left };
        let is_partial = !end.findings.first.is_empty() || !cleaned.left.is_empty();
        let answer = TreeEnd::new(root, &removed, &end.findings);
        Answer::new(&answer).exit_if(is_partial, exit::REFUSED_RECORDS).print(self.output, |table| {
            table.line(format_args!("{}: {}", root.display(), end_text(&end, &cleaned, &removed.leftovers)));
            list.kept.iter().for_each(|kept| table.line(kept_text(kept)));
            let not_removed = |left: &LeftBehind| format!("not removed: {}: {}", left.path.display(), left.reason);
            cleaned.left.iter().for_each(|left| table.line(not_removed(left)));
            write_findings(table, &end.findings);
        })
    }

    /// Asks before anything is removed, if there is anything.
    fn ask(&self, list: &CleanList, items: &[Leftover]) -> Result<(), Error> {
        let what = match (list.runs.is_empty(), items.is_empty()) {
            (true, true) => return Ok(()),
            (true, false) => "this removes",
            (false, _) => "this removes the backups of verified runs, which can then not be rolled back",
        };
        let lines: Vec<_> = list.runs.iter().map(run_text).chain(items.iter().map(leftover_text)).collect();
        self.consent.confirm_all(what, &lines)
    }
}

fn end_text(end: &CleanEnd, cleaned: &Cleaned, leftovers: &[&Leftover]) -> String {
    let backups =
        |end: &CleanEnd| format!("{} backups removed, {} freed", count_text(end.backups), bytes_text(end.bytes));
    let others = || {
        let count = count_text(leftovers.len() as u64);
        format!("{count} leftovers of killed commands removed, {} freed", bytes_text(cleaned.bytes))
    };
    match (end.backups, leftovers.is_empty()) {
        (0, true) => "nothing to remove".to_owned(),
        (0, false) => others(),
        (_, true) => backups(end),
        (_, false) => format!("{}; {}", backups(end), others()),
    }
}

fn leftover_text(leftover: &Leftover) -> String {
    format!("{}: a leftover of a killed run or estimate, {}", leftover.path.display(), bytes_text(leftover.bytes))
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
