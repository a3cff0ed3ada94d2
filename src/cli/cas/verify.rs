//! `haul cas verify`: reads a v2 store again and reports everything that is wrong with it.
//!
//! The JSON document is a [`VerifyEnd`] with `store` (path) and `exit_code`. With `--repair` it is that of
//! [`repair`](super::repair).

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::arguments::{V2Store, resource_options, scope};
use super::faults::write_faults;
use super::repair::{RepairRequest, repair};
use crate::cas::options::MigrateOptions;
use crate::cas::verify::run::check_store;
use crate::cas::verify::{VerifyEnd, VerifyRequest};
use crate::cli::arguments::{OutputArgs, ResourceArgs, WaitArgs, check_exists};
use crate::cli::command::Answer;
use crate::cli::command_line::cas_command;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::place::Place;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::{Disk, RealDisk};
use crate::migration::units::count_text;
use crate::migration::{Sample, Subset, exit};
use crate::pipeline::Control;

/// `haul cas verify`
#[derive(Args)]
pub struct VerifyCommand {
    #[command(flatten)]
    store: Place<V2Store>,
    /// Read only the N-th of T shares of the objects; layout and index are always checked in full
    #[arg(long, value_name = "N/T", default_value_t = Subset::ALL)]
    subset: Subset,
    /// Read only this many objects, chosen at random
    #[arg(long, value_name = "N")]
    sample: Option<NonZeroU64>,
    /// Seed of the sample; the same seed chooses the same objects of the same store
    #[arg(long, value_name = "S", default_value_t = 0, requires = "sample")]
    seed: u64,
    /// Rebuild index and sidecars from the contents; objects that do not match their names stay, but are not listed
    #[arg(long, conflicts_with_all = ["subset", "sample"])]
    repair: bool,
    /// Bring damaged and missing objects back from this store: another copy, or the old store that was migrated
    #[arg(long, value_name = "OTHER", requires = "repair")]
    from: Option<PathBuf>,
    /// Show what a repair would do, but write nothing
    #[arg(long, requires = "repair")]
    dry_run: bool,
    /// Do not ask before a repair
    #[arg(long, requires = "repair")]
    yes: bool,
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
        check_exists(&self.store, "give the path of a v2 store")?;
        let options = resource_options(&self.resources);
        if self.repair {
            let (store, from) = (&*self.store, self.from.as_deref());
            let request = RepairRequest { store, from, dry_run: self.dry_run, yes: self.yes, wait: self.wait };
            return repair(&request, &options, self.output);
        }
        self.verify(&options)
    }

    fn verify(&self, options: &MigrateOptions) -> anyhow::Result<u8> {
        let sample = self.sample.map(|objects| Sample { records: objects.get(), seed: self.seed });
        let request = VerifyRequest { subset: self.subset, sample, ..VerifyRequest::WHOLE };
        let watch =
            Watch::start(self.output)?.with_metrics_of(&self.metrics, ("cas", self.store.display()), "finished")?;
        watch.say(format_args!("verifying {}", self.store.display()));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let work = |control: &Control<'_>| check_store(&disk, &self.store, &request, options, control);
        let end = watch.run_when_free(self.wait, scope(options), work)?;
        let repair = || {
            let command = cas_command("verify --repair", &self.store);
            format!(
                "{command}, which rebuilds the index and the sidecars from the contents that are sound; with --from \
                 OTHER, damaged objects come back from another copy"
            )
        };
        let answer = Answer::new(&end).path("store", &self.store).stopped(end.stopped);
        let answer = answer.exit_if(end.errors > 0, exit::BAD_DATA).next((end.errors > 0).then(repair));
        answer.print(self.output, |table| {
            table.line(format_args!("{}: {}", self.store.display(), verdict(&end)));
            render(table, &end);
        })
    }
}

fn render(table: &mut Table, end: &VerifyEnd) {
    table.nested(|table| {
        table.count("objects", end.objects);
        table.count("read", end.objects_read);
        table.count("without an error", end.objects_ok);
        table.bytes("blobs", end.blob_bytes);
        table.bytes("contents", end.content_bytes);
        table.count("lines of the index", end.index_lines);
    });
    table.line(format_args!("covered: {}", end.covered));
    write_faults(table, &end.faults_count, &end.faults);
}

fn verdict(end: &VerifyEnd) -> String {
    let count = |count: u64, noun: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{} {noun}{plural}", count_text(count))
    };
    let faults = match (end.errors, end.warnings) {
        (0, 0) => "no fault".to_owned(),
        (0, warnings) => format!("no error, {}", count(warnings, "warning")),
        (errors, 0) => count(errors, "error"),
        (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
    };
    if end.stopped { format!("verification stopped, to be resumed; so far {faults}") } else { faults }
}
