//! What plans and estimates of all rooms say about time and space.

use std::time::Duration;

use super::table::Table;
use crate::estimate::{CheckStatus, Estimate, Past};
use crate::migration::report::parts::Quantiles;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::duration_text;
use crate::pipeline::ForecastFigures;

/// `3 min 05 s`
fn seconds_text(seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if seconds < 10.0 => format!("{:.1} s", time.as_secs_f64()),
        Ok(time) => duration_text(time),
        Err(_) => "unknown".to_owned(),
    }
}

/// `3 needed, 2 free: not enough`
pub fn needed_text(needed: u64, free: Option<u64>, number_text: impl Fn(u64) -> String) -> String {
    let free_text = free.map_or("no limit".to_owned(), |free| format!("{} free", number_text(free)));
    let verdict = if free.is_none_or(|free| free >= needed) { "" } else { ": not enough" };
    format!("{} needed, {free_text}{verdict}", number_text(needed))
}

fn range_text(Quantiles { p10, p50, p90 }: Quantiles) -> String {
    format!("about {} ({} to {})", seconds_text(p50), seconds_text(p10), seconds_text(p90))
}

/// Writes an estimate.
pub fn write_estimate<P>(table: &mut Table, estimate: &Estimate<P>, records_noun: &str) {
    let records = count_text(estimate.records);
    table.row(records_noun, format_args!("{records} in {}", bytes_text(estimate.source_bytes)));
    write_time(table, estimate, records_noun);
    let sample = &estimate.sample;
    let rate = |rate: Option<u64>, text: fn(u64) -> String| rate.map_or("unknown".to_owned(), text);
    table.row(
        "reading",
        format_args!(
            "{} {records_noun}/s, {}/s a thread, from a sample of {}",
            rate(estimate.read_records_per_second, count_text),
            rate(estimate.read_bytes_per_second, bytes_text),
            count_text(sample.amount.records)
        ),
    );
    if let Some(share) = sample.cached_share {
        table.row("in memory", format_args!("{:.0}% of the source", share * 100.0));
    }
    table.row("disk", needed_text(estimate.space_needed_bytes, Some(estimate.free_bytes), bytes_text));
    table.bytes("after clean", estimate.space_after_clean_bytes);
    table.row("inodes", needed_text(estimate.inodes_needed, estimate.free_inodes, count_text));
    let peak =
        estimate.memory_peak_bytes.map_or(String::new(), |peak| format!(", {} at most until now", bytes_text(peak)));
    table.row("memory", format_args!("{} for data in flight{peak}", bytes_text(estimate.memory_bytes)));
    write_checks(table, estimate);
}

fn write_time<P>(table: &mut Table, estimate: &Estimate<P>, records_noun: &str) {
    let Some(ForecastFigures { p10, p50, p90, basis, .. }) = &estimate.time else {
        let problem = estimate.time_problem.as_deref().unwrap_or("it was not measured");
        table.row("time", format_args!("unknown: {problem}"));
        if let Some(limit) = estimate.limit {
            table.row("limit", format_args!("at least {}", seconds_text(limit.seconds_at_least)));
        }
        return;
    };
    table.row("time", range_text(Quantiles { p10: *p10, p50: *p50, p90: *p90 }));
    if let Some(rate) = estimate.records_per_second {
        table.row("rate", format_args!("about {} {records_noun}/s", rate_text(rate)));
    }
    if let Some(limit) = estimate.limit {
        let (number, floor) = (count_text(limit.records_per_second), seconds_text(limit.seconds_at_least));
        table.row("limit", format_args!("{number} {records_noun}/s, which takes at least {floor}"));
    }
    table.row("from", basis_text(basis, estimate.graded_runs));
    for (phase, seconds) in &estimate.phases {
        table.nested(|table| table.row(phase, seconds_text(*seconds)));
    }
    for correction in &estimate.corrections {
        table.row(correction.name.replace('_', " "), format_args!("{} of it", seconds_text(correction.seconds)));
    }
    if let Some(stage) = estimate.bottleneck {
        table.row("slowest", format_args!("the stage {stage}"));
    }
    for row in &estimate.workers {
        table.row(format_args!("{} workers", row.workers), range_text(row.seconds));
    }
    write_deadline(table, estimate);
}

fn rate_text(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { count_text(rate as u64) }
}

fn basis_text(basis: &str, graded_runs: u64) -> String {
    match graded_runs {
        0 => format!("a {basis}; no graded run yet"),
        1 => format!("a {basis} and 1 graded run"),
        runs => format!("a {basis} and {} graded runs", count_text(runs)),
    }
}

fn write_deadline<P>(table: &mut Table, estimate: &Estimate<P>) {
    let Some(deadline) = &estimate.deadline else { return };
    let given = seconds_text(deadline.seconds);
    let verdict = match (deadline.fits, deadline.workers_needed) {
        (true, Some(1)) => "nine runs in ten end in time; 1 worker is enough".to_owned(),
        (true, Some(workers)) => format!("nine runs in ten end in time; {workers} workers are enough"),
        (true, None) => "nine runs in ten end in time".to_owned(),
        (false, Some(workers)) => format!("too short; {workers} workers would do"),
        (false, None) => {
            let rest: f64 = deadline.not_divided.iter().map(|(_, seconds)| seconds).sum();
            format!("too short for any number of workers here; {} do not divide", seconds_text(rest))
        }
    };
    table.row("deadline", format_args!("{given}: {verdict}"));
}

fn write_checks<P>(table: &mut Table, estimate: &Estimate<P>) {
    for check in &estimate.checks {
        let word = match check.status {
            CheckStatus::Ok => continue,
            CheckStatus::Warn => "warning",
            CheckStatus::Fail => "fails",
        };
        let next = check.next.as_ref().map_or(String::new(), |next| format!("; {next}"));
        table.row(word, format_args!("{}{next}", check.what));
    }
}

/// Writes how good earlier estimates were.
pub fn write_past(table: &mut Table, past: &Past) {
    for group in &past.groups {
        let percent = |share: Option<f64>| share.map_or("unknown".to_owned(), |share| format!("{:.0}%", share * 100.0));
        table.row(
            &group.kind,
            format_args!(
                "{} runs, {} graded, {} in range, median error {}",
                count_text(group.runs),
                count_text(group.graded),
                percent(group.in_range_share),
                percent(group.median_error)
            ),
        );
    }
    for run in &past.runs {
        let expected = run.forecast.as_ref().map_or("not expected".to_owned(), |forecast| {
            let verdict = if forecast.in_range { "in range" } else { "out of range" };
            format!("expected {}: {verdict}", range_text(forecast.predicted))
        });
        let (records, took) = (count_text(run.records), seconds_text(run.seconds));
        table.line(format_args!("{} {:<8} {records} records in {took}, {expected}", run.at, run.kind));
    }
}
