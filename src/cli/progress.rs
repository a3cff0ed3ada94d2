//! A run under way, as the terminal sees it: who is told of its events, and how it is asked to stop.

use std::io::stderr;
use std::sync::Arc;

use super::arguments::Progress;
use super::command_line::run_again;
use super::signals::StopOnSignal;
use crate::observe::{Bar, Console, JsonLines, Lines, Scope};
use crate::pipeline::{Control, Event, Observer, StopToken};

/// Watches one run. Signals are taken from its start on.
pub struct Watch {
    console: Arc<Console>,
    progress: Progress,
    stop: StopToken,
    _signals: StopOnSignal,
}

/// Shows what a person should read and nothing else.
struct Notes(Arc<Console>);

impl Observer for Notes {
    fn observe(&self, event: &Event) {
        if let Event::Note { text } = event {
            self.0.line(&format!("note: {text}"));
        }
    }
}

impl Watch {
    /// Begins to listen for signals.
    pub fn start(progress: Progress) -> anyhow::Result<Self> {
        let console = Arc::new(Console::new());
        let stop = StopToken::new();
        let signals = StopOnSignal::install(stop.clone(), console.clone())?;
        Ok(Self { console, progress, stop, _signals: signals })
    }

    /// Is requested by a signal.
    pub fn stop(&self) -> &StopToken {
        &self.stop
    }

    /// Says where the run is, unless only events are wanted or nothing is.
    pub fn say(&self, text: &str) {
        if self.progress.is_spoken() {
            self.console.line(text);
        }
    }

    /// Says how a run that was stopped goes on, whatever else is wanted.
    pub fn say_stopped(&self) {
        self.console.line("stopped on request; what is done so far is kept");
        self.console.line(&format!("next: {}", run_again()));
    }

    /// Does the work while its progress is shown. The view is gone when this returns.
    pub fn run<T>(&self, scope: Scope, work: impl FnOnce(&Control<'_>) -> T) -> T {
        let observer = self.observer(scope);
        work(&Control { stop: &self.stop, observer: &*observer })
    }

    fn observer(&self, scope: Scope) -> Box<dyn Observer> {
        let console = self.console.clone();
        match self.progress {
            Progress::Auto | Progress::Bar if Console::is_terminal() => Box::new(Bar::start(console, scope)),
            Progress::Auto | Progress::Bar => Box::new(Lines::new(console, scope)),
            Progress::Json => Box::new(JsonLines::new(stderr())),
            Progress::None => Box::new(Notes(console)),
        }
    }
}
