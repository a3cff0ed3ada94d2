//! `/schemas/versions`: how many manifests there are of each version, and the history of one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;
use maud::{Markup, html};

use super::manifest_history::Asked;
use super::page::{page, scrolled, shown, time};
use super::query::encoded;
use super::versions::{Counted, Newest};
use crate::manifest::file_history::{FileHistory, Moment};
use crate::manifest::version_survey::VersionSurvey;
use crate::migration::units::count_text;

/// Findings that are shown of a root.
const FINDINGS_SHOWN_MAX: usize = 50;

/// Moments of a history that are shown.
const MOMENTS_SHOWN_MAX: usize = 200;

/// Returns the page, with the history of the manifest that was asked for.
pub fn versions_page(newest: &Newest, history: Option<(&Asked, &Result<FileHistory, String>)>) -> Markup {
    let content = html! {
        h1 { "Versions of manifests" }
        @if !newest.roots.is_empty() { (question(&newest.roots, history.map(|(asked, _)| asked))) }
        @if let Some((asked, history)) = history { (answer(asked, history)) }
        @if newest.roots.is_empty() {
            p { "No tree of manifests is named. Start with " code { "haul serve --manifests ROOT" } " to see its versions." }
        } @else if newest.counted.is_empty() {
            p { "They are being counted. Load this page again in a moment." }
        } @else {
            @for (counted, number) in newest.counted.iter().zip(1..) { (of_root(counted, number)) }
        }
    };
    page("Versions", None, &content)
}

fn question(roots: &[PathBuf], asked: Option<&Asked>) -> Markup {
    html! {
        form.filter method="get" action="/schemas/versions" role="search" {
            @if roots.len() > 1 {
                label for="root" { "Tree" }
                select #root name="root" {
                    @for (root, number) in roots.iter().zip(1_usize..) {
                        option value=(number) selected[asked.is_some_and(|asked| asked.root == number)] {
                            (shown(&root.to_string_lossy()))
                        }
                    }
                }
            }
            label for="file" { "Manifest" }
            input.path #file name="file" type="search" placeholder="artifacts/JOB/RUN/manifest.json"
                value=[asked.map(|asked| shown(&asked.file))];
            button type="submit" { "Show its history" }
        }
    }
}

fn answer(asked: &Asked, history: &Result<FileHistory, String>) -> Markup {
    html! {
        section aria-labelledby="history" {
            h2 #history { "History of " code { (shown(&asked.file)) } }
            @match history {
                Ok(history) => (timeline(history)),
                Err(problem) => p.problem role="alert" { (shown(problem)) },
            }
        }
    }
}

fn timeline(history: &FileHistory) -> Markup {
    let mut moments: Vec<_> = history.moments().collect();
    let left_out = moments.len().saturating_sub(MOMENTS_SHOWN_MAX);
    moments.drain(..left_out);
    // Those without a time, and all of one time, stay in their order.
    moments.sort_by_cached_key(|moment| moment.at.as_deref().and_then(|at| at.parse::<Timestamp>().ok()));
    html! {
        p {
            @match &history.sha256 {
                Some(sha256) => { "SHA-256 " code { (shown(sha256)) } },
                None => "The file is not there.",
            }
        }
        @if left_out > 0 { p.remark { (count_text(left_out as u64)) " earlier moments are left out." } }
        @if moments.is_empty() {
            p { "Nothing was done to it: it has no history, and no run has written it." }
        } @else {
            ol.timeline {
                @for moment in &moments { (of_moment(moment)) }
            }
        }
    }
}

fn of_moment(moment: &Moment) -> Markup {
    html! {
        li {
            (time(moment.at.as_deref())) " " (shown(&moment.what))
            @match &moment.line {
                Some((number, run)) => { " " span.remark { "line " (number) " of the ledger, run " code { (shown(run)) } } },
                None => { " " span.remark { "in the file" } },
            }
            @if !moment.changes.is_empty() {
                ul { @for change in &moment.changes { li { (shown(change)) } } }
            }
        }
    }
}

fn of_root(counted: &Counted, number: usize) -> Markup {
    html! {
        section {
            h2 { code { (shown(&counted.root.to_string_lossy())) } }
            p { "Counted " (time(Some(&counted.at))) }
            @match &counted.survey {
                Ok(survey) => (of_survey(survey, number)),
                Err(problem) => p.problem { (shown(problem)) },
            }
        }
    }
}

