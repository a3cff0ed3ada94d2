//! Arguments that the commands of a map share.

use std::path::PathBuf;

use clap::Args;

use crate::cas::map::{KeyMap, earlier_maps, map_of_store};
use crate::cli::arguments::{check_exists, check_file};
use crate::durable::{RealDisk, parent_of};
use crate::migration::Error;

/// The map, by its path or by its store.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct MapArgs {
    /// The map file
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// The target of the migration; its map is STORE.migration/key-map.tsv
    #[arg(long, value_name = "STORE")]
    target: Option<PathBuf>,
}

impl MapArgs {
    /// Opens the map.
    pub fn open(&self) -> Result<KeyMap, Error> {
        KeyMap::open(&self.path()?)
    }

    /// Returns the map and, if it is named by its store, those of earlier migrations into that store.
    pub fn paths(&self) -> Result<Vec<PathBuf>, Error> {
        let map = self.path()?;
        let mut maps = if self.target.is_some() { earlier_maps(&RealDisk, &map)? } else { Vec::new() };
        // A migration that has not ended has no map yet.
        if maps.is_empty() || map.exists() {
            maps.insert(0, map);
        }
        Ok(maps)
    }

    fn path(&self) -> Result<PathBuf, Error> {
        let next = "name the map of a migration: NEW.migration/key-map.tsv";
        match (&self.map, &self.target) {
            (Some(map), _) => check_file(map, next).map(|()| map.clone()),
            (_, Some(store)) => {
                let map = map_of_store(store).ok_or_else(|| Error::Usage {
                    what: format!("{} does not end in the name of a store", store.display()),
                    next: "name the store by a path that ends in its name".into(),
                })?;
                // The maps of earlier migrations lie next to it.
                check_exists(parent_of(&map), "name the target of a migration")?;
                Ok(map)
            }
            _ => unreachable!("one of them is required"),
        }
    }
}
