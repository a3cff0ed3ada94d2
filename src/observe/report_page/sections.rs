//! The parts of the page.

use std::borrow::Cow;

use maud::{Markup, html};

use super::charts::{Range, Series, lines, ranges};
use crate::migration::escaped;
use crate::migration::report::parts::{Grade, Place, TimelinePoint};
use crate::migration::units::{bytes_text, count_text};
use crate::observe::report_document::{Document, FINDINGS_SHOWN_MAX, Pairs};
use crate::observe::seconds_text;

/// Points over which a speed is averaged, so that one batch makes no peak.
const SPEED_POINTS: usize = 5;

/// Returns a text of a store or a file system as it is shown: what cannot be seen is spelt out.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    escaped(text)
}

fn microseconds_text(us: f64) -> String {
    match us {
        ..1_000.0 => format!("{us:.0} µs"),
        ..1_000_000.0 => format!("{:.1} ms", us / 1e3),
        _ => format!("{:.1} s", us / 1e6),
    }
}

pub(super) fn head(document: &Document) -> Markup {
    let is_good = !document.outcome.starts_with("failed") && document.outcome != "stopped";
    html! {
        header {
            h1 { (shown(&document.noun)) " migration: " span class=(if is_good { "good" } else { "bad" }) { (shown(&document.outcome)) } }
            p { code { (shown(&document.source)) } " to " code { (shown(&document.target)) } }
            p.dim {
                "run " code { (shown(&document.run_id)) }
                @if let Some(haul) = &document.haul {
                    ", haul " (shown(&haul.version))
                    @if let Some(commit) = &haul.commit { " (" (shown(commit)) ")" }
                }
                @if let Some(first) = document.attempts.first() { ", begun " (shown(&first.started_at)) }
                @if let Some(end) = document.attempts.last().and_then(|last| last.ended_at.as_ref()) {
                    ", ended " (shown(end))
                }
            }
        }
    }
}

pub(super) fn numbers(document: &Document) -> Markup {
    let seconds = document.seconds();
    let per_second = (seconds > 0.0).then(|| document.records_read as f64 / seconds);
    let of = |severity| document.findings_count.get(severity).unwrap_or(0);
    let (refused, fatal) = (of("refused"), of("fatal"));
    html! {
        ul.cards {
            (card("records read", &count_text(document.records_read)))
            (card("time, all attempts", &seconds_text(seconds)))
            @if let Some(rate) = per_second { (card("records a second", &count_text(rate as u64))) }
            (card("written", &bytes_text(document.target_bytes)))
            @if let Some(peaks) = &document.peaks { (card("peak memory", &bytes_text(peaks.rss))) }
            (card("refused", &count_text(refused)))
            @if fatal > 0 { (card("reasons not to publish", &count_text(fatal))) }
        }
    }
}

fn card(name: &str, value: &str) -> Markup {
    html! { li { strong { (value) } (name) } }
}

/// The charts.
pub(super) fn drawn(document: &Document) -> Markup {
    let has_times = document.stages.as_ref().is_some_and(|stages| !stages.is_empty());
    if document.timeline.len() < 2 && !has_times && document.grade.is_none() {
        return html! {};
    }
    html! {
        h2 { "How it went" }
        div.charts {
            @if document.timeline.len() >= 2 {
                (lines("records a second, last attempt",
                    &[Series { name: "records", class: "one", points: speeds(&document.timeline) }],
                    seconds_text, |y| count_text(y as u64)))
                (lines("memory, last attempt", &memory(&document.timeline), seconds_text, |y| bytes_text(y as u64)))
            }
            @if let Some(grade) = &document.grade { (graded(grade)) }
            @if has_times { (stage_times(document)) }
        }
    }
}

fn speeds(timeline: &[TimelinePoint]) -> Vec<(f64, f64)> {
    let speed = |pair: (&TimelinePoint, &TimelinePoint)| {
        let seconds = pair.1.t - pair.0.t;
        (seconds > 0.0).then(|| (pair.1.t, pair.1.records.saturating_sub(pair.0.records) as f64 / seconds))
    };
    let span = SPEED_POINTS.min(timeline.len() - 1);
    timeline.iter().zip(&timeline[span..]).filter_map(speed).collect()
}

