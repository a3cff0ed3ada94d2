//! `haul space verify`: reads a store again and compares it with its manifest.
//!
//! The JSON document is a [`VerifyEnd`] with `space` (path) and `exit_code`.

use std::sync::Arc;

use clap::Args;

use super::arguments::{RECORDS_NOUN, SpaceArgs, resource_options, scope};
use crate::cli::arguments::{OutputArgs, ResourceArgs, WaitArgs};
use crate::cli::command::Answer;
use crate::cli::metrics_args::MetricsArgs;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::durable::RealDisk;
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
    /// The store to verify [default: the live one, else that of the last run]
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
    /// Check only what describes the store (manifest, indexes, lengths) and no block
    #[arg(long, conflicts_with_all = ["full", "subset"])]
    quick: bool,
    /// Also rebuild the original bytes from every block and compare them with the digests of the source
    #[arg(long)]
    full: bool,
    /// Check only the N-th of T shares of the blocks
    #[arg(long, value_name = "N/T", default_value_t = Subset::ALL)]
    subset: Subset,
    #[command(flatten)]
    resources: ResourceArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What to verify.
pub struct Request<'a> {
    pub store: Option<&'a str>,
    pub depth: Depth,
    pub subset: Subset,
    pub wait: WaitArgs,
}

impl VerifyCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let watch =
            Watch::start(self.output)?.with_metrics_of(&self.metrics, ("space", paths.root().display()), "finished")?;
        let request =
            Request { store: self.store.as_deref(), depth: self.depth(), subset: self.subset, wait: self.wait };
        let end = verify(&watch, &paths, &request, &resource_options(&self.resources))?;
        let answer = Answer::new(&end)
            .path("space", paths.root())
            .stopped(end.stopped)
            .exit_if(!end.lost.is_empty(), exit::BAD_DATA);
        answer.print(self.output, |table| render(table, &paths, &end))
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
    watch.say(format_args!("verifying {}", paths.root().display()));
    let &Request { store, depth, subset, wait } = request;
    watch.run_when_free(wait, scope(options), |control| {
        verify_space(Arc::new(RealDisk), paths, store, depth, subset, options, control)
    })
}

fn render(table: &mut Table, paths: &SpacePaths, end: &VerifyEnd) {
    let space = paths.root().display();
    if end.stopped {
        return table.line(format_args!("{space}: verification of {} stopped, to be resumed", end.store));
    }
    table.line(format_args!("{space}: {} matches its manifest", end.store));
    end.lost.iter().for_each(|lost| table.line(format_args!("{}: {}", lost.path.display(), lost.what)));
    if end.depth == Depth::Quick {
        return table.line("checked: manifest, indexes and lengths; no block");
    }
    table.line(format_args!("checked, share {} of the blocks", end.subset));
    let covered = &end.coverage;
    table.nested(|table| {
        table.count("blocks", covered.blocks);
        table.bytes("bytes", covered.bytes);
        table.count(RECORDS_NOUN, covered.node_rows);
        if end.depth == Depth::Full {
            table.count("blocks rebuilt", covered.rebuilt_blocks);
            table.count("payloads rebuilt", covered.rebuilt_payloads);
        }
    });
}
