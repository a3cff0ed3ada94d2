//! The objects of `docs/progress.schema.json` besides those that the console makes of texts.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::hub::Current;
use super::message::{EndedRun, Message};
use super::moment::Moment;
use super::progress_line::{LineHead, ProgressLine};
use crate::migration::plan::escape_name;
use crate::migration::report;
use crate::pipeline::{ForecastFigures, Phase, RunStart};

/// A run begins.
#[derive(Debug, Serialize)]
pub(super) struct Hello<'a> {
    #[serde(flatten)]
    head: LineHead,
    #[serde(rename = "type")]
    type_name: &'static str,
    haul: &'static str,
    pid: u32,
    resumed: bool,
    plan: Planned<'a>,
    estimate: Option<&'a ForecastFigures>,
}

#[derive(Debug, Serialize)]
struct Planned<'a> {
    source: &'a str,
    target: &'a str,
    records: Option<u64>,
    bytes: Option<u64>,
    workers: u64,
    budget_bytes: u64,
    rate_limit: Option<u64>,
}

impl<'a> Hello<'a> {
    pub(super) fn of(head: LineHead, start: &'a RunStart) -> Self {
        Self {
            head,
            type_name: "hello",
            haul: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            resumed: start.is_resumed,
            plan: Planned {
                source: &start.source,
                target: &start.target,
                records: start.records_planned,
                bytes: start.source_bytes_planned,
                workers: start.parallel_workers,
                budget_bytes: start.budget_bytes,
                rate_limit: start.rate_limit,
            },
            estimate: start.forecast.as_ref(),
        }
    }
}

/// A phase or the work on a tenant begins or ends.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Happened<'a> {
    Phase {
        event: &'static str,
        phase: Phase,
        #[serde(skip_serializing_if = "Option::is_none")]
        done: Option<Done>,
    },
    Tenant {
        event: &'static str,
        tenant: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        outcome: Option<&'static str>,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct Done {
    records: u64,
    bytes: u64,
    seconds: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct Numbered<'a> {
    #[serde(flatten)]
    head: LineHead,
    #[serde(flatten)]
    happened: Happened<'a>,
}

impl<'a> Happened<'a> {
    /// Returns the object of a message, if it has one.
    pub(super) fn of(told: &'a Message) -> Option<Self> {
        Some(match told {
            Message::PhaseStarted(phase) => Self::Phase { event: "started", phase: *phase, done: None },
            Message::PhaseEnded(tally) => {
                let done =
                    Done { records: tally.records, bytes: tally.source_bytes, seconds: tally.took.as_secs_f64() };
                Self::Phase { event: "ended", phase: tally.phase, done: Some(done) }
            }
            Message::TenantStarted(tenant) => Self::Tenant { event: "started", tenant, outcome: None },
            Message::TenantEnded(tenant, outcome) => Self::Tenant { event: "ended", tenant, outcome: Some(outcome) },
            _ => return None,
        })
    }

    pub(super) fn with(self, head: LineHead) -> Numbered<'a> {
        Numbered { head, happened: self }
    }
}

/// Returns the run at a moment as an object of this type.
pub(super) fn progress(head: LineHead, moment: &Moment, type_name: &str) -> ProgressLine {
    ProgressLine { head, type_name: type_name.to_owned(), ..moment.line.clone() }
}

/// A run is over.
#[derive(Debug, Serialize)]
pub(super) struct End {
    #[serde(flatten)]
    head: LineHead,
    #[serde(rename = "type")]
    type_name: &'static str,
    outcome: String,
    exit_code: u8,
    seconds: f64,
    counts: BTreeMap<String, u64>,
    report: Option<String>,
}

impl End {
    pub(super) fn of(head: LineHead, current: &Current, ended: &EndedRun, moment: &Moment) -> Self {
        let directory = current.start.as_ref().and_then(|start| start.directory.as_deref());
        let path = directory.map(|directory| directory.join(report::FILE_NAME)).filter(|path| path.is_file());
        Self {
            head,
            type_name: "end",
            outcome: ended.outcome.clone(),
            exit_code: ended.exit_code,
            seconds: moment.snapshot.elapsed.as_secs_f64(),
            counts: moment.line.outcomes.clone(),
            report: path.as_deref().map(Path::as_os_str).map(escape_name),
        }
    }
}

/// The run at a moment among events.
#[derive(Debug, Serialize)]
pub(super) struct StatusEvent<'a> {
    event: &'static str,
    #[serde(flatten)]
    line: &'a ProgressLine,
}

impl<'a> StatusEvent<'a> {
    pub(super) fn of(moment: &'a Moment) -> Self {
        Self { event: "status", line: &moment.line }
    }
}
