//! A run in progress as the terminal sees it: who gets its events, and how it is asked to stop.

use std::fmt::Display;
use std::io::stderr;
use std::sync::Arc;

use super::arguments::{OutputArgs, Progress, WaitArgs};
use super::signals::StopOnSignal;
use crate::migration::Error;
use crate::observe::{Console, JsonLines, Lines, Scope};
use crate::pipeline::{Control, Event, Observer, StopToken};

/// Watches one run. From its start on, signals stop the run instead of ending the process.
pub struct Watch {
    console: Arc<Console>,
    output: OutputArgs,
    stop: StopToken,
    _signals: StopOnSignal,
}

/// Shows the notes of a run and nothing else.
struct Notes(Arc<Console>);

impl Observer for Notes {
    fn observe(&self, event: &Event) {
        if let Event::Note { text } = event {
            self.0.line(&format!("note: {text}"));
        }
    }
}

impl Watch {
    /// Begins to listen for signals. Commands ask for consent before that, so that Ctrl-C ends the question at once.
    pub fn start(output: OutputArgs) -> anyhow::Result<Self> {
        let console = Arc::new(Console::new());
        let stop = StopToken::new();
        let signals = StopOnSignal::install(stop.clone(), console.clone())?;
        Ok(Self { console, output, stop, _signals: signals })
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
        let observer = self.observer(scope);
        work(&Control { stop: &self.stop, observer: &*observer })
    }

    /// Works like [`run`](Self::run), and repeats the work while it ends because another run holds the lock.
    pub fn run_when_free<T>(
        &self,
        wait: WaitArgs,
        scope: Scope,
        mut work: impl FnMut(&Control<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.run(scope, |control| wait.repeat(control, || work(control)))
    }

    fn observer(&self, scope: Scope) -> Box<dyn Observer> {
        let console = self.console.clone();
        match self.output.progress {
            Progress::Auto | Progress::Bar => Box::new(Lines::new(console, scope)),
            Progress::Json => Box::new(JsonLines::new(stderr())),
            Progress::None => Box::new(Notes(console)),
        }
    }
}
