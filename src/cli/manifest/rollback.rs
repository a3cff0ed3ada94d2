//! `haul manifest rollback`: takes a run back.
//!
//! The JSON document is a [`RollbackEnd`] and, beside its fields, `root`, `findings` (the first of them) and
//! `exit_code`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::arguments::{RECORDS_NOUN, RootArgs, StepsArgs, below};
use super::text::{TreeDocument, write_findings};
use crate::cli::arguments::OutputArgs;
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::manifest::rollback::{RollbackEnd, RollbackRequest, rollback};
use crate::migration::units::count_text;
use crate::migration::{Error, exit};
use crate::observe::Scope;

/// `haul manifest rollback`
#[derive(Args)]
pub struct RollbackCommand {
    #[command(flatten)]
    root: RootArgs,
    /// The run to take back, as its report and the ledger name it
    #[arg(long, value_name = "ID")]
    run: String,
    /// Only these files, relative to the root [default: all that the run wrote]
    #[arg(value_name = "FILES")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    steps: StepsArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RollbackCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = &self.root.root;
        let files: BTreeSet<_> = self.files.iter().map(|file| below(root, file)).collect::<Result<_, Error>>()?;
        let registry = self.steps.registry()?;
        let which = match files.len() {
            0 => "every file that it wrote".to_owned(),
            count => format!("{} files", count_text(count as u64)),
        };
        let run = &self.run;
        confirm(&format!("this gives {which} the bytes from before run {run}; files changed since stay"), self.yes)?;
        let request = RollbackRequest { run_id: run, files: &files, registry: &registry };
        let watch = Watch::start(self.output.progress)?;
        let disk = Arc::new(RealDisk);
        let scope = Scope { records_noun: RECORDS_NOUN, source_bytes: None, budget_bytes: 0 };
        let end = watch.run(scope, |control| rollback(disk, root, request, control))?;
        let exit_code = match (end.stopped, end.refused) {
            (true, _) => exit::TEMPORARY,
            (_, 0) => exit::OK,
            _ => exit::CONFLICT,
        };
        let document = TreeDocument::new(root, &end, &end.findings, exit_code);
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        if end.stopped {
            watch.say_stopped();
        }
        Ok(exit_code)
    }
}

fn render(text: &mut String, document: &TreeDocument<'_, RollbackEnd>) -> std::fmt::Result {
    let end = document.end;
    let how = if end.stopped { "stopped, to be gone on with" } else { "rolled back" };
    writeln!(text, "{}: run {} {how}", document.root, end.run_id)?;
    writeln!(text, "{:<28}{:>18}", "restored", count_text(end.restored))?;
    writeln!(text, "{:<28}{:>18}", "restored before", count_text(end.already_restored))?;
    writeln!(text, "{:<28}{:>18}", "refused", count_text(end.refused))?;
    if end.inverses_checked > 0 {
        writeln!(text, "{:<28}{:>18}", "inverses checked", count_text(end.inverses_checked))?;
    }
    write_findings(text, &end.findings)
}
