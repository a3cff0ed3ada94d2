//! The thread that shows a run: it looks eight times a second and whenever it hears something.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use hdrhistogram::Histogram;

use super::console::Console;
use super::hub::{Current, HubOptions, Seen, Shared};
use super::live::{BUCKET_SECONDS, Live, StageSummary};
use super::message::{EndedRun, Message};
use super::moment::{Follow, Moment, counts};
use super::view::View;
use crate::durable::Process;
use crate::pipeline::{EngineStage, Wait};

/// How often it looks if it hears nothing.
const LOOK_INTERVAL: Duration = Duration::from_millis(125);
/// How often others get to see the run.
const LIVE_INTERVAL: Duration = Duration::from_secs(1);

/// What the thread knows.
pub(super) struct Watcher {
    shared: Arc<Shared>,
    options: HubOptions,
    console: Console,
    view: View,
    follow: Follow,
    process: Process,
    has_seen_run: bool,
    next_look: Instant,
    next_live: Instant,
}

impl Watcher {
    pub(super) fn new(shared: Arc<Shared>, console: Console, options: HubOptions) -> Self {
        let follow = Follow::new(shared.current(), options.scope.budget_bytes);
        let view = View::new(options.view, console.clone(), options.scope, options.interval);
        let now = Instant::now();
        Self {
            shared,
            options,
            console,
            view,
            follow,
            process: Process::this(),
            has_seen_run: false,
            next_look: now,
            next_live: now,
        }
    }

    /// Shows what it hears, until nothing more comes.
    pub(super) fn watch(&mut self, heard: &Receiver<Message>) {
        loop {
            match heard.recv_deadline(self.next_look) {
                Ok(Message::Finish) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(told) => self.show(told),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= self.next_look {
                self.look_around();
            }
        }
        if self.shows_subject() {
            let moment = self.moment();
            self.publish(&self.follow.current, &moment, None);
        }
        self.view.finish(self.shared.dropped());
    }

    fn show(&mut self, told: Message) {
        match told {
            Message::RunStarted(current) => {
                self.follow_to(current);
                self.has_seen_run = true;
                if let Some(start) = &self.follow.current.start {
                    self.console.set_run(&start.run_id, start.kind);
                    self.view.run_started(start);
                }
                self.next_live = Instant::now();
            }
            Message::RunEnded(current, ended) => {
                let moment = self.moment();
                self.view.run_ended(&current, &ended, &moment);
                self.publish(&current, &moment, Some(ended));
                self.follow_to(self.shared.current());
            }
            Message::Status => {
                let moment = self.moment();
                self.view.status(&moment);
            }
            Message::PhaseStarted(_) => {
                self.view.told(&told);
                self.next_look = Instant::now();
            }
            told => self.view.told(&told),
        }
    }

    fn follow_to(&mut self, current: Arc<Current>) {
        self.follow = Follow::new(current, self.options.scope.budget_bytes);
    }

    fn moment(&mut self) -> Moment {
        self.follow.look(self.options.stop.is_requested(), self.shared.dropped())
    }

    fn look_around(&mut self) {
        let now = Instant::now();
        let moment = self.moment();
        self.view.look(now, &moment);
        if now >= self.next_live && (self.follow.current.start.is_some() || self.shows_subject()) {
            self.next_live = now + LIVE_INTERVAL;
            let current = self.follow.current.clone();
            self.publish(&current, &moment, None);
        }
        self.next_look = now + self.options.interval.map_or(LOOK_INTERVAL, |interval| interval.min(LOOK_INTERVAL));
    }

    /// Returns true if the command begins no run, and others are to see it all the same.
    fn shows_subject(&self) -> bool {
        !self.has_seen_run && self.options.subject.is_some()
    }

    /// Gives the run to others: other processes, and what else shows it in this one.
    fn publish(&self, current: &Current, moment: &Moment, ended: Option<EndedRun>) {
        let live = self.live(current, moment);
        let problem = if ended.is_none() { current.write_live(&live) } else { None };
        let directory = current.start.as_ref().and_then(|start| start.directory.clone());
        *self.options.latest.lock() = Some(Arc::new(Seen { live, ended, directory }));
        if let Some(problem) = problem {
            self.console.line(&format!("note: {problem}"));
        }
    }

    fn live(&self, current: &Current, moment: &Moment) -> Live {
        let start = current.start.as_ref();
        let snapshot = &moment.snapshot;
        let waited = |wait: Wait| snapshot.waited.of(wait).as_secs_f64();
        let subject = self.options.subject.as_ref().filter(|_| start.is_none());
        let mut line = moment.line.clone();
        if let Some(subject) = subject {
            subject.kind.clone_into(&mut line.head.kind);
        }
        let target = start.map(|start| &start.target).or(subject.map(|subject| &subject.target));
        Live {
            line,
            haul: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            boot_id: self.process.boot_id.clone(),
            process_start: self.process.start,
            started_at: current.started_at.clone(),
            source: start.map(|start| start.source.clone()).unwrap_or_default(),
            target: target.cloned().unwrap_or_default(),
            forecast: start.and_then(|start| start.forecast.clone()),
            records_planned: start.and_then(|start| start.records_planned),
            waiting_seconds: [("memory", Wait::Memory), ("limit", Wait::Limit), ("disk", Wait::Disk)]
                .map(|(name, wait)| (name.to_owned(), waited(wait)))
                .into(),
            stages: stages(current),
            written_bytes: counts(&snapshot.counted.written),
            findings: counts(&snapshot.counted.findings),
            checkpoints: snapshot.checkpoints,
            source_bytes: snapshot.source_bytes,
        }
    }
}

fn stages(current: &Current) -> BTreeMap<String, StageSummary> {
    let merged = current.tally.stages().merged();
    let named = EngineStage::ALL.into_iter().zip(&merged);
    named.filter_map(|(stage, times)| Some((stage.to_string(), summary(times.as_ref()?)))).collect()
}

fn summary(times: &Histogram<u64>) -> StageSummary {
    let below = |seconds: f64| times.count_between(0, (seconds * 1e6) as u64);
    StageSummary {
        count: times.len(),
        sum_seconds: times.mean() * times.len() as f64 / 1e6,
        p50_us: times.value_at_quantile(0.5),
        p99_us: times.value_at_quantile(0.99),
        max_us: times.max(),
        buckets: BUCKET_SECONDS.map(below).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::tally::new_histogram;

    #[test]
    fn buckets_hold_all_that_took_at_most_as_long() {
        let mut times = new_histogram();
        for us in [500, 3_000, 3_000, 100_000_000] {
            times.record(us).unwrap();
        }
        let summary = summary(&times);
        assert_eq!(summary.buckets[..4], [1, 1, 3, 3]);
        assert_eq!((summary.count, summary.buckets[16]), (4, 3));
        assert!(summary.sum_seconds > 99.0 && summary.sum_seconds < 101.0 && summary.p50_us < 3_100);
    }
}
