//! `haul space stats`: what a log contains.
//!
//! The JSON document is a [`Stats`].

use clap::Args;

use super::arguments::{RECORDS_NOUN, ReaderArgs, SpaceArgs, scope};
use super::plan::files_text;
use crate::cli::arguments::OutputArgs;
use crate::cli::command::Answer;
use crate::cli::output::write_more;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::migration::units::{bytes_text, count_text};
use crate::space::log::wal::EntryKind;
use crate::space::options::MigrateOptions;
use crate::space::stats::{LogTotals, Stats, stats};

/// Regions that the text shows. The document has more.
const REGIONS_SHOWN_MAX: usize = 20;

/// `haul space stats`
#[derive(Args)]
pub struct StatsCommand {
    #[command(flatten)]
    space: SpaceArgs,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

impl StatsCommand {
    pub fn run(self) -> anyhow::Result<u8> {
        let paths = self.space.locate()?;
        let watch = Watch::start(self.output)?;
        watch.say(format_args!("reading {}", paths.log().display()));
        let scope = scope(&MigrateOptions::default());
        let stats = watch.run(scope, |control| stats(&paths, self.reader.reader, control))?;
        Answer::new(&stats).print(self.output, |table| render(table, &stats))
    }
}

fn render(table: &mut Table, stats: &Stats) {
    table.row("space", &stats.space);
    if !stats.valid_space_name {
        table.row("", "note: Engram takes no directory of this name for a space");
    }
    table.row("log", files_text(stats.files.len()));
    render_totals(table, &stats.total);
    for file in &stats.files {
        let (records, bytes) = (count_text(file.totals.records), bytes_text(file.totals.bytes.total));
        let linked = if file.linked { ", a symbolic link" } else { "" };
        table.row("file", format_args!("{}: {records} records, {bytes}{linked}", file.name));
    }
    for region in stats.regions.iter().take(REGIONS_SHOWN_MAX) {
        let kind = if region.damaged { "damaged" } else { "tail" };
        let place = format!("{} at {}, {} bytes", region.file, region.offset, region.len_bytes);
        table.row(kind, format_args!("{place}: {}", region.reason));
    }
    write_more(table, stats.regions_total, REGIONS_SHOWN_MAX);
    for other in &stats.others {
        table.row("not read", format_args!("{} ({})", other.name, bytes_text(other.len_bytes)));
    }
    if let Some(bytes) = stats.warm_tier_bytes {
        table.row("not a source", format_args!("warm_tier.dat ({})", bytes_text(bytes)));
    }
    for name in &stats.tier_directories {
        table.row("not a source", format_args!("{name}/"));
    }
    match &stats.store {
        Some(store) => {
            let (nodes, bytes) = (count_text(store.nodes), bytes_text(store.bytes));
            table.row("live store", format_args!("{}: {nodes} {RECORDS_NOUN}, {bytes}", store.name));
        }
        None => table.row("live", "the log"),
    }
}

fn render_totals(table: &mut Table, total: &LogTotals) {
    table.count("records", total.records);
    table.nested(|table| {
        table.counts(total.records_by_type.iter().map(|(kind, count)| (kind_text(*kind), *count)));
        if total.checksum_failures > 0 {
            table.count("bad checksum", total.checksum_failures);
        }
    });
    if let Some(span) = total.payload_bytes {
        let [min, max, mean] = [span.min, span.max, total.payload_bytes_mean].map(bytes_text);
        table.row("payload", format_args!("{min} to {max}, {mean} on average"));
    }
    table.bytes("bytes", total.bytes.total);
    let parts = [
        ("torn tails", total.bytes.torn_tail),
        ("zero tails", total.bytes.zero_tail),
        ("damaged", total.bytes.damaged),
    ];
    for (name, bytes) in parts.into_iter().filter(|(_, bytes)| *bytes > 0) {
        table.nested(|table| table.bytes(name, bytes));
    }
}

fn kind_text(entry_type: u32) -> String {
    let is = |kind: EntryKind| kind.entry_type() == entry_type;
    if is(EntryKind::Store) {
        "stores".into()
    } else if is(EntryKind::Update) {
        "updates".into()
    } else if is(EntryKind::Delete) {
        "deletions".into()
    } else {
        format!("type {entry_type}")
    }
}