fn memory(timeline: &[TimelinePoint]) -> [Series<'static>; 2] {
    let of = |pick: fn(&TimelinePoint) -> u64| timeline.iter().map(|point| (point.t, pick(point) as f64)).collect();
    [
        Series { name: "resident", class: "one", points: of(|point| point.rss) },
        Series { name: "budget in use", class: "two", points: of(|point| point.budget) },
    ]
}

fn graded(grade: &Grade) -> Markup {
    let predicted = &grade.predicted;
    let row = Range {
        name: "run",
        low: predicted.p10,
        high: predicted.p90,
        marks: vec![(predicted.p50, "one"), (grade.actual, "two")],
        text: format!(
            "expected {} ({} to {}), took {}",
            seconds_text(predicted.p50),
            seconds_text(predicted.p10),
            seconds_text(predicted.p90),
            seconds_text(grade.actual)
        ),
    };
    let label = if grade.in_range {
        "forecast and actual time: within the range"
    } else {
        "forecast and actual time: outside of the range"
    };
    ranges(label, &[row], seconds_text)
}

fn stage_times(document: &Document) -> Markup {
    let stages = document.stages.iter().flatten();
    let rows: Vec<_> = stages
        .map(|(name, stage)| Range {
            name,
            low: stage.p50 as f64,
            high: stage.max as f64,
            marks: vec![(stage.p50 as f64, "one"), (stage.p99 as f64, "two")],
            text: format!("{} batches", count_text(stage.count)),
        })
        .collect();
    ranges("time of a batch in each stage: median, 99 of 100, longest", &rows, microseconds_text)
}

/// A table of names and numbers.
fn pairs(title: &str, pairs: &Pairs, text: fn(u64) -> String) -> Markup {
    if pairs.0.is_empty() {
        return html! {};
    }
    html! {
        div.wide tabindex="0" role="region" aria-label=(title) {
            table {
                caption { (title) }
                tbody {
                    @for (name, value) in &pairs.0 {
                        tr { th scope="row" { (shown(&name.replace('_', " "))) } td.number { (text(*value)) } }
                    }
                }
            }
        }
    }
}

pub(super) fn outcomes(document: &Document) -> Markup {
    html! {
        h2 { "Outcomes" }
        (pairs("records by outcome", &document.counts, count_text))
        (pairs("bytes of the source", &document.source_bytes, bytes_text))
        (pairs("bytes that were written", &document.written, bytes_text))
    }
}

