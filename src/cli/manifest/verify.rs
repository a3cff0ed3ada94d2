//! `haul manifest verify`: reads everything again.
//!
//! The JSON document is a [`VerifyEnd`] and, beside its fields, `root`, `findings` (the first of them) and `exit_code`.

use std::fmt::Write;
use std::sync::Arc;

use clap::Args;

use super::arguments::{PlaceArgs, RootArgs, scope};
use super::text::{TreeDocument, write_findings};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::manifest::verify::report::VerifyEnd;
use crate::manifest::verify::verify;
use crate::migration::exit;
use crate::migration::units::count_text;

/// `haul manifest verify`
#[derive(Args)]
pub struct VerifyCommand {
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl VerifyCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = &self.root.root;
        let options = self.place.options(&self.resources)?;
        let watch = Watch::start(self.output.progress)?;
        let disk = Arc::new(RealDisk);
        let end = watch.run(scope(&self.resources), |control| verify(disk, root, &options, control))?;
        let exit_code = match (end.stopped, end.findings.count.fatal) {
            (true, _) => exit::TEMPORARY,
            (_, 0) => exit::OK,
            _ => exit::BAD_DATA,
        };
        let document = TreeDocument::new(root, &end, &end.findings, exit_code);
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        if end.stopped {
            watch.say_stopped();
        }
        Ok(exit_code)
    }
}

fn render(text: &mut String, document: &TreeDocument<'_, VerifyEnd>) -> std::fmt::Result {
    let end = document.end;
    let how = match (end.stopped, end.findings.count.fatal) {
        (true, _) => "stopped",
        (_, 0) => "nothing is wrong",
        _ => "something is wrong",
    };
    writeln!(text, "{}: {how}", document.root)?;
    let counts = [
        ("manifests", end.manifests),
        ("  checksums recomputed", end.checksums),
        ("  without snapshots", end.legacy_no_snapshots),
        ("snapshot files", end.snapshots),
        ("lines of the ledger", end.ledger_lines),
        ("  files as written", end.ledger_files),
        ("  backups as made", end.backups),
        ("runs verified", end.verified_runs),
    ];
    for (name, count) in counts {
        writeln!(text, "{name:<28}{:>18}", count_text(count))?;
    }
    write_findings(text, &end.findings)
}
