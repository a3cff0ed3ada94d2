//! `haul cas verify`: reads a v2 store again and says everything that is wrong with it.
//!
//! The JSON document is a [`VerifyEnd`] and, beside its fields, `store` (path) and `exit_code`. With `--repair` it is that
//! of [`repair`](super::repair).

use std::fmt::Write;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::{course, scope};
use super::faults::{exit_code, push_faults};
use super::repair::{RepairRequest, repair};
use crate::cas::options::MigrateOptions;
use crate::cas::verify::run::check_store;
use crate::cas::verify::{Sample, VerifyEnd, VerifyRequest};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::command_line::cas_command;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::{Disk, RealDisk};
use crate::migration::Subset;
use crate::migration::units::{bytes_text, count_text};

/// `haul cas verify`
#[derive(Args)]
pub struct VerifyCommand {
    /// Root of the v2 store: the directory that holds objects/ and index.ndjson
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// Read a share of the objects only, the n-th of t; layout and index are compared whole in any case
    #[arg(long, value_name = "N/T", default_value_t = Subset::ALL)]
    subset: Subset,
    /// Read so many objects only, drawn by lot
    #[arg(long, value_name = "N")]
    sample: Option<NonZeroU64>,
    /// Where the lots come from; the same seed draws the same objects of the same store
    #[arg(long, value_name = "S", default_value_t = 0, requires = "sample")]
    seed: u64,
    /// Make index and sidecars anew from the contents; objects that are not what their names say stay, and are not listed
    #[arg(long, conflicts_with_all = ["subset", "sample"])]
    repair: bool,
    /// Say what a repair would do, but write nothing at all
    #[arg(long, requires = "repair")]
    dry_run: bool,
    /// Do not ask before a repair
    #[arg(long, requires = "repair")]
    yes: bool,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    store: String,
    #[serde(flatten)]
    end: &'a VerifyEnd,
    exit_code: u8,
}

impl VerifyCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let options = course(&self.resources);
        if self.repair {
            let request = RepairRequest { store: &self.store, dry_run: self.dry_run, yes: self.yes };
            return repair(&request, &options, self.output);
        }
        self.verify(&options)
    }

    fn verify(&self, options: &MigrateOptions) -> anyhow::Result<u8> {
        let sample = self.sample.map(|objects| Sample { objects: objects.get(), seed: self.seed });
        let request = VerifyRequest { subset: self.subset, sample, ..VerifyRequest::WHOLE };
        let watch = Watch::start(self.output.progress)?;
        watch.say(&format!("verifying {}", self.store.display()));
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let end = watch.run(scope(options), |control| check_store(&disk, &self.store, &request, options, control))?;
        let store = self.store.display().to_string();
        let document = Document { store, end: &end, exit_code: exit_code(end.stopped, end.errors) };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        if end.stopped {
            watch.say_stopped();
        } else if end.errors > 0 {
            let repair = cas_command("verify --repair", &self.store);
            watch.say(&format!("next: {repair}, which makes index and sidecars anew from the contents that are sound"));
        }
        Ok(document.exit_code)
    }
}

fn render(text: &mut String, document: &Document<'_>) -> std::fmt::Result {
    let Document { store, end, .. } = document;
    writeln!(text, "{store}: {}", verdict(end))?;
    for (name, value) in [
        ("objects", count_text(end.objects)),
        ("read", count_text(end.objects_read)),
        ("without an error", count_text(end.objects_ok)),
        ("blobs", bytes_text(end.blob_bytes)),
        ("contents", bytes_text(end.content_bytes)),
        ("lines of the index", count_text(end.index_lines)),
    ] {
        writeln!(text, "  {name:<28}{value:>16}")?;
    }
    writeln!(text, "covered: {}", end.covered)?;
    push_faults(text, &end.faults_count, &end.faults)
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
