//! `haul cas ls`: the objects of a store by key, one per line: key, tab, length of the blob.
//!
//! With `--json` one document, in the words of the reference: `{"objects": [{"digest": "…", "size": 5}, …]}`. Either
//! way, an object counts if its blob is in place, even if the index does not have it.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use clap::Args;

use super::arguments::V2Store;
use crate::cas::store::{CasStore, Objects};
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::place::Place;
use crate::durable::DiskError;
use crate::migration::{Error, exit};

/// `haul cas ls`
#[derive(Args)]
pub struct LsCommand {
    #[command(flatten)]
    store: Place<V2Store>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl LsCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let objects = CasStore::open(&self.store)?.objects()?;
        output::stream(|out| list(objects, self.output.json, &mut BufWriter::new(out)))?;
        Ok(exit::OK)
    }
}

fn list(mut objects: Objects, json: bool, out: &mut dyn Write) -> Result<(), Error> {
    let wrap = |e: io::Error| DiskError::new("write to", Path::new("standard output"), e);
    let mut separator = "";
    if json {
        out.write_all(b"{\"objects\": [").map_err(wrap)?;
    }
    while let Some(object) = objects.next()? {
        let (key, size) = (object.key, object.stored_size);
        if json {
            write!(out, "{separator}\n  {{\"digest\": \"{key}\", \"size\": {size}}}").map_err(wrap)?;
            separator = ",";
        } else {
            writeln!(out, "{key}\t{size}").map_err(wrap)?;
        }
    }
    if json {
        out.write_all(b"\n]}\n").map_err(wrap)?;
    }
    Ok(out.flush().map_err(wrap)?)
}
