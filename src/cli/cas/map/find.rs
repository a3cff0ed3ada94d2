//! `haul cas map find`: the rows of one key.
//!
//! If a store is named, the latest of its maps that has the key answers. The JSON document has `map` (path), `key`,
//! and two lists of rows: `as_old` for the rows whose old key it is, `as_new` for those whose new key it is; a
//! direction that was not asked for is left out. A key that is in no row is an error with exit code 1.

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::arguments::MapArgs;
use crate::cas::Key;
use crate::cas::map::{KeyMap, MapRow};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::migration::Error;
use crate::migration::units::count_text;

/// `haul cas map find`
#[derive(Args)]
pub struct FindCommand {
    /// An old or a new key: 64 lowercase hex digits
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    map: MapArgs,
    /// Search only the old keys
    #[arg(long, conflicts_with = "new")]
    old: bool,
    /// Search only the new keys
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Found {
    key: Key,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_old: Option<Vec<MapRow>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    as_new: Option<Vec<MapRow>>,
}

impl FindCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let key = Key::parse(self.key.as_bytes()).ok_or_else(|| Error::Usage {
            what: format!("\"{}\" is not a key", self.key),
            next: "give 64 lowercase hex digits, without a scheme in front".into(),
        })?;
        let maps = self.map.paths()?;
        for path in &maps {
            let map = KeyMap::open(path)?;
            let found = self.look_up(key, &map)?;
            if found.rows().next().is_some() {
                let answer = Answer::new(&found).path("map", map.path());
                return answer.print(self.output, |table| found.rows().for_each(|row| table.line(text(row))));
            }
        }
        let which = match (self.old, self.new) {
            (true, _) => "old ",
            (_, true) => "new ",
            _ => "",
        };
        let maps: Vec<_> = maps.iter().map(|map| map.display().to_string()).collect();
        bail!("no row of {} has the {which}key {key}", maps.join(", "))
    }

    fn look_up(&self, key: Key, map: &KeyMap) -> anyhow::Result<Found> {
        let as_old = (!self.new).then(|| map.find_old(key)).transpose()?;
        let as_new = (!self.old).then(|| map.find_new(key)).transpose()?;
        Ok(Found { key, as_old, as_new })
    }
}

impl Found {
    /// Returns every row once: an unchanged key is found in both directions.
    fn rows(&self) -> impl Iterator<Item = &MapRow> {
        let as_old = self.as_old.iter().flatten();
        let only_as_new = |row: &&MapRow| self.as_old.is_none() || row.old_key != self.key;
        as_old.chain(self.as_new.iter().flatten().filter(only_as_new))
    }
}

fn text(row: &MapRow) -> String {
    let MapRow { old_key, old_algorithm, new_key, size } = row;
    format!("{old_algorithm:<8}{old_key} became {new_key}, {} bytes", count_text(*size))
}
