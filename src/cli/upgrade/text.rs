//! The results of phases as text.

use crate::cli::command::end_text;
use crate::cli::progress::Watch;
use crate::cli::table::Table;
use crate::migration::units::{bytes_text, count_text};
use crate::observe::duration_text;
use crate::upgrade::configuration::ConfigurationChange;
use crate::upgrade::flags::FlagsEnd;
use crate::upgrade::phases::UpgradeEnd;
use crate::upgrade::plan::{MemberPlan, Plan, StepState};
use crate::upgrade::verify::CheckResult;

/// Says a plan in a few lines, before a run.
pub fn say_plan(watch: &Watch, plan: &Plan) {
    watch.say(format_args!("{} databases, {} to {}", plan.members.len(), plan.from, plan.to));
    for note in &plan.notes {
        watch.say(format_args!("note: {}", place(note.file.as_deref(), &note.what)));
    }
}

/// Writes a plan.
pub fn render_plan(table: &mut Table, plan: &Plan) {
    table.line(format_args!("{}: {} to {}", plan.upgrade, plan.from, plan.to));
    for member in &plan.members {
        render_member(table, member);
    }
    table.gap();
    table.row("space needed", bytes_text(plan.space_needed_bytes));
    table.row("zone of instants without one", &plan.assume_tz);
    for estimate in &plan.estimate {
        let time = |ms: u64| duration_text(std::time::Duration::from_millis(ms));
        let range = format!("{} to {}", time(estimate.p10_ms), time(estimate.p90_ms));
        table.row(format_args!("{} takes", estimate.phase), range);
    }
    plan.notes.iter().for_each(|note| table.line(format_args!("note: {}", place(note.file.as_deref(), &note.what))));
    for block in &plan.blocks {
        table.line(format_args!("blocked ({}): {}", block.code, place(block.file.as_deref(), &block.what)));
        table.nested(|table| table.line(format_args!("next: {}", block.next)));
    }
}

fn place(file: Option<&str>, what: &str) -> String {
    file.map_or_else(|| what.to_owned(), |file| format!("{file}: {what}"))
}

fn render_member(table: &mut Table, plan: &MemberPlan) {
    let member = &plan.member;
    let primary = if member.is_primary { ", primary" } else { "" };
    let rows: u64 = plan.baseline.tables.values().map(|facts| facts.rows).sum();
    table.line(format_args!("{}: {} shape {}{primary}", member.key, member.tier, member.shape));
    table.nested(|table| {
        let size = bytes_text(plan.file_bytes + plan.wal_bytes);
        table.row("size", format_args!("{size}, {} tables, {} rows", plan.baseline.tables.len(), count_text(rows)));
        let pending = plan.steps.iter().filter(|step| step.state == StepState::Pending).count();
        table.row("steps", format_args!("{pending} of {} pending", plan.steps.len()));
        for prediction in plan.predictions.iter().filter(|prediction| prediction.rows > 0) {
            table.row(format_args!("rows of {}", prediction.step), count_text(prediction.rows));
        }
    });
}

/// Writes what phases have done.
pub fn render_end(table: &mut Table, end: &UpgradeEnd) {
    table.line(end_text(end.stopped, end.already_done));
    table.row("run", &end.run_id);
    table.row("stage", end.stage);
    table.row("databases", end.details.databases.join(", "));
    if let Some(found) = &end.details.verification {
        render_checks(table, "checks", &found.checks);
        render_checks(table, "checklist", &found.checklist);
        render_checks(table, "criteria", &found.criteria);
    }
}

fn render_checks(table: &mut Table, title: &str, checks: &[CheckResult]) {
    if checks.is_empty() {
        return;
    }
    table.line(title);
    table.nested(|table| {
        for check in checks {
            table.item(if check.passed { "yes" } else { "no" }, &check.name, &check.figure);
        }
    });
}

/// Writes which flags are set.
pub fn render_flags(table: &mut Table, flags: &FlagsEnd) {
    if !flags.set.is_empty() {
        table.row("flags set", flags.set.join(", "));
    }
}

/// Writes what was done to a configuration file.
pub fn render_configuration(table: &mut Table, change: &ConfigurationChange) {
    table.row("configuration", format_args!("{}: {} keys renamed", change.path.display(), change.renamed.len()));
    if !change.unknown.is_empty() {
        table.row("keys kept as they are", change.unknown.join(", "));
    }
}
