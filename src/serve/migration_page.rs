//! `/m/ID`: one migration.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::page::{bar, count, eta, page, rate, scrolled, seconds, shown, state, time};
use super::snapshot::Snapshot;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::found::{Found, ReportHead};
use crate::observe::live::Live;

/// Returns the page.
pub fn migration_page(snapshot: &Snapshot, found: &Found) -> Markup {
    let content = html! {
        article data-id=(found.id) data-was=(found.state.name()) data-whole {
            h1 { (shown(&found.name)) }
            p { (state(found)) " " (bar(found)) }
            @if let Some(problem) = &found.problem { p.problem role="alert" { (shown(problem)) } }
            @if let Some(since) = &found.no_news_since { p.remark { "No news since " (shown(since)) "." } }
            (facts(found))
            div.columns {
                div { (outcomes(&found.outcomes())) }
                @if let Some(live) = &found.progress { div { (under_way(live)) } }
                @if let Some(report) = &found.report { div { (reported(found, report)) } }
            }
        }
    };
    page(&found.name, Some(snapshot.number), &content)
}

fn fact(name: &str, value: &Markup) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn facts(found: &Found) -> Markup {
    let text = |text: Option<&str>| html! { (text.map_or_else(|| "–".to_owned(), shown)) };
    let phase = found.line().and_then(|line| line.phase).map(|phase| phase.to_string());
    html! {
        dl.facts {
            (fact("Kind", &text(Some(&found.kind))))
            (fact("Directory", &html! { code { (shown(&found.path.to_string_lossy())) } }))
            (fact("Run", &text(found.run.as_deref())))
            (fact("Stage reached", &text(found.stage.map(|stage| stage.to_string()).as_deref())))
            (fact("Phase", &html! { span data-field="phase" { (text(phase.as_deref())) } }))
            (fact("Records", &html! { span data-field="records" { (count(found.records_done())) } }))
            (fact("Rate", &html! { span data-field="rate" { (rate(found)) } }))
            (fact("Time left", &html! { span data-field="eta" { (eta(found)) } }))
            (fact("Started", &time(found.started_at.as_deref())))
            (fact("Last change of state", &time(found.changed_at.as_deref())))
            (fact("Last published", &time(found.last_success_at.as_deref())))
            @if let Some(holder) = &found.lock_holder { (fact("Run by", &text(Some(holder)))) }
        }
    }
}

fn outcomes(outcomes: &BTreeMap<String, u64>) -> Markup {
    html! {
        @if !outcomes.is_empty() {
            h2 { "Records by outcome" }
            (scrolled("Records by outcome", &html! {
                table {
                    thead { tr { th scope="col" { "Outcome" } th scope="col" { "Records" } } }
                    tbody data-outcomes {
                        @for (name, &number) in outcomes {
                            tr {
                                th scope="row" { (shown(&name.replace('_', " "))) }
                                td.number data-outcome=(shown(name)) { (count_text(number)) }
                            }
                        }
                    }
                }
            }))
        }
    }
}

fn under_way(live: &Live) -> Markup {
    let budget = live.line.budget;
    let milliseconds = |us: u64| format!("{:.1} ms", us as f64 / 1000.0);
    html! {
        h2 { "Under way" }
        dl.facts {
            (fact("Memory of batches", &html! { (bytes_text(budget.in_use)) " of " (bytes_text(budget.total)) }))
            @if let Some(rss) = live.line.rss_bytes { (fact("Resident memory", &html! { (bytes_text(rss)) })) }
            (fact("Checkpoints", &html! { (count_text(live.checkpoints)) }))
            @for (reason, &waited) in &live.waiting_seconds {
                (fact(&format!("Waited: {}", shown(reason)), &html! { (seconds(waited).unwrap_or_default()) }))
            }
        }
        @if !live.stages.is_empty() {
            h2 { "Stages" }
            (scrolled("Stages", &html! {
                table {
                    thead {
                        tr { @for heading in ["Stage", "Batches", "Half within", "99 of 100 within", "Longest"] { th scope="col" { (heading) } } }
                    }
                    tbody {
                        @for (name, stage) in &live.stages {
                            tr {
                                th scope="row" { (shown(name)) }
                                td.number { (count_text(stage.count)) }
                                td.number { (milliseconds(stage.p50_us)) }
                                td.number { (milliseconds(stage.p99_us)) }
                                td.number { (milliseconds(stage.max_us)) }
                            }
                        }
                    }
                }
            }))
        }
    }
}

fn reported(found: &Found, report: &ReportHead) -> Markup {
    html! {
        h2 { "Report of the last run that ended" }
        p {
            a href={ "/m/" (found.id) "/report" } { "Whole report" } " or "
            a href={ "/m/" (found.id) "/report.json" } { "the same as JSON" }
        }
        dl.facts {
            (fact("Outcome", &html! { (shown(&report.outcome)) }))
            (fact("Source", &html! { code { (shown(&report.source)) } }))
            (fact("Target", &html! { code { (shown(&report.target)) } }))
            (fact("Records read", &html! { (count_text(report.records_read)) }))
            (fact("Bytes written", &html! { (bytes_text(report.target_bytes)) }))
            @for (severity, &number) in &report.findings_count {
                (fact(&format!("Findings: {}", shown(severity)), &html! { (count_text(number)) }))
            }
            @if let Some(grade) = &report.grade {
                (fact("Took", &html! {
                    (seconds(grade.actual).unwrap_or_default()) ", expected " (seconds(grade.predicted.p50).unwrap_or_default())
                }))
            }
        }
        @if !report.attempts.is_empty() {
            h2 { "Attempts" }
            (scrolled("Attempts", &html! {
                table {
                    thead { tr { @for heading in ["Began", "Outcome", "Records", "Took"] { th scope="col" { (heading) } } } }
                    tbody {
                        @for attempt in &report.attempts {
                            tr {
                                th scope="row" { (time(Some(&attempt.started_at))) }
                                td { (shown(&attempt.outcome)) }
                                td.number { (count_text(attempt.records)) }
                                td.number { (seconds(attempt.seconds).unwrap_or_default()) }
                            }
                        }
                    }
                }
            }))
        }
    }
}
