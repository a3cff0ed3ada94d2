//! A run in progress as the terminal sees it: who gets its events, and how it is asked to stop.

use std::env::var_os;
use std::fmt::Display;
use std::sync::Arc;

use super::arguments::{OutputArgs, Progress, WaitArgs};
use super::metrics_args::{Metrics, MetricsArgs};
use super::signals::StopOnSignal;
use crate::migration::{Error, now_text};
use crate::observe::report_page::write_next_to_report;
use crate::observe::{Console, EndedRun, Hub, HubOptions, Latest, Scope, Subject, ViewKind};
use crate::pipeline::{Control, StopToken};

/// Watches one run. From its start on, signals stop the run instead of ending the process.
pub struct Watch {
    output: OutputArgs,
    stop: StopToken,
    latest: Latest,
    subject: Option<(Subject, &'static str)>,
    // They say how the run ended when the watch is over.
    _metrics: Metrics,
    _signals: StopOnSignal,
}

impl Watch {
    /// Begins to listen for signals. Commands ask for consent before that, so that Ctrl-C ends the question at once.
    pub fn start(output: OutputArgs) -> anyhow::Result<Self> {
        let stop = StopToken::new();
        let signals = StopOnSignal::install(stop.clone())?;
        Ok(Self {
            output,
            stop,
            latest: Latest::default(),
            subject: None,
            _metrics: Metrics::default(),
            _signals: signals,
        })
    }

    /// Shows the metrics of the run as well.
    pub fn with_metrics(self, metrics: &MetricsArgs) -> Result<Self, Error> {
        Ok(Self { _metrics: metrics.start(&self.latest, &self.stop)?, ..self })
    }

    /// Shows the metrics of a command that begins no run: it works on the store at `target`, and ends with `outcome` if it
    /// does not fail.
    pub fn with_metrics_of(
        self,
        metrics: &MetricsArgs,
        (kind, target): (&'static str, impl Display),
        outcome: &'static str,
    ) -> Result<Self, Error> {
        let subject = Subject { kind, target: target.to_string() };
        Ok(Self { subject: Some((subject, outcome)), ..self.with_metrics(metrics)? })
    }

    /// Returns the token that a signal sets.
    pub fn stop(&self) -> &StopToken {
        &self.stop
    }

    /// Says something to people, unless only events are wanted or nothing is.
    pub fn say(&self, text: impl Display) {
        self.output.say(text);
    }

    /// Does the work while its progress is shown. The view is gone when this returns.
    pub fn run<T>(&self, scope: Scope, work: impl FnOnce(&Control<'_>) -> T) -> T {
        let options = HubOptions {
            scope,
            view: view_of(self.output.progress),
            interval: self.output.progress_interval,
            stop: self.stop.clone(),
            latest: self.latest.clone(),
            subject: self.subject.as_ref().map(|(subject, _)| subject.clone()),
        };
        let hub = Hub::start(Console::new(), options);
        let result = work(&Control { stop: &self.stop, observer: &hub });
        for directory in hub.end() {
            if let Err(error) = write_next_to_report(&directory) {
                self.say(format_args!("note: the report has no page: {error}"));
            }
        }
        result
    }

    /// Works like [`run`](Self::run), and says in the metrics how the work ended.
    pub fn run_to_end<T, E>(&self, scope: Scope, work: impl FnOnce(&Control<'_>) -> Result<T, E>) -> Result<T, E> {
        let result = self.run(scope, work);
        if let (Some((_, outcome)), Some(seen)) = (&self.subject, &mut *self.latest.lock()) {
            let outcome = match &result {
                Err(_) => "failed",
                Ok(_) if self.stop.is_requested() => "stopped",
                Ok(_) => outcome,
            };
            let ended = EndedRun { outcome: outcome.to_owned(), exit_code: 0, at: now_text() };
            let seen = Arc::make_mut(seen);
            seen.ended.get_or_insert(ended);
        }
        result
    }

    /// Works like [`run_to_end`](Self::run_to_end), and repeats the work while it ends because another run holds the lock.
    pub fn run_when_free<T>(
        &self,
        wait: WaitArgs,
        scope: Scope,
        mut work: impl FnMut(&Control<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run_to_end(scope, |control| wait.repeat(control, || work(control)))
    }
}

fn view_of(progress: Progress) -> ViewKind {
    match progress {
        Progress::Json => ViewKind::Progress,
        Progress::Events => ViewKind::Events,
        Progress::None => ViewKind::Notes,
        Progress::Auto | Progress::Bar if !Console::is_terminal() => ViewKind::Lines { is_terminal: false },
        Progress::Auto if has_value("CI") => ViewKind::Lines { is_terminal: false },
        Progress::Auto | Progress::Bar if moves_cursor() => ViewKind::Bar,
        Progress::Auto | Progress::Bar => ViewKind::Lines { is_terminal: true },
    }
}

/// Returns true if the terminal can draw over what it shows.
fn moves_cursor() -> bool {
    has_value("TERM") && var_os("TERM").is_some_and(|name| name != "dumb")
}

fn has_value(name: &str) -> bool {
    var_os(name).is_some_and(|value| !value.is_empty())
}
