//! A run as two rows of a terminal, or as one line.
//!
//! The rows fit the width of the terminal: what matters less is left out first, and what is still too long is cut.

use std::time::Duration;

use super::moment::Moment;
use super::progress_line::{Eta, ProgressLine, RunningState};
use super::scope::Scope;
use super::text::{duration_text, noun};
use crate::migration::units::{bytes_text, count_text};
use crate::pipeline::Phase;

/// From this many columns on, everything is shown.
const WIDE_COLUMNS: usize = 100;
/// From this many columns on, there are two rows.
const MEDIUM_COLUMNS: usize = 60;
const WIDE_BAR: usize = 20;
const MEDIUM_BAR: usize = 10;
/// Between the texts of a row.
const GAP: &str = "  ";
/// Where the second row begins, below the name of the phase.
const INDENT: &str = "         ";
/// Up to these seconds a time is seconds alone.
const SECONDS_MAX: u64 = 99;

/// What of the first row is shown.
#[derive(Debug, Clone, Copy)]
struct Parts {
    bar: usize,
    range: bool,
    before: bool,
    rate_noun: bool,
    total: bool,
}

/// Returns the rows of a phase that is under way, none of them as long as the terminal is wide.
pub(super) fn rows(moment: &Moment, scope: &Scope, columns: usize) -> Vec<String> {
    // A character in the last column makes some terminals begin a new row.
    let most = columns.saturating_sub(1);
    if columns < MEDIUM_COLUMNS {
        return vec![cut(&joined(&narrow(moment, scope), " ", most), most)];
    }
    let is_wide = columns >= WIDE_COLUMNS;
    let bar = if is_wide { WIDE_BAR } else { MEDIUM_BAR };
    let all = Parts { bar, range: is_wide, before: true, rate_noun: true, total: true };
    let tries = [
        all,
        Parts { before: false, ..all },
        Parts { before: false, rate_noun: false, ..all },
        Parts { before: false, rate_noun: false, bar: MEDIUM_BAR, ..all },
        Parts { before: false, rate_noun: false, bar: MEDIUM_BAR, range: false, ..all },
        Parts { before: false, rate_noun: false, bar: MEDIUM_BAR, range: false, total: false },
    ];
    let made = tries.iter().map(|parts| first(moment, scope, *parts));
    let first = made.reduce(|best, next| if fits(&best.join(GAP), most) { best } else { next }).unwrap_or_default();
    let first = joined(&first, GAP, most);
    let second = joined(&second(moment, scope, is_wide), GAP, most.saturating_sub(INDENT.len()));
    let second = (!second.is_empty()).then(|| format!("{INDENT}{second}"));
    std::iter::once(cut(&first, most)).chain(second).collect()
}

/// Returns the run in one line, as much of it as fits: `run      80.3%  1,001,932 of 1,247,832 nodes  4,832 nodes/s  ETA 51 s`.
pub(super) fn row(moment: &Moment, scope: &Scope, columns: usize) -> String {
    if moment.line.phase.is_none() {
        return "no phase is under way".into();
    }
    let parts = Parts { bar: 0, range: true, before: true, rate_noun: true, total: true };
    let mut texts = first(moment, scope, parts);
    texts.extend(second(moment, scope, true));
    // The range is the first thing to go.
    if !fits(&texts.join(GAP), columns.saturating_sub(1)) {
        texts = first(moment, scope, Parts { range: false, ..parts });
        texts.extend(second(moment, scope, true));
    }
    joined(&texts, GAP, columns.saturating_sub(1))
}

fn first(moment: &Moment, scope: &Scope, parts: Parts) -> Vec<String> {
    let line = &moment.line;
    let phase = line.phase.unwrap_or(Phase::Run);
    let mut texts = vec![format!("{phase:<8}")];
    if let Some(ratio) = line.ratio {
        let percent = percent(ratio);
        texts.push(if parts.bar > 0 { format!("{} {percent:>6}", drawn(ratio, parts.bar)) } else { percent });
    }
    texts.extend(amount(line, scope, parts));
    let rate = line.rate;
    let noun = noun(phase, scope);
    if rate.records_per_second > 0.0 {
        let rate = count_text(rate.records_per_second.round() as u64);
        texts.push(if parts.rate_noun { format!("{rate} {noun}/s") } else { format!("{rate}/s") });
    } else if rate.bytes_per_second > 0.0 {
        texts.push(format!("{}/s", bytes_text(rate.bytes_per_second as u64)));
    }
    texts.extend(line.eta.as_ref().map(|eta| eta_text(eta, parts.range)));
    // The name of the phase is padded already, so it is no text of its own.
    let name = texts.remove(0);
    match texts.first_mut() {
        Some(first) => *first = format!("{name} {first}"),
        None => texts.push(name.trim_end().to_owned()),
    }
    texts
}

