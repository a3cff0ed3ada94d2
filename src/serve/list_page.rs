//! `/`: all migrations, 200 a page.

use maud::{Markup, html};

use super::page::{bar, count, eta, page, rate, scrolled, shown, state, time};
use super::query::{encoded, value};
use super::snapshot::Snapshot;
use crate::observe::MigrationState;
use crate::observe::found::Found;

/// Migrations on a page.
const ROWS_A_PAGE: usize = 200;
/// The longest text that is searched for.
const TEXT_BYTES_MAX: usize = 200;

/// What a reader wants to see.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wanted {
    state: Option<MigrationState>,
    text: String,
    /// 1, 2, 3, …
    page: usize,
}

impl Wanted {
    /// Reads it from an address. What does not fit is left out.
    pub fn of(query: Option<&str>) -> Self {
        let state = value(query, "state").and_then(|name| MigrationState::ALL.into_iter().find(|s| s.name() == name));
        let text = value(query, "q").filter(|text| text.len() <= TEXT_BYTES_MAX).unwrap_or_default();
        let page = value(query, "page").and_then(|page| page.parse().ok()).unwrap_or(1).max(1);
        Self { state, text, page }
    }

    fn fits(&self, found: &Found) -> bool {
        let text = self.text.to_lowercase();
        let has = |place: &str| place.to_lowercase().contains(&text);
        self.state.is_none_or(|state| found.state == state)
            && (text.is_empty() || has(&found.name) || has(&found.kind) || has(&found.path.to_string_lossy()))
    }

    fn address(&self, page: usize) -> String {
        let state = self.state.map_or("", MigrationState::name);
        format!("/?state={state}&q={}&page={page}", encoded(&self.text))
    }
}

/// Returns the page.
pub fn list_page(snapshot: &Snapshot, wanted: &Wanted) -> Markup {
    let fitting: Vec<_> = snapshot.rows.iter().map(|row| &*row.found).filter(|found| wanted.fits(found)).collect();
    let pages = fitting.len().div_ceil(ROWS_A_PAGE).max(1);
    let number = wanted.page.min(pages);
    let rows = fitting.iter().skip((number - 1) * ROWS_A_PAGE).take(ROWS_A_PAGE);
    let content = html! {
        h1 { "Migrations" }
        (summary(snapshot))
        (filter(wanted))
        @for remark in &snapshot.remarks { p.remark { (shown(remark)) } }
        @if fitting.is_empty() {
            p { "No migration fits." }
        } @else {
            (scrolled("Migrations", &html! {
                table {
                    thead {
                        tr {
                            @for heading in ["Name", "Kind", "State", "Done", "Records", "Rate", "Time left", "Started", "Last published"] {
                                th scope="col" { (heading) }
                            }
                        }
                    }
                    tbody { @for found in rows { (row(found)) } }
                }
            }))
        }
        @if pages > 1 {
            nav aria-label="Parts of the list" {
                @if number > 1 { a href=(wanted.address(number - 1)) rel="prev" { "Previous" } " " }
                span { "Page " (number) " of " (pages) }
                @if number < pages { " " a href=(wanted.address(number + 1)) rel="next" { "Next" } }
            }
        }
    };
    page("Migrations", Some(snapshot.number), &content)
}

fn summary(snapshot: &Snapshot) -> Markup {
    let states = snapshot.states();
    html! {
        p.summary {
            span { span data-total { (snapshot.rows.len()) } " in all" }
            @for state in MigrationState::ALL {
                @let number = states.get(state.name()).copied().unwrap_or(0);
                span hidden[number == 0] data-state=(state.name()) {
                    ", " a href={ "/?state=" (state.name()) } { span data-number { (number) } " " (state.text()) }
                }
            }
        }
        p.remark #new hidden { "The list has changed. " a href="" { "Load it again" } }
    }
}

fn filter(wanted: &Wanted) -> Markup {
    html! {
        form.filter method="get" action="/" role="search" {
            label for="q" { "Text" }
            input #q name="q" type="search" maxlength=(TEXT_BYTES_MAX) value=(shown(&wanted.text));
            label for="state" { "State" }
            select #state name="state" {
                option value="" { "any" }
                @for state in MigrationState::ALL {
                    option value=(state.name()) selected[wanted.state == Some(state)] { (state.text()) }
                }
            }
            button type="submit" { "Show" }
        }
    }
}

fn row(found: &Found) -> Markup {
    html! {
        tr data-id=(found.id) data-was=(found.state.name()) {
            th scope="row" { a href={ "/m/" (found.id) } { (shown(&found.name)) } }
            td { (shown(&found.kind)) }
            td {
                (state(found))
                @if let Some(since) = &found.no_news_since { " " span.remark { "no news since " (shown(since)) } }
            }
            td { (bar(found)) }
            td.number data-field="records" { (count(found.records_done())) }
            td.number data-field="rate" { (rate(found)) }
            td.number data-field="eta" { (eta(found)) }
            td { (time(found.started_at.as_deref())) }
            td { (time(found.last_success_at.as_deref())) }
        }
    }
}
