//! `haul cas map check`: whether a map is whole and in order.
//!
//! The JSON document is a [`MapCheck`] with `map` (path).

use clap::Args;

use super::arguments::MapArgs;
use crate::cas::map::MapCheck;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::migration::units::{bytes_text, count_text};

/// `haul cas map check`
#[derive(Args)]
pub struct CheckCommand {
    #[command(flatten)]
    map: MapArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl CheckCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let map = self.map.open()?;
        let check = map.check()?;
        Answer::new(&check).path("map", map.path()).print(self.output, |table| {
            table.line(format_args!("{}: {}", map.path().display(), text(&check)));
            table.line(format_args!("blake3 {}", check.digest));
        })
    }
}

fn text(check: &MapCheck) -> String {
    let reverse = if check.has_reverse {
        "the reverse file covers each"
    } else {
        "there is no reverse file: new keys are found by reading the whole map"
    };
    format!("{} rows in order, {}; {reverse}", count_text(check.rows), bytes_text(check.bytes))
}