fn of_survey(survey: &VersionSurvey, root: usize) -> Markup {
    let share = |number: u64| number as f64 / survey.manifests.max(1) as f64;
    html! {
        p { (count_text(survey.manifests)) " manifests; the latest version is " (shown(&survey.latest_version)) "." }
        (scrolled("Manifests by version", &html! {
            table {
                thead { tr { th scope="col" { "Version" } th scope="col" { "Manifests" } th scope="col" { "Share" } } }
                tbody {
                    @for (version, &number) in &survey.by_version {
                        tr {
                            th scope="row" { (shown(version)) }
                            td.number { (count_text(number)) }
                            td {
                                progress max="1" value=(format!("{:.4}", share(number)))
                                    aria-label={ "Share of " (shown(version)) } {}
                                " " (format!("{:.1}%", share(number) * 100.0))
                            }
                        }
                    }
                }
            }
        }))
        (refused(survey, root))
    }
}

fn refused(survey: &VersionSurvey, root: usize) -> Markup {
    let mut by_reason: BTreeMap<&str, u64> = BTreeMap::new();
    for finding in &survey.findings.first {
        // A reason begins with its code: `E_JSON: …`.
        *by_reason.entry(finding.reason.split(':').next().unwrap_or_default()).or_default() += 1;
    }
    let count = survey.findings.count;
    html! {
        @if count.sum() > 0 {
            h3 { "Findings" }
            p { (count_text(count.refused)) " refused, " (count_text(count.note)) " noted, " (count_text(count.fatal)) " fatal." }
            (scrolled("Findings by code", &html! {
                table {
                    thead { tr { th scope="col" { "Code" } th scope="col" { "Of the first " (survey.findings.first.len()) } } }
                    tbody {
                        @for (code, &number) in &by_reason {
                            tr { th scope="row" { (shown(code)) } td.number { (count_text(number)) } }
                        }
                    }
                }
            }))
            ul {
                @for finding in survey.findings.first.iter().take(FINDINGS_SHOWN_MAX) {
                    @let address = format!("/schemas/versions?root={root}&file={}", encoded(&finding.file));
                    li { a href=(address) { code { (shown(&finding.file)) } } ": " (shown(&finding.reason)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown_history(file: &str, history: &Result<FileHistory, String>) -> String {
        let newest = Newest { roots: vec!["app".into(), "other".into()], ..Newest::default() };
        versions_page(&newest, Some((&Asked { root: 2, file: file.into() }, history))).into_string()
    }

    #[test]
    fn a_history_is_in_the_order_of_time_and_its_texts_are_no_markup() {
        let record = |at: &str, change: &str| json!({"applied_at": at, "from_version": "1.0.0", "to_version": "1.1.0", "changes": [[change]]});
        let records = vec![record("2026-02-01T00:00:00Z", "<b>later</b>"), record("2026-01-01T00:00:00Z", "sooner")];
        let history = FileHistory { file: "a".into(), sha256: None, records, ledger: Vec::new() };
        let page = shown_history("<i>a\u{202e}", &Ok(history));
        let [sooner, later] = ["sooner", "&lt;b&gt;later"].map(|text| page.find(text).expect(text));
        assert!(sooner < later && page.contains("1.0.0 → 1.1.0") && page.contains("The file is not there."));
        assert!(page.contains(r#"<option value="2" selected>other"#), "{page}");
        assert!(!page.contains("<i>") && !page.contains('\u{202e}') && page.contains("&lt;i&gt;a"));
    }

    #[test]
    fn the_last_moments_of_a_long_history_are_shown() {
        let record =
            |number: usize| json!({"applied_at": "2026-01-01T00:00:00Z", "to_version": format!("to {number}")});
        let history = |count| FileHistory {
            file: "a".into(),
            sha256: None,
            records: (0..count).map(record).collect(),
            ledger: Vec::new(),
        };
        let page = shown_history("a", &Ok(history(MOMENTS_SHOWN_MAX + 1)));
        assert!(page.contains("1 earlier moments") && !page.contains("to 0<") && page.contains("? → to 200 "));
        assert!(shown_history("a", &Ok(history(0))).contains("Nothing was done to it"));
        assert!(shown_history("a", &Err("<why>".into())).contains("&lt;why&gt;"));
    }
}
