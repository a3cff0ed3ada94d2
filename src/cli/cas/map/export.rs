//! `haul cas map export`: prints all rows.
//!
//! As tab-separated lines; with `--jsonl` as one object per line, with `--json` as one array of the same objects:
//!
//! ```json
//! {"old_key": "…", "old_algorithm": "sha256", "new_key": "…", "size": 5}
//! ```

use clap::Args;

use super::arguments::MapArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::migration::exit;

/// `haul cas map export`
#[derive(Args)]
pub struct ExportCommand {
    #[command(flatten)]
    map: MapArgs,
    /// Print one JSON object per line
    #[arg(long, conflicts_with = "json")]
    jsonl: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl ExportCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let map = self.map.open()?;
        output::stream(|out| match (self.jsonl, self.output.json) {
            (true, _) => map.export_jsonl(out),
            (_, true) => map.export_json(out),
            _ => map.export_tsv(out),
        })?;
        Ok(exit::OK)
    }
}
