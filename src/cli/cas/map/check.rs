//! `haul cas map check`: whether a map is whole and in order.
//!
//! The JSON document is a [`MapCheck`] and, beside its fields, `map` (path).

use clap::Args;
use serde::Serialize;

use super::MapArgs;
use crate::cas::map::MapCheck;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};

/// `haul cas map check`
#[derive(Args)]
pub struct CheckCommand {
    #[command(flatten)]
    map: MapArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    map: String,
    #[serde(flatten)]
    check: MapCheck,
}

impl CheckCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let map = self.map.open()?;
        let document = Document { map: map.path().display().to_string(), check: map.check()? };
        output::print(self.output.json, &document, || text(&document))?;
        Ok(exit::OK)
    }
}

fn text(document: &Document) -> String {
    let MapCheck { rows, bytes, digest, has_reverse } = &document.check;
    let reverse = if *has_reverse {
        "the reverse file leads to each"
    } else {
        "there is no reverse file: new keys are found by reading the whole map"
    };
    let (rows, bytes) = (count_text(*rows), bytes_text(*bytes));
    format!("{}: {rows} rows in order, {bytes}; {reverse}\nblake3 {digest}\n", document.map)
}
