//! `haul manifest verify`: reads everything again.
//!
//! The JSON document is a [`VerifyEnd`] with `root`, `findings` (the first of them) and `exit_code`.

use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::arguments::{PlaceArgs, SelectionArgs, scope};
use super::root::RootArgs;
use super::text::{TreeEnd, write_findings};
use crate::cli::arguments::{OutputArgs, ResourceArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
use crate::manifest::verify::report::VerifyEnd;
use crate::manifest::verify::{VerifyRequest, verify};
use crate::migration::{Sample, Subset, exit};
use crate::pipeline::Control;

/// `haul manifest verify`
#[derive(Args)]
pub struct VerifyCommand {
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// Read only the N-th of T shares of the manifests
    #[arg(long, value_name = "N/T", default_value_t = Subset::ALL)]
    subset: Subset,
    /// Read only this many manifests, chosen at random
    #[arg(long, value_name = "N")]
    sample: Option<NonZeroU64>,
    /// Seed of the sample; the same seed chooses the same manifests of the same tree
    #[arg(long, value_name = "S", default_value_t = 0, requires = "sample")]
    seed: u64,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl VerifyCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let root = self.root.tree()?;
        let options = self.selection.applied_to(self.place.options(&self.resources)?);
        let sample = self.sample.map(|manifests| Sample { records: manifests.get(), seed: self.seed });
        let request = VerifyRequest { subset: self.subset, sample };
        let watch =
            Watch::start(self.output)?.with_metrics_of(&self.metrics, ("manifest", root.display()), "finished")?;
        let disk = Arc::new(RealDisk);
        let work = |control: &Control<'_>| verify(disk.clone(), root, &request, &options, control);
        let end = watch.run_when_free(self.wait, scope(&self.resources), work)?;
        let tree_end = TreeEnd::new(root, &end, &end.findings);
        let answer = Answer::new(&tree_end).stopped(end.stopped).exit_if(end.findings.count.fatal > 0, exit::BAD_DATA);
        answer.print(self.output, |table| render(table, root, &end))
    }
}

fn render(table: &mut Table, root: &Path, end: &VerifyEnd) {
    let how = match (end.stopped, end.findings.count.fatal) {
        (true, _) => "stopped",
        (_, 0) => "nothing is wrong",
        _ => "something is wrong",
    };
    table.line(format_args!("{}: {how}", root.display()));
    table.count("manifests", end.manifests);
    let checks = [("checksums recomputed", end.checksums), ("without snapshots", end.legacy_no_snapshots)];
    table.nested(|table| table.counts(checks));
    table.count("snapshot files", end.snapshots);
    table.count("lines of the ledger", end.ledger_lines);
    table.nested(|table| table.counts([("files as written", end.ledger_files), ("backups as made", end.backups)]));
    if end.ledger_waiting > 0 {
        table.count("files that an unfinished run has not replaced yet", end.ledger_waiting);
    }
    table.count("runs verified", end.verified_runs);
    if end.excepted_files > 0 {
        table.count("files excepted", end.excepted_files);
    }
    table.line(format_args!("covered: {}", end.covered));
    write_findings(table, &end.findings);
}
