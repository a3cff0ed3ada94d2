//! Tells the observer of a run on a database when it begins and how it ends.

use super::run_summary::RunSummary;
use crate::migration::{Error, clock, exit};
use crate::pipeline::{Control, Event, RunStart};

impl RunSummary {
    /// Returns how the run ended, in a word.
    pub fn outcome(&self) -> &'static str {
        match (&self.failure, self.stopped) {
            (Some(_), _) => "failed",
            (None, true) => "stopped",
            (None, false) => "done",
        }
    }

    /// Returns the exit code of a program that does nothing else. What went wrong decides. A run whose database was in
    /// use must be run again, like one that was stopped.
    pub fn exit_code(&self) -> u8 {
        match (&self.failure, self.stopped) {
            (Some(failure), _) if failure.temporary => exit::TEMPORARY,
            (Some(_), _) => exit::FAILED,
            (None, true) => exit::TEMPORARY,
            (None, false) => exit::OK,
        }
    }
}

/// Does the work of a run on the database `place`, which is named without its password.
pub fn announced(
    place: String,
    control: &Control<'_>,
    work: impl FnOnce(&Control<'_>) -> Result<RunSummary, Error>,
) -> Result<RunSummary, Error> {
    let start = RunStart {
        run_id: clock::new_run_id()?,
        kind: "db",
        source: place.clone(),
        target: place,
        ..Default::default()
    };
    control.observer.observe(&Event::RunStarted(Box::new(start)));
    let result = work(control);
    let (outcome, exit_code) = match &result {
        Ok(end) => (end.outcome(), end.exit_code()),
        Err(error) => ("failed", error.exit_code()),
    };
    control.observer.observe(&Event::RunEnded { outcome: outcome.to_owned(), exit_code });
    result
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::pipeline::{Observer, StopToken};

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl Observer for Heard {
        fn observe(&self, event: &Event) {
            let line = match event {
                Event::RunStarted(start) => format!("{} {} {}", start.kind, start.target, start.run_id.len()),
                Event::RunEnded { outcome, exit_code } => format!("{outcome} {exit_code}"),
                other => panic!("{other:?}"),
            };
            self.0.lock().push(line);
        }
    }

    fn lines(result: Result<RunSummary, Error>) -> Vec<String> {
        let (stop, observer) = (StopToken::new(), Heard::default());
        let control = Control { stop: &stop, observer: &observer };
        let _ = announced("app.db".into(), &control, |_| result);
        observer.0.into_inner()
    }

    #[test]
    fn every_end_is_announced() {
        let begun = "db app.db 36".to_owned();
        assert_eq!(lines(Ok(RunSummary::new(0))), [begun.clone(), "done 0".into()]);
        assert_eq!(lines(Ok(RunSummary { stopped: true, ..RunSummary::new(0) })), [begun.clone(), "stopped 75".into()]);
        let failed = Error::Usage { what: "wrong".into(), next: "right".into() };
        assert_eq!(lines(Err(failed)), [begun, "failed 2".into()]);
    }
}
