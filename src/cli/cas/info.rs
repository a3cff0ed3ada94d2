//! `haul cas info`: what the index says about one object. The blob is not read.
//!
//! The JSON document has the fields of the index line, and `path` (where the blob belongs). An object that the
//! index does not have is an error with exit code 1.

use clap::Args;

use super::arguments::ObjectArgs;
use crate::cas::format::record::ObjectRecord;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::table::Table;
use crate::migration::units::{bytes_text, count_text};

/// `haul cas info`
#[derive(Args)]
pub struct InfoCommand {
    #[command(flatten)]
    object: ObjectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl InfoCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let store = self.object.store.open()?;
        let key = self.object.find(&store)?;
        let record = store.info(key)?.ok_or_else(|| self.object.not_there(key))?;
        let path = store.paths().blob(record.digest);
        Answer::new(&record).path("path", &path).print(self.output, |table| {
            render(table, &record);
            table.row("path", path.display());
        })
    }
}

fn render(table: &mut Table, record: &ObjectRecord) {
    table.row("key", record.digest);
    table.row("content", size_text(record.original_size));
    table.row("blob", format_args!("{}, {}", size_text(record.stored_size), record.encoding));
    table.row("blob hash", record.stored_blob_hash);
    table.row("created", time_text(record.created_at));
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