pub(super) fn attempts(document: &Document) -> Markup {
    if document.attempts.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Attempts" }
        div.wide tabindex="0" role="region" aria-label="attempts" {
            table {
                thead { tr { th { "begun" } th { "ended" } th { "outcome" } th.number { "exit" } th.number { "records" } th.number { "time" } th.number { "processor time" } th.number { "peak memory" } } }
                tbody {
                    @for attempt in &document.attempts {
                        tr {
                            td { (shown(&attempt.started_at)) }
                            td { (attempt.ended_at.as_deref().map_or("killed".into(), shown)) }
                            td { (shown(&attempt.outcome)) }
                            td.number { @if let Some(code) = attempt.exit_code { (code) } }
                            td.number { (count_text(attempt.records)) }
                            td.number { (seconds_text(attempt.seconds)) }
                            td.number { (seconds_text(attempt.cpu_seconds)) }
                            td.number { (bytes_text(attempt.rss_peak_bytes)) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn phases(document: &Document) -> Markup {
    if document.phases.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Phases of the last attempt" }
        div.wide tabindex="0" role="region" aria-label="phases" {
            table {
                thead { tr { th { "phase" } th.number { "records" } th.number { "bytes" } th.number { "time" } th.number { "waited for memory" } th.number { "for the limit" } th.number { "for the disk" } } }
                tbody {
                    @for phase in &document.phases {
                        tr {
                            td { (phase.phase.to_string()) }
                            td.number { (count_text(phase.records)) }
                            td.number { (bytes_text(phase.bytes)) }
                            td.number { (seconds_text(phase.seconds)) }
                            td.number { (seconds_text(phase.waited.memory)) }
                            td.number { (seconds_text(phase.waited.limit)) }
                            td.number { (seconds_text(phase.waited.disk)) }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn stages(document: &Document) -> Markup {
    let Some(stages) = document.stages.as_ref().filter(|stages| !stages.is_empty()) else { return html! {} };
    html! {
        h2 { "Stages of the last attempt, per batch" }
        div.wide tabindex="0" role="region" aria-label="stages" {
            table {
                thead { tr { th { "stage" } th.number { "batches" } th.number { "median" } th.number { "90 of 100" } th.number { "99 of 100" } th.number { "999 of 1,000" } th.number { "longest" } } }
                tbody {
                    @for (name, stage) in stages {
                        tr {
                            td { (shown(name)) }
                            td.number { (count_text(stage.count)) }
                            @for value in [stage.p50, stage.p90, stage.p99, stage.p999, stage.max] {
                                td.number { (microseconds_text(value as f64)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The settings, and the machine.
pub(super) fn circumstances(document: &Document) -> Markup {
    let place =
        |place: &Option<Place>| place.as_ref().map(|place| format!("{} on {}", place.file_system, place.device));
    let mut rows: Vec<(&str, Option<String>)> = Vec::new();
    if let Some(settings) = &document.settings {
        rows.extend([
            ("workers", Some(settings.workers.to_string())),
            ("memory budget", Some(bytes_text(settings.budget_bytes))),
            ("batch", Some(format!("{} records", count_text(settings.batch_records)))),
            ("checkpoint", Some(format!("every {} records", count_text(settings.checkpoint_interval_records)))),
            (
                "limit",
                Some(settings.rate_limit.map_or("none".into(), |limit| format!("{} records/s", count_text(limit)))),
            ),
            ("reader", settings.reader.clone()),
            ("read back", settings.verify.clone()),
            ("durability", Some(settings.durability.clone())),
        ]);
    }
    if let Some(environment) = &document.environment {
        rows.extend([
            ("kernel", environment.kernel.clone()),
            ("processor", environment.cpu.as_ref().map(|cpu| format!("{cpu}, {} cores", environment.cores))),
            ("memory", environment.memory_bytes.map(bytes_text)),
            ("memory of the control group", environment.cgroup_memory_bytes.map(bytes_text)),
            ("source on", place(&environment.source)),
            ("target on", place(&environment.target)),
        ]);
    }
    let rows: Vec<_> = rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if rows.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Settings and machine" }
        div.wide tabindex="0" role="region" aria-label="settings and machine" { table { tbody {
            @for (name, value) in &rows { tr { th scope="row" { (name) } td { (shown(value)) } } }
        } } }
    }
}

pub(super) fn findings(document: &Document) -> Markup {
    let findings = &document.findings;
    if findings.shown.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Findings" }
        div.wide tabindex="0" role="region" aria-label="findings" {
            table {
                thead { tr { th { "severity" } th { "where" } th { "reason" } } }
                tbody {
                    @for finding in &findings.shown {
                        tr {
                            td { (shown(&finding.severity)) }
                            td { code { (shown(&finding.file)) } " at " (count_text(finding.offset)) }
                            td { (shown(&finding.reason)) }
                        }
                    }
                }
            }
        }
        @if !findings.rest_by_reason.is_empty() {
            p.dim { "These are the first " (FINDINGS_SHOWN_MAX) ". All are in report.json; the others by reason:" }
            div.wide tabindex="0" role="region" aria-label="findings by reason" { table { tbody {
                @for (reason, count) in &findings.rest_by_reason {
                    tr { th scope="row" { (shown(reason)) } td.number { (count_text(*count)) } }
                }
            } } }
        }
    }
}

pub(super) fn next(document: &Document) -> Markup {
    let Some(next) = &document.next else { return html! {} };
    html! {
        @if next.verify.is_some() || next.rollback.is_some() { h2 { "Next" } }
        @if let Some(verify) = &next.verify { p { "read it again: " code { (shown(verify)) } } }
        @if let Some(rollback) = &next.rollback { p { "roll back: " code { (shown(rollback)) } } }
    }
}