/// Returns how much is done: `1,001,932 of about 1,247,832 nodes`.
fn amount(line: &ProgressLine, scope: &Scope, parts: Parts) -> Option<String> {
    let noun = noun(line.phase.unwrap_or(Phase::Run), scope);
    let total = line.total.filter(|_| parts.total);
    let about = if total.is_some_and(|total| !total.exact) { "about " } else { "" };
    let of = |total: Option<String>| total.map_or_else(String::new, |total| format!(" of {about}{total}"));
    if line.done.records == 0 && line.done.bytes > 0 {
        let total = total.and_then(|total| total.bytes).map(bytes_text);
        return Some(format!("{}{}", bytes_text(line.done.bytes), of(total)));
    }
    let total = total.and_then(|total| total.records);
    if line.done.records == 0 && total.is_none() {
        return None;
    }
    let before = if parts.before && line.before.records > 0 {
        format!(" ({} before)", count_text(line.before.records))
    } else {
        String::new()
    };
    Some(format!("{}{before}{} {noun}", count_text(line.done.records), of(total.map(count_text))))
}

fn second(moment: &Moment, scope: &Scope, is_wide: bool) -> Vec<String> {
    let line = &moment.line;
    let mut texts: Vec<String> = state_text(line.state).map(str::to_owned).into_iter().collect();
    let budget = line.budget;
    if budget.total > 0 && budget.in_use > 0 {
        let share = percent(budget.in_use as f64 / budget.total as f64);
        texts.push(format!("memory {} of {} MiB ({share})", budget.in_use >> 20, budget.total >> 20));
    }
    if let Some(limit) = moment.rate_limit.filter(|_| line.phase == Some(Phase::Run)) {
        texts.push(format!("limit {}/s", count_text(limit)));
    }
    if let Some(checkpoint) = &line.checkpoint {
        texts.push(if is_wide {
            let time = checkpoint.at.get(11..19).unwrap_or(&checkpoint.at);
            format!("checkpoint {time}Z at {} {}", count_text(checkpoint.records), scope.records_noun)
        } else {
            format!("checkpoint {} ago", duration_text(moment.checkpoint_age.unwrap_or_default()))
        });
    }
    if !line.outcomes.is_empty() {
        let refused: u64 =
            line.outcomes.iter().filter(|(name, _)| name.starts_with("refused")).map(|(_, count)| count).sum();
        texts.push(format!("refused {}", count_text(refused)));
    }
    texts
}

/// Returns the texts that fit side by side, each whole.
fn joined(texts: &[String], gap: &str, most: usize) -> String {
    texts.iter().fold(String::new(), |row, text| {
        let longer = if row.is_empty() { text.clone() } else { format!("{row}{gap}{text}") };
        if fits(&longer, most) { longer } else { row }
    })
}

/// Returns `run 80.3% 4,832/s ETA 51 s`.
fn narrow(moment: &Moment, scope: &Scope) -> Vec<String> {
    let line = &moment.line;
    let mut texts = vec![line.phase.unwrap_or(Phase::Run).to_string()];
    let parts = Parts { bar: 0, range: false, before: false, rate_noun: false, total: false };
    match line.ratio {
        Some(ratio) => texts.push(percent(ratio)),
        None => texts.extend(amount(line, scope, parts)),
    }
    if line.rate.records_per_second > 0.0 {
        texts.push(format!("{}/s", count_text(line.rate.records_per_second.round() as u64)));
    }
    texts.extend(line.eta.as_ref().map(|eta| eta_text(eta, false)));
    texts.extend(state_text(line.state).map(str::to_owned));
    texts
}

fn state_text(state: RunningState) -> Option<&'static str> {
    match state {
        RunningState::Running => None,
        RunningState::Limited => Some("waiting for the limit"),
        RunningState::WaitingMemory => Some("waiting for memory"),
        RunningState::WaitingDisk => Some("waiting for the disk"),
        RunningState::Stopping => Some("stopping"),
    }
}

/// Returns a share with one decimal, never rounded up: 100.0% means all of it.
fn percent(ratio: f64) -> String {
    let tenths = (ratio * 1000.0 + 1e-9).floor() as u64;
    format!("{}.{}%", tenths / 10, tenths % 10)
}

fn drawn(ratio: f64, width: usize) -> String {
    let filled = ((ratio * width as f64) as usize).min(width);
    let is_full = filled == width;
    let head = if is_full { "" } else { ">" };
    let rest = " ".repeat((width - filled).saturating_sub(head.len()));
    format!("[{}{head}{rest}]", "=".repeat(filled))
}

fn eta_text(eta: &Eta, has_range: bool) -> String {
    let range =
        if has_range { format!(" ({} to {})", seconds_text(eta.p10), seconds_text(eta.p90)) } else { String::new() };
    format!("ETA {}{range}", seconds_text(eta.p50))
}

/// Returns a time in whole seconds, rounded up: nothing takes no time.
fn seconds_text(seconds: f64) -> String {
    let whole = (seconds.ceil() as u64).max(1);
    if whole <= SECONDS_MAX { format!("{whole} s") } else { duration_text(Duration::from_secs(whole)) }
}

fn fits(text: &str, most: usize) -> bool {
    text.chars().count() <= most
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests;
