//! Arguments that the verbs of a content-addressed store share.

use std::path::PathBuf;

use clap::Args;

use crate::cas::Key;
use crate::cas::store::CasStore;
use crate::migration::Error;

/// Which store.
#[derive(Args)]
pub struct StoreArgs {
    /// Directory of a v2 store: the one that holds objects and index.ndjson
    #[arg(value_name = "STORE")]
    pub store: PathBuf,
}

impl StoreArgs {
    /// Opens it for reading.
    pub fn open(&self) -> Result<CasStore, Error> {
        CasStore::open(&self.store)
    }
}

/// Which object of which store.
#[derive(Args)]
pub struct ObjectArgs {
    #[command(flatten)]
    pub store: StoreArgs,
    /// The object's key: 64 lowercase hex digits
    #[arg(value_name = "KEY", value_parser = key)]
    pub key: Key,
}

impl ObjectArgs {
    /// What to say if the store does not know it.
    pub fn absent(&self) -> anyhow::Error {
        anyhow::anyhow!("no object {} in {}", self.key, self.store.store.display())
    }
}

fn key(text: &str) -> Result<Key, &'static str> {
    Key::parse(text.as_bytes()).ok_or("a key is 64 of the digits 0-9 and a-f")
}
