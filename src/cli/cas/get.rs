//! `haul cas get`: the content of one object, verified against its key.
//!
//! Without `--out` the content goes to standard output, after a first reading has verified it. With `--out` the file gets
//! its name when the content is verified and durable; the JSON document is then the object's sidecar with `out` (path). An
//! object that the store does not have is an error with exit code 1, a damaged one ends with 65.

use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::ObjectArgs;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::output;
use crate::migration::units::bytes_text;
use crate::migration::{Error, exit};

/// `haul cas get`
#[derive(Args)]
pub struct GetCommand {
    #[command(flatten)]
    object: ObjectArgs,
    /// Write the content to this file instead of standard output; an existing file is replaced
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl GetCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        match &self.out {
            Some(path) => self.to_file(path),
            None if self.output.json => Err(Error::Usage {
                what: "standard output cannot take both the content and a JSON document".into(),
                next: "add --out FILE, or leave --json out".into(),
            }
            .into()),
            None => self.to_stdout(),
        }
    }

    fn to_stdout(&self) -> anyhow::Result<u8> {
        let store = self.object.store.open()?;
        let key = self.object.find(&store)?;
        match output::stream(|out| store.get(key, out))? {
            Some(None) => Err(self.object.not_there(key)),
            Some(Some(_)) | None => Ok(exit::OK),
        }
    }

    fn to_file(&self, path: &Path) -> anyhow::Result<u8> {
        let store = self.object.store.open()?;
        let key = self.object.find(&store)?;
        let record = store.get_to_file(key, path)?.ok_or_else(|| self.object.not_there(key))?;
        if !self.output.json {
            self.output.say(format_args!("{} written to {}", bytes_text(record.original_size), path.display()));
        }
        Answer::new(&record).path("out", path).print(self.output, |_| ())
    }
}
