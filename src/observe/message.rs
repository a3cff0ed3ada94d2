//! What the observer passes on to the thread that shows the run.

use std::sync::Arc;

use super::hub::Current;
use crate::pipeline::tally::PhaseTally;
use crate::pipeline::{Event, Phase};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    /// The stage that it reached, `stopped` or `failed`.
    pub outcome: String,
    /// Exit code of a command that does nothing else.
    pub exit_code: u8,
    /// When, as RFC 3339 in UTC.
    pub at: String,
}

/// Something to show.
#[derive(Debug)]
pub(super) enum Message {
    RunStarted(Arc<Current>),
    RunEnded(Arc<Current>, EndedRun),
    PhaseStarted(Phase),
    PhaseEnded(PhaseTally),
    Note(String),
    TenantStarted(String),
    TenantEnded(String, &'static str),
    /// Any event, where all are shown.
    Event(Box<Event>),
    /// Somebody has asked.
    Status,
    /// Nothing more comes.
    Finish,
}

impl Message {
    /// Returns what is shown of an event besides numbers.
    pub(super) fn of(event: &Event) -> Option<Self> {
        match event {
            Event::PhaseStarted { phase, .. } => Some(Self::PhaseStarted(*phase)),
            Event::Note { text } => Some(Self::Note(text.clone())),
            Event::TenantStarted { tenant } => Some(Self::TenantStarted(tenant.clone())),
            Event::TenantEnded { tenant, outcome } => Some(Self::TenantEnded(tenant.clone(), outcome)),
            _ => None,
        }
    }
}
