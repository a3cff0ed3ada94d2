//! `haul cas map index`: the reverse file of a map.
//!
//! The JSON document has `map` and `reverse` (paths), `rows`, and `exit_code`; `rows` is `null` if it was stopped.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::MapArgs;
use crate::cas::map::reverse_path;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::durable::RealDisk;
use crate::migration::exit;
use crate::migration::units::count_text;
use crate::observe::Scope;

/// Memory for sorting.
const MEMORY_BYTES: u64 = 256 << 20;

/// `haul cas map index`
#[derive(Args)]
pub struct IndexCommand {
    #[command(flatten)]
    map: MapArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    map: String,
    reverse: String,
    rows: Option<u64>,
    exit_code: u8,
}

impl IndexCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let map = self.map.open()?;
        let watch = Watch::start(self.output.progress)?;
        let scratch = map.path().with_extension("reverse.scratch");
        let scope = Scope { records_noun: "rows", source_bytes: None, budget_bytes: MEMORY_BYTES };
        let rows =
            watch.run(scope, |control| map.write_reverse(Arc::new(RealDisk), &scratch, MEMORY_BYTES, control.stop))?;
        let exit_code = if rows.is_some() { exit::OK } else { exit::TEMPORARY };
        let path = |path: &std::path::Path| path.display().to_string();
        let document = Document { map: path(map.path()), reverse: path(&reverse_path(map.path())), rows, exit_code };
        output::print(self.output.json, &document, || text(&document))?;
        if rows.is_none() {
            watch.say_stopped();
        }
        Ok(exit_code)
    }
}

fn text(document: &Document) -> String {
    match document.rows {
        Some(rows) => format!("{}: {} entries, one for each row\n", document.reverse, count_text(rows)),
        None => format!("{}: stopped; nothing was changed\n", document.map),
    }
}
