//! `haul cas put`: puts content into a store, durably, and prints its key.
//!
//! The JSON document is a [`PutEnd`]: the object's sidecar, and what was written. A key that already
//! stands for other content ends with exit code 70.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use crate::cas::format::encoding::Compress;
use crate::cas::store::put::{PutEnd, PutOptions, put};
use crate::cli::arguments::{OutputArgs, ShortWaitArgs, WaitArgs, check_exists};
use crate::cli::command::Answer;
use crate::durable::{DiskError, RealDisk};
use crate::migration::Error;
use crate::migration::units::bytes_text;

/// `haul cas put`
#[derive(Args)]
pub struct PutCommand {
    /// Directory of a v2 store; it is created if it does not exist
    #[arg(value_name = "STORE")]
    store: PathBuf,
    /// The content; - is standard input
    #[arg(value_name = "FILE|-")]
    content: PathBuf,
    /// How to store a new object: identity, zstd or zstd:LEVEL with a level from 1 to 22
    #[arg(long, value_name = "HOW", default_value_t = Compress::Identity)]
    compress: Compress,
    /// Time of a new object, in seconds since 1970; 0 means not known [default: now]
    #[arg(long, value_name = "SECS")]
    created_at: Option<u64>,
    #[command(flatten)]
    wait: ShortWaitArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl PutCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let created_at = self.created_at.unwrap_or_else(now);
        let options = PutOptions { compress: self.compress, created_at };
        // The content is read under the lock, so an attempt without it has read nothing.
        let end = WaitArgs::from(self.wait).until_free(self.output, || {
            if self.content == Path::new("-") {
                put(&RealDisk, &self.store, &mut stdin().lock(), Path::new("standard input"), options)
            } else {
                put(&RealDisk, &self.store, &mut self.open()?, &self.content, options)
            }
        })?;
        if !self.output.json {
            self.output.say(written_text(&end));
        }
        Answer::new(&end).print(self.output, |table| table.line(end.record.digest))
    }

    /// Opens the content before the store is created: content that does not exist creates none.
    fn open(&self) -> Result<impl Read, Error> {
        check_exists(&self.content, "name a file, or - for standard input")?;
        let wrap = |e| DiskError::new("open", &self.content, e);
        let file = File::open(&self.content).map_err(wrap)?;
        if file.metadata().map_err(wrap)?.is_dir() {
            let what = format!("{} is a directory", self.content.display());
            return Err(Error::Usage { what, next: "name a file, or - for standard input".into() });
        }
        Ok(file)
    }
}

/// Returns the seconds since 1970, or 0 (not known) if the clock is before that.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn written_text(end: &PutEnd) -> String {
    let record = &end.record;
    let what = match (end.blob_written, end.sidecar_written, end.index_line_written) {
        (true, _, _) => "stored",
        (false, false, false) => "already there",
        (false, true, false) => "already there; its sidecar was written again",
        (false, false, true) => "already there; its line in the index was written again",
        (false, true, true) => "already there; its sidecar and its line in the index were written again",
    };
    let torn = if end.index_tail_ended { "; the index had no newline at its end" } else { "" };
    let (content, blob) = (bytes_text(record.original_size), bytes_text(record.stored_size));
    format!("{what}: {content} of content, {blob} as {}{torn}", record.encoding)
}
