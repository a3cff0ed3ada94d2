//! `haul space verify`: reads the store again and compares it with what its manifest says.
//!
//! The JSON document has `space`, `store`, `depth`, `subset`, `complete` (false after a stop), `coverage` (a
//! [`Coverage`], null after a stop) and `exit_code`.

use std::fmt::Write;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::SpaceArgs;
use super::migrate::RECORDS_NOUN;
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::failure::run_again;
use crate::cli::output;
use crate::cli::watch::Watch;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{CheckpointFile, Error, exit, pointer};
use crate::observe::Scope;
use crate::pipeline::Control;
use crate::space::DualSpace;
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;
use crate::space::store::names::generation;
use crate::space::verify::{CHECKPOINT_KIND, Coverage, Depth, Progress, Subset, verify_store};

/// `haul space verify`
#[derive(Args)]
pub struct VerifyCommand {
    #[command(flatten)]
    space: SpaceArgs,
    /// Only what describes the store: manifest, indexes, lengths; no block
    #[arg(long, conflicts_with_all = ["full", "subset"])]
    quick: bool,
    /// Also rebuild the original bytes from every block and compare them with the digests of the source
    #[arg(long)]
    full: bool,
    /// A share of the blocks: the n-th of t
    #[arg(long, value_name = "N/T", default_value_t = Subset::ALL)]
    subset: Subset,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    space: String,
    store: String,
    depth: Depth,
    subset: String,
    complete: bool,
    coverage: Option<Coverage>,
    exit_code: u8,
}

impl VerifyCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let watch = Watch::start(self.output.progress)?;
        let document = verify(&watch, &paths, self.depth(), self.subset, &self.options())?;
        output::print(self.output.json, &document, || text(&document))?;
        if !document.complete {
            watch.say(&format!("next: {}", run_again()));
        }
        Ok(document.exit_code)
    }

    fn depth(&self) -> Depth {
        match (self.quick, self.full) {
            (true, _) => Depth::Quick,
            (_, true) => Depth::Full,
            _ => Depth::Blocks,
        }
    }

    fn options(&self) -> MigrateOptions {
        MigrateOptions {
            memory_budget_bytes: self.resources.memory_budget_bytes(),
            backpressure_threshold: self.resources.backpressure_threshold,
            rate_limit: self.resources.rate_limit,
            parallel_workers: self.resources.parallel_workers(),
            ..MigrateOptions::default()
        }
    }
}

fn verify(
    watch: &Watch,
    paths: &SpacePaths,
    depth: Depth,
    subset: Subset,
    options: &MigrateOptions,
) -> Result<Document, Error> {
    watch.say(&format!("verifying {}", paths.root().display()));
    let scope = Scope { records_noun: RECORDS_NOUN, source_bytes: None, budget_bytes: options.memory_budget_bytes };
    let (store, coverage) = watch.run(scope, |control| verify_live(paths, depth, subset, options, control))?;
    let complete = coverage.is_some();
    Ok(Document {
        space: paths.root().display().to_string(),
        store,
        depth,
        subset: subset.to_string(),
        complete,
        coverage,
        exit_code: if complete { exit::OK } else { exit::TEMPORARY },
    })
}

fn verify_live(
    paths: &SpacePaths,
    depth: Depth,
    subset: Subset,
    options: &MigrateOptions,
    control: &Control<'_>,
) -> Result<(String, Option<Coverage>), Error> {
    let live = pointer::read(&RealDisk, paths.root())?.filter(|name| generation(name).is_some());
    let name = live.ok_or_else(|| Error::Usage {
        what: format!("{} has no published store to verify", paths.root().display()),
        next: "migrate it first".into(),
    })?;
    let disk = Arc::new(RealDisk);
    let store = Arc::new(DualSpace::open_on(disk.clone(), &paths.store(&name))?);
    let progress = Progress { disk, file: CheckpointFile::new(paths.verification(), CHECKPOINT_KIND) };
    let progress = paths.verification().is_dir().then_some(&progress);
    Ok((name, verify_store(store, depth, subset, progress, &options.engine(), control)?))
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    let how = if document.complete { "is what its manifest says" } else { "verification stopped" };
    writeln!(text, "{}: {} {how}", document.space, document.store).expect("a string takes any text");
    let Some(covered) = &document.coverage else { return text };
    let lines = [
        ("blocks", count_text(covered.blocks)),
        ("bytes", bytes_text(covered.bytes)),
        (RECORDS_NOUN, count_text(covered.node_rows)),
        ("blocks rebuilt", count_text(covered.rebuilt_blocks)),
        ("payloads rebuilt", count_text(covered.rebuilt_payloads)),
    ];
    let subset = &document.subset;
    writeln!(text, "covered, share {subset}").expect("a string takes any text");
    for (name, value) in lines {
        writeln!(text, "  {name:<20}{value:>16}").expect("a string takes any text");
    }
    text
}
