//! `haul cas map find`: the rows of one key.
//!
//! If a store is named, the latest of its maps that has the key answers. The JSON document has `map` (path), `key`,
//! and two lists of rows: `as_old` for the rows whose old key it is, `as_new` for those whose new key it is; a
//! direction that was not asked for is left out. A key that is in no row is an error with exit code 1.

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::arguments::MapArgs;
use crate::cas::format::key_text::{Candidates, KeyText};
use crate::cas::map::{KeyMap, MapRow};
use crate::cas::{Algorithm, Key};
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::migration::Error;
use crate::migration::units::count_text;

/// `haul cas map find`
#[derive(Args)]
pub struct FindCommand {
    /// An old or a new key, or its first digits; sha256:DIGITS means old keys that were made with SHA-256
    #[arg(value_name = "KEY")]
    key: KeyText,
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
        let maps = self.map.paths()?;
        let open = maps.iter().map(|path| KeyMap::open(path)).collect::<Result<Vec<_>, _>>()?;
        let key = self.whole_key(&open)?;
        for (map, key) in open.iter().filter_map(|map| Some((map, key?))) {
            let found = self.look_up(key, map)?;
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
        let begins = if self.key.whole().is_some() { "has" } else { "begins with" };
        bail!("no row of {} {begins} the {which}key {}", maps.join(", "), self.key)
    }

    /// Returns the only key that is meant.
    fn whole_key(&self, maps: &[KeyMap]) -> Result<Option<Key>, Error> {
        if let Some(key) = self.key.whole() {
            return Ok(Some(key));
        }
        let mut found = Candidates::default();
        let mut add = |key| {
            found.add(key);
            !found.is_full()
        };
        for map in maps {
            if !self.new {
                map.for_each_old(&self.key, |row| add(row.old_key))?;
            }
            if self.searches_new() {
                map.for_each_new(&self.key, &mut add)?;
            }
        }
        self.key.only(&found)
    }

    /// Returns true if new keys are asked for, which all are made in the same way.
    fn searches_new(&self) -> bool {
        !self.old && self.key.algorithm.is_none_or(|algorithm| algorithm == Algorithm::Cas)
    }

    fn look_up(&self, key: Key, map: &KeyMap) -> anyhow::Result<Found> {
        let mut as_old = (!self.new).then(|| map.find_old(key)).transpose()?;
        if let (Some(rows), Some(algorithm)) = (&mut as_old, self.key.algorithm) {
            rows.retain(|row| row.old_algorithm == algorithm);
        }
        let as_new = self.searches_new().then(|| map.find_new(key)).transpose()?;
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
