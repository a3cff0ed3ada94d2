//! `haul cas get`: the content of one object, and none that is not what the key says.
//!
//! Without `--out` the content goes to standard output, after a first reading verified it. With `--out` the file has its
//! name when the content is verified and durable; the JSON document is then the object's sidecar and `out`, the path.
//! An object that the store does not know is an error with exit code 1, a damaged one ends with 65.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::arguments::ObjectArgs;
use crate::cas::format::record::ObjectRecord;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::migration::units::bytes_text;
use crate::migration::{Error, exit};
use crate::observe::Console;

/// `haul cas get`
#[derive(Args)]
pub struct GetCommand {
    #[command(flatten)]
    object: ObjectArgs,
    /// Write the content to this file instead of standard output; one that exists is replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    record: ObjectRecord,
    out: String,
}

impl GetCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        match &self.out {
            Some(path) => self.to_file(path),
            None if self.output.json => Err(Error::Usage {
                what: "standard output cannot hold the content and a JSON document".into(),
                next: "add --out FILE, or leave --json out".into(),
            }
            .into()),
            None => self.to_stdout(),
        }
    }

    fn to_stdout(&self) -> anyhow::Result<u8> {
        let store = self.object.store.open()?;
        match output::stream(|out| store.get(self.object.key, out))? {
            Some(None) => Err(self.object.absent()),
            Some(Some(_)) | None => Ok(exit::OK),
        }
    }

    fn to_file(&self, path: &Path) -> anyhow::Result<u8> {
        let store = self.object.store.open()?;
        let record = store.get_to_file(self.object.key, path)?.ok_or_else(|| self.object.absent())?;
        if self.output.json {
            output::json(&Document { record, out: path.display().to_string() })?;
        } else if self.output.progress.is_spoken() {
            Console::new().line(&format!("{} written to {}", bytes_text(record.original_size), path.display()));
        }
        Ok(exit::OK)
    }
}
