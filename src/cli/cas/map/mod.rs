//! `haul cas map`: the map of a migration.

mod check;
mod export;
mod find;
mod index;

use std::path::PathBuf;

use clap::Args;

use crate::cas::map::{KeyMap, earlier_maps, map_of_store};
use crate::cli::verbs::verbs;
use crate::durable::RealDisk;
use crate::migration::Error;

verbs! {
    /// What to do with a map.
    pub enum Verb;

    /// Show what became of an old key, and which old keys a new one came from
    Find(find::FindCommand),
    /// Print all rows: as they are, or as JSON
    Export(export::ExportCommand),
    /// Read all of a map and of its reverse file
    Check(check::CheckCommand),
    /// Make the reverse file of a map that came without it
    Index(index::IndexCommand),
}

/// Which map.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct MapArgs {
    /// The map
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// The store that was migrated to; its map is STORE.migration/key-map.tsv
    #[arg(long, value_name = "STORE")]
    target: Option<PathBuf>,
}

impl MapArgs {
    /// Opens it.
    pub fn open(&self) -> Result<KeyMap, Error> {
        KeyMap::open(&self.path()?)
    }

    /// The map, and behind it those of earlier migrations into the same store, if it is named by that.
    pub fn paths(&self) -> Result<Vec<PathBuf>, Error> {
        let map = self.path()?;
        let mut maps = if self.target.is_some() { earlier_maps(&RealDisk, &map)? } else { Vec::new() };
        // A migration that has not ended has none yet.
        if maps.is_empty() || map.exists() {
            maps.insert(0, map);
        }
        Ok(maps)
    }

    fn path(&self) -> Result<PathBuf, Error> {
        match (&self.map, &self.target) {
            (Some(map), _) => Ok(map.clone()),
            (_, Some(store)) => map_of_store(store).ok_or_else(|| Error::Usage {
                what: format!("{} does not end in the name of a store", store.display()),
                next: "name the store by a path that ends in its name".into(),
            }),
            _ => unreachable!("one of them is required"),
        }
    }
}
