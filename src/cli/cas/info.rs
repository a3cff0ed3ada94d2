//! `haul cas info`: what the index says of one object. The blob is not looked at.
//!
//! The JSON document has the fields of the index line and `path`: where the blob belongs. An object that the index does
//! not know is an error with exit code 1.

use std::fmt::Write;

use clap::Args;
use serde::Serialize;

use super::arguments::ObjectArgs;
use crate::cas::format::record::ObjectRecord;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};

/// `haul cas info`
#[derive(Args)]
pub struct InfoCommand {
    #[command(flatten)]
    object: ObjectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    record: ObjectRecord,
    path: String,
}

impl InfoCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let store = self.object.store.open()?;
        let record = store.info(self.object.key)?.ok_or_else(|| self.object.absent())?;
        let path = store.paths().blob(record.digest).display().to_string();
        let document = Document { record, path };
        output::print(self.output.json, &document, || output::text_of(|text| render(text, &document)))?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, document: &Document) -> std::fmt::Result {
    let mut line = |name: &str, value: &str| writeln!(text, "{name:<10} {value}");
    let record = &document.record;
    line("key", &record.digest.to_string())?;
    line("content", &size_text(record.original_size))?;
    line("blob", &format!("{}, {}", size_text(record.stored_size), record.encoding))?;
    line("blob hash", &record.stored_blob_hash.to_string())?;
    line("created", &time_text(record.created_at))?;
    line("path", &document.path)
}

fn size_text(bytes: u64) -> String {
    let exact = format!("{} bytes", count_text(bytes));
    if bytes < 1024 { exact } else { format!("{} ({exact})", bytes_text(bytes)) }
}

fn time_text(created_at: u64) -> String {
    let time = i64::try_from(created_at).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    match time {
        _ if created_at == 0 => "not known".into(),
        Some(time) => time.to_string(),
        None => format!("{created_at} s after 1970"),
    }
}
