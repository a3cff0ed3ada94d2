//! `haul space stats`: what a log consists of.
//!
//! The JSON document is a [`Stats`].

use std::fmt::Write;

use clap::Args;

use super::arguments::{RECORDS_NOUN, ReaderArgs, SpaceArgs, scope};
use super::plan::files_text;
use crate::cli::arguments::OutputArgs;
use crate::cli::output;
use crate::cli::progress::Watch;
use crate::migration::exit;
use crate::migration::units::{bytes_text, count_text};
use crate::space::log::wal::EntryKind;
use crate::space::options::MigrateOptions;
use crate::space::stats::{LogTotals, Stats, stats};

/// Regions that the text shows; the document has more.
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
        let watch = Watch::start(self.output.progress)?;
        watch.say(&format!("reading {}", paths.log().display()));
        let scope = scope(&MigrateOptions::default());
        let stats = watch.run(scope, |control| stats(&paths, self.reader.reader, control))?;
        output::print(self.output.json, &stats, || output::text_of(|text| render(text, &stats)))?;
        Ok(exit::OK)
    }
}

fn render(text: &mut String, stats: &Stats) -> std::fmt::Result {
    writeln!(text, "{:<14} {}", "space", stats.space)?;
    if !stats.valid_space_name {
        writeln!(text, "{:<14} note: Engram takes no directory of this name for a space", "")?;
    }
    writeln!(text, "{:<14} {}", "log", files_text(stats.files.len()))?;
    render_totals(text, &stats.total)?;
    for file in &stats.files {
        let (records, bytes) = (count_text(file.totals.records), bytes_text(file.totals.bytes.total));
        let linked = if file.linked { ", a symbolic link" } else { "" };
        writeln!(text, "{:<14} {}: {records} records, {bytes}{linked}", "file", file.name)?;
    }
    for region in stats.regions.iter().take(REGIONS_SHOWN_MAX) {
        let kind = if region.damaged { "damaged" } else { "tail" };
        let place = format!("{} at {}, {} bytes", region.file, region.offset, region.len_bytes);
        writeln!(text, "{kind:<14} {place}: {}", region.reason)?;
    }
    let more = stats.regions_total.saturating_sub(REGIONS_SHOWN_MAX as u64);
    if more > 0 {
        writeln!(text, "{:<14} … and {} more", "", count_text(more))?;
    }
    for other in &stats.others {
        writeln!(text, "{:<14} {} ({})", "not read", other.name, bytes_text(other.len_bytes))?;
    }
    if let Some(bytes) = stats.warm_tier_bytes {
        writeln!(text, "{:<14} warm_tier.dat ({})", "not a source", bytes_text(bytes))?;
    }
    for name in &stats.tier_directories {
        writeln!(text, "{:<14} {name}/", "not a source")?;
    }
    match &stats.store {
        Some(store) => {
            let (nodes, bytes) = (count_text(store.nodes), bytes_text(store.bytes));
            writeln!(text, "{:<14} {}: {nodes} {RECORDS_NOUN}, {bytes}", "live store", store.name)
        }
        None => writeln!(text, "{:<14} the log", "live"),
    }
}

fn render_totals(text: &mut String, total: &LogTotals) -> std::fmt::Result {
    writeln!(text, "{:<14} {}", "records", count_text(total.records))?;
    for (kind, count) in &total.records_by_type {
        writeln!(text, "  {:<12} {}", kind_text(*kind), count_text(*count))?;
    }
    if total.checksum_failures > 0 {
        writeln!(text, "  {:<12} {}", "bad checksum", count_text(total.checksum_failures))?;
    }
    if let Some(span) = total.payload_bytes {
        let mean = bytes_text(total.payload_bytes_mean);
        writeln!(text, "{:<14} {} to {}, {mean} in the mean", "payload", bytes_text(span.min), bytes_text(span.max))?;
    }
    writeln!(text, "{:<14} {}", "bytes", bytes_text(total.bytes.total))?;
    let parts = [
        ("torn tails", total.bytes.torn_tail),
        ("zero tails", total.bytes.zero_tail),
        ("damaged", total.bytes.damaged),
    ];
    for (name, bytes) in parts.into_iter().filter(|(_, bytes)| *bytes > 0) {
        writeln!(text, "  {name:<12} {}", bytes_text(bytes))?;
    }
    Ok(())
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
