//! `haul space clean`: removes what no run and no reader needs any more.
//!
//! The JSON document has `space` (path), `removed` (a list of [`CleanItem`]) and `bytes`.

use std::fmt::Write;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::arguments::SpaceArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::confirm::confirm;
use crate::cli::output;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::bytes_text;
use crate::space::clean::{CleanItem, CleanKind, clean, clean_plan};

/// `haul space clean`
#[derive(Args)]
pub struct CleanCommand {
    #[command(flatten)]
    space: SpaceArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document<'a> {
    space: String,
    removed: &'a [CleanItem],
    bytes: u64,
}

impl CleanCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let items = clean_plan(Arc::new(RealDisk), &paths)?;
        let mut bytes = 0;
        if !items.is_empty() {
            confirm(&question(&items), self.yes)?;
            bytes = clean(Arc::new(RealDisk), &paths, &items)?;
        }
        let document = Document { space: paths.root().display().to_string(), removed: &items, bytes };
        output::print(self.output.json, &document, || text(&document))?;
        Ok(exit::OK)
    }
}

fn question(items: &[CleanItem]) -> String {
    let mut text = String::from("this removes");
    for item in items {
        let kind = match item.kind {
            CleanKind::Scratch => "scratch files of an index",
            CleanKind::Verification => "the place of a stopped verification",
            CleanKind::Staging => "a store that is not finished",
            CleanKind::Store => "a store that is not live",
            CleanKind::Temporary => "a leftover of an interrupted write",
        };
        let work = if item.loses_work { "; a run could still go on from it" } else { "" };
        write!(text, "\n  {}: {kind}, {}{work}", item.path.display(), bytes_text(item.bytes))
            .expect("a string takes any text");
    }
    text
}

fn text(document: &Document<'_>) -> String {
    let Document { space, removed, bytes } = document;
    if removed.is_empty() {
        return format!("{space}: nothing to remove\n");
    }
    let mut text = format!("{space}: {} given back\n", bytes_text(*bytes));
    for item in *removed {
        writeln!(text, "  removed {}", item.path.display()).expect("a string takes any text");
    }
    text
}
