//! `/schemas/versions`: how many manifests there are of each version.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::page::{page, shown, time};
use super::versions::{Counted, Newest};
use crate::manifest::version_survey::VersionSurvey;
use crate::migration::units::count_text;

/// Findings that are shown of a root.
const FINDINGS_SHOWN_MAX: usize = 50;

/// Returns the page.
pub fn versions_page(newest: &Newest) -> Markup {
    let content = html! {
        h1 { "Versions of manifests" }
        @if newest.roots == 0 {
            p { "No tree of manifests is named. Start with " code { "haul serve --manifests ROOT" } " to see its versions." }
        } @else if newest.counted.is_empty() {
            p { "They are being counted. Load this page again in a moment." }
        } @else {
            @for counted in &*newest.counted { (of_root(counted)) }
        }
    };
    page("Versions", None, &content)
}

fn of_root(counted: &Counted) -> Markup {
    html! {
        section {
            h2 { code { (shown(&counted.root.to_string_lossy())) } }
            p { "Counted " (time(Some(&counted.at))) }
            @match &counted.survey {
                Ok(survey) => (of_survey(survey)),
                Err(problem) => p.problem { (shown(problem)) },
            }
        }
    }
}

fn of_survey(survey: &VersionSurvey) -> Markup {
    let share = |number: u64| number as f64 / survey.manifests.max(1) as f64;
    html! {
        p { (count_text(survey.manifests)) " manifests; the latest version is " (shown(&survey.latest_version)) "." }
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
        (refused(survey))
    }
}

fn refused(survey: &VersionSurvey) -> Markup {
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
            table {
                thead { tr { th scope="col" { "Code" } th scope="col" { "Of the first " (survey.findings.first.len()) } } }
                tbody {
                    @for (code, &number) in &by_reason {
                        tr { th scope="row" { (shown(code)) } td.number { (count_text(number)) } }
                    }
                }
            }
            ul {
                @for finding in survey.findings.first.iter().take(FINDINGS_SHOWN_MAX) {
                    li { code { (shown(&finding.file)) } ": " (shown(&finding.reason)) }
                }
            }
        }
    }
}
