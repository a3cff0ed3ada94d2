//! What all pages have in common.

use std::time::Duration;

use maud::{DOCTYPE, Markup, html};

use crate::migration::escaped;
use crate::migration::units::count_text;
use crate::observe::MigrationState;
use crate::observe::duration_text;
use crate::observe::found::Found;

/// How often a page without script is loaded again, in seconds.
const RELOAD_SECONDS: u32 = 5;
/// Where the icon of all pages is.
pub const ICON_ADDRESS: &str = "/assets/haul.svg";

/// Returns a text that comes from outside as people can see it. maud takes care of what means something in HTML.
pub fn shown(text: &str) -> String {
    escaped(text).into_owned()
}

/// Returns a page. `snapshot` is the number of the snapshot that it shows, if it shows what changes.
pub fn page(title: &str, snapshot: Option<u64>, content: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" data-snapshot=[snapshot] {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (shown(title)) " – haul" }
                link rel="stylesheet" href="/assets/haul.css";
                link rel="icon" href=(ICON_ADDRESS);
                @if snapshot.is_some() {
                    script src="/assets/haul.js" defer {}
                    noscript { meta http-equiv="refresh" content=(RELOAD_SECONDS); }
                }
            }
            body {
                header {
                    nav aria-label="Pages" {
                        a href="/" { "Migrations" }
                        @if cfg!(feature = "manifest") {
                            a href="/schemas/versions" { "Versions" }
                        }
                    }
                    @if snapshot.is_some() {
                        p #connection role="status" {}
                    }
                }
                main { (content) }
            }
        }
    }
}

/// Returns a table that can be moved sideways where the window is narrower, also by keys.
pub fn scrolled(label: &str, table: &Markup) -> Markup {
    html! { div.scroll tabindex="0" role="region" aria-label=(label) { (table) } }
}

/// Returns the state of a migration.
pub fn state(found: &Found) -> Markup {
    html! { span.state.(found.state.name()) data-field="state" { (found.state.text()) } }
}

/// Returns how much of a migration is done; nothing where none is under way and that is not known.
pub fn bar(found: &Found) -> Markup {
    let ratio = match found.state {
        MigrationState::Published => Some(1.0),
        _ => found.line().and_then(|line| line.overall_ratio.or(line.ratio)),
    };
    html! {
        @if let Some(ratio) = ratio.filter(|ratio| ratio.is_finite()) {
            progress data-field="bar" max="1" value=(format!("{ratio:.4}"))
                aria-label={ "Progress of " (shown(&found.name)) } {}
            " "
            span data-field="percent" { (format!("{:.1}%", ratio * 100.0)) }
        } @else if found.state == MigrationState::Running {
            progress data-field="bar" max="1" aria-label={ "Progress of " (shown(&found.name)) } {}
            " "
            span data-field="percent" {}
        }
    }
}

/// Returns a count, or a dash.
pub fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "–".to_owned(), count_text)
}

/// Returns the speed of a run, or a dash.
pub fn rate(found: &Found) -> String {
    let rate = found.line().map(|line| line.rate.records_per_second).filter(|rate| rate.is_finite());
    rate.map_or_else(|| "–".to_owned(), |rate| format!("{}/s", count_text(rate.max(0.0).round() as u64)))
}

/// Returns the time that is left, or a dash.
pub fn eta(found: &Found) -> String {
    let eta = found.line().and_then(|line| line.eta.as_ref()).map(|eta| eta.p50);
    eta.and_then(seconds).unwrap_or_else(|| "–".to_owned())
}

/// Returns a number of seconds; `None` if it is no time.
pub fn seconds(seconds: f64) -> Option<String> {
    Duration::try_from_secs_f64(seconds).ok().map(duration_text)
}

/// Returns an instant for people, with the exact one for programs.
pub fn time(at: Option<&str>) -> Markup {
    let to_seconds = |at: &str| {
        let text = at.get(..19).map(|text| text.replacen('T', " ", 1));
        text.map_or_else(|| shown(at), |text| shown(&format!("{text}Z")))
    };
    html! {
        @match at {
            Some(at) => time datetime=(shown(at)) { (to_seconds(at)) },
            None => "–",
        }
    }
}
