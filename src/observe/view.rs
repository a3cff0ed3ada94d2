//! How a run is shown on standard error.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::bar;
use super::console::{Console, Weight};
use super::heartbeat::Heartbeat;
use super::hub::Current;
use super::message::{EndedRun, Message};
use super::moment::Moment;
use super::objects;
use super::scope::Scope;
use super::text;
use crate::pipeline::RunStart;

/// Ways to show a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewKind {
    /// Two rows at the bottom of a terminal, and lines above them.
    Bar,
    /// Lines, more of them at first if somebody sits there.
    Lines {
        /// True on a terminal that cannot move its cursor.
        is_terminal: bool,
    },
    /// Objects of `docs/progress.schema.json`.
    Progress,
    /// Every event as an object.
    Events,
    /// Notes alone.
    Notes,
}

/// The time between two lines of progress if none is chosen.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// What shows a run.
#[derive(Debug)]
pub(super) struct View {
    kind: ViewKind,
    console: Console,
    scope: Scope,
    interval: Duration,
    heartbeat: Heartbeat,
    next_progress: Option<Instant>,
}

/// Events that could not be shown.
#[derive(Serialize)]
struct EventsDropped {
    event: &'static str,
    count: u64,
}

impl View {
    pub(super) fn new(kind: ViewKind, console: Console, scope: Scope, interval: Option<Duration>) -> Self {
        let heartbeat = Heartbeat::new(interval, kind == ViewKind::Lines { is_terminal: true });
        let interval = interval.unwrap_or(PROGRESS_INTERVAL);
        Self { kind, console, scope, interval, heartbeat, next_progress: None }
    }

    pub(super) fn run_started(&mut self, start: &RunStart) {
        if self.kind == ViewKind::Progress {
            self.console.object(Weight::Once, |head| objects::Hello::of(head, start));
        }
    }

    pub(super) fn run_ended(&mut self, current: &Current, ended: &EndedRun, moment: &Moment) {
        if self.kind == ViewKind::Progress {
            self.console.object(Weight::Once, |head| objects::End::of(head, current, ended, moment));
        }
    }

    /// Shows something that happened.
    pub(super) fn told(&mut self, told: &Message) {
        match (self.kind, told) {
            (ViewKind::Events, Message::Event(event)) => drop(self.console.event(event)),
            (ViewKind::Events, _) => {}
            (ViewKind::Progress, Message::Note(text)) => self.console.line(text),
            (_, Message::Note(text)) => self.console.line(&format!("note: {text}")),
            (ViewKind::Progress, told) => {
                if let Some(object) = objects::Happened::of(told) {
                    self.console.object(Weight::Once, |head| object.with(head));
                }
            }
            (ViewKind::Bar | ViewKind::Lines { .. }, Message::PhaseStarted(_)) => {
                self.heartbeat.restart(Instant::now())
            }
            (ViewKind::Bar | ViewKind::Lines { .. }, Message::PhaseEnded(tally)) => {
                self.console.draw(Vec::new());
                self.console.line(&text::ended(tally, &self.scope));
            }
            _ => {}
        }
    }

    /// Shows the run as it is now, if that is due.
    pub(super) fn look(&mut self, now: Instant, moment: &Moment) {
        match self.kind {
            ViewKind::Bar => {
                let rows =
                    if moment.line.phase.is_some() { bar::rows(moment, &self.scope, columns()) } else { Vec::new() };
                self.console.draw(rows);
            }
            ViewKind::Lines { .. } => {
                if moment.line.phase.is_some() && self.heartbeat.is_due(now) {
                    self.console.line(&bar::row(moment, &self.scope, self.line_columns()));
                }
            }
            ViewKind::Progress => {
                if moment.line.phase.is_some() && self.next_progress.is_none_or(|next| now >= next) {
                    self.next_progress = Some(now + self.interval);
                    self.console.object(Weight::Repeated, |head| objects::progress(head, moment, "progress"));
                }
            }
            ViewKind::Events | ViewKind::Notes => {}
        }
    }

    /// Returns how wide a line may be: on a terminal no wider than that.
    fn line_columns(&self) -> usize {
        match self.kind {
            ViewKind::Bar | ViewKind::Lines { is_terminal: true } => columns(),
            _ => usize::MAX,
        }
    }

    /// Answers somebody who asks.
    pub(super) fn status(&mut self, moment: &Moment) {
        match self.kind {
            ViewKind::Progress => self.console.object(Weight::Once, |head| objects::progress(head, moment, "status")),
            ViewKind::Events => drop(self.console.event(&objects::StatusEvent::of(moment))),
            _ => self.console.line(&bar::row(moment, &self.scope, self.line_columns())),
        }
    }

    /// Removes what is on the screen, and says what could not be shown.
    pub(super) fn finish(&mut self, events_dropped: u64) {
        match self.kind {
            ViewKind::Bar => self.console.draw(Vec::new()),
            ViewKind::Events if events_dropped > 0 => {
                self.console.event(&EventsDropped { event: "events_dropped", count: events_dropped });
            }
            _ => {}
        }
    }
}

/// Returns the width of the terminal at this moment.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(80)
}
