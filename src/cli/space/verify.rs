//! `haul space verify`: reads a store again and compares it with what its manifest says.
//!
//! The JSON document is a [`VerifyEnd`] and, beside its fields, `space` (path) and `exit_code`.

use std::fmt::Write;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::{RECORDS_NOUN, SpaceArgs, course, scope};
use crate::cli::arguments::{OutputArgs, ResourceArgs};
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Error, Subset, exit};
use crate::space::options::MigrateOptions;
use crate::space::paths::SpacePaths;
use crate::space::verify::Depth;
use crate::space::verify::run::{VerifyEnd, verify_space};

/// `haul space verify`
#[derive(Args)]
pub struct VerifyCommand {
    #[command(flatten)]
    space: SpaceArgs,
    /// Which store [default: the live one, else that of the last run]
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
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

/// What is to be verified.
pub struct Request<'a> {
    pub store: Option<&'a str>,
    pub depth: Depth,
    pub subset: Subset,
}

#[derive(Serialize)]
struct Document<'a> {
    space: String,
    #[serde(flatten)]
    end: &'a VerifyEnd,
    exit_code: u8,
}

impl VerifyCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let watch = Watch::start(self.output.progress)?;
        let request = Request { store: self.store.as_deref(), depth: self.depth(), subset: self.subset };
        let end = verify(&watch, &paths, &request, &course(&self.resources))?;
        let exit_code = if end.stopped { exit::TEMPORARY } else { exit::OK };
        let document = Document { space: paths.root().display().to_string(), end: &end, exit_code };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        if end.stopped {
            watch.say_stopped();
        }
        Ok(exit_code)
    }

    fn depth(&self) -> Depth {
        match (self.quick, self.full) {
            (true, _) => Depth::Quick,
            (_, true) => Depth::Full,
            _ => Depth::Blocks,
        }
    }
}

/// Verifies with a view of the progress.
pub fn verify(
    watch: &Watch,
    paths: &SpacePaths,
    request: &Request<'_>,
    options: &MigrateOptions,
) -> Result<VerifyEnd, Error> {
    watch.say(&format!("verifying {}", paths.root().display()));
    let &Request { store, depth, subset } = request;
    watch.run(scope(options), |control| verify_space(Arc::new(RealDisk), paths, store, depth, subset, options, control))
}

fn render(text: &mut String, document: &Document<'_>) -> std::fmt::Result {
    let Document { space, end, .. } = document;
    if end.stopped {
        return writeln!(text, "{space}: verification of {} stopped, to be resumed", end.store);
    }
    writeln!(text, "{space}: {} is what its manifest says", end.store)?;
    if end.depth == Depth::Quick {
        return writeln!(text, "covered: manifest, indexes and lengths; no block");
    }
    writeln!(text, "covered, share {} of the blocks", end.subset)?;
    let covered = &end.coverage;
    let mut lines = vec![
        ("blocks", count_text(covered.blocks)),
        ("bytes", bytes_text(covered.bytes)),
        (RECORDS_NOUN, count_text(covered.node_rows)),
    ];
    if end.depth == Depth::Full {
        lines.push(("blocks rebuilt", count_text(covered.rebuilt_blocks)));
        lines.push(("payloads rebuilt", count_text(covered.rebuilt_payloads)));
    }
    for (name, value) in lines {
        writeln!(text, "  {name:<28}{value:>16}")?;
    }
    Ok(())
}
