//! Decides when a run commits, and commits in a thread of its own while the writer continues.

use std::thread::Scope;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, at, bounded, never};

use super::control::{Control, Options};
use super::event::{EngineStage, Event, Observer, Wait};
use super::failure::{Failure, guarded};
use super::stages::{Commit, Writer};
use super::threads::{NoThread, start_thread};
use crate::durable::sync_time;

/// A commit that is due, and the records written before it.
struct Point<C> {
    commit: C,
    records_total: u64,
}

/// The writer's side of the committer: counts records, takes commit points when they are due.
///
/// At most one commit is under way. A checkpoint that falls due meanwhile waits; the writer does not.
pub(super) struct Checkpoints<C, E> {
    points: Sender<Point<C>>,
    outcomes: Receiver<Result<(), Failure<E>>>,
    busy: bool,
    interval_records: u64,
    interval_min: Duration,
    interval_max: Duration,
    records_total: u64,
    records_at_last_point: u64,
    last_point: Instant,
}

impl<C, E> Checkpoints<C, E>
where
    C: Commit<Error = E>,
    E: Send,
{
    /// Starts the committer's thread. It ends when this is dropped, or after a failure.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        options: &Options,
        control: &'scope Control<'_>,
    ) -> Result<Self, NoThread>
    where
        C: 'scope,
        E: 'scope,
    {
        let (points, point_queue) = bounded(1);
        let (outcome_queue, outcomes) = bounded(1);
        start_thread(scope, "haul-commit", move || commit_all(&point_queue, &outcome_queue, control))?;
        Ok(Self {
            points,
            outcomes,
            busy: false,
            // Begun at half of the interval, a commit is durable by the whole unless the disk is slow.
            interval_records: (options.checkpoint_interval_records / 2).max(1),
            interval_min: Duration::from_millis(options.checkpoint_interval_ms_min),
            interval_max: Duration::from_millis(options.checkpoint_interval_ms_max),
            records_total: 0,
            records_at_last_point: 0,
            last_point: Instant::now(),
        })
    }

    /// Counts records as written.
    pub(super) fn count(&mut self, records: u64) {
        self.records_total += records;
    }

    /// Takes a commit point if one is due and the committer is idle.
    pub(super) fn advance<W>(&mut self, writer: &mut W) -> Result<(), Failure<E>>
    where
        W: Writer<Commit = C, Error = E>,
    {
        if let Ok(outcome) = self.outcomes.try_recv() {
            self.settle(outcome)?;
        }
        match self.due_at() {
            Some(due) if !self.busy && due <= Instant::now() => self.take_point(writer),
            _ => Ok(()),
        }
    }

    /// Makes a last commit of everything written and waits for it.
    pub(super) fn finish<W>(mut self, writer: &mut W, observer: &dyn Observer) -> Result<(), Failure<E>>
    where
        W: Writer<Commit = C, Error = E>,
    {
        let started = Instant::now();
        observer.observe(&Event::Waiting { reason: Wait::Disk });
        let last = self.wait_until_idle().and_then(|()| self.take_point(writer)).and_then(|()| self.wait_until_idle());
        observer.observe(&Event::waited(Wait::Disk, started.elapsed()));
        last
    }

    /// Tells that a commit under way has ended; silent while there is none.
    pub(super) fn outcomes(&self) -> Receiver<Result<(), Failure<E>>> {
        if self.busy { self.outcomes.clone() } else { never() }
    }

    /// Tells that the next checkpoint has fallen due; silent while that depends on something else.
    pub(super) fn timer(&self) -> Receiver<Instant> {
        match self.due_at() {
            Some(due) if !self.busy => at(due),
            _ => never(),
        }
    }

    /// Takes the outcome of the commit under way.
    pub(super) fn settle(&mut self, outcome: Result<(), Failure<E>>) -> Result<(), Failure<E>> {
        self.busy = false;
        outcome
    }

    /// When the next checkpoint falls due; `None` while nothing is written since the last one.
    fn due_at(&self) -> Option<Instant> {
        let interval = match self.records_total - self.records_at_last_point {
            0 => return None,
            records if records >= self.interval_records => self.interval_min,
            _ => self.interval_max,
        };
        self.last_point.checked_add(interval)
    }

    fn take_point<W>(&mut self, writer: &mut W) -> Result<(), Failure<E>>
    where
        W: Writer<Commit = C, Error = E>,
    {
        let commit = writer.commit_point().map_err(Failure::Error)?;
        self.points.send(Point { commit, records_total: self.records_total }).expect("an idle committer listens");
        self.busy = true;
        self.records_at_last_point = self.records_total;
        self.last_point = Instant::now();
        Ok(())
    }

    fn wait_until_idle(&mut self) -> Result<(), Failure<E>> {
        if !self.busy {
            return Ok(());
        }
        let outcome = self.outcomes.recv().expect("a busy committer answers");
        self.settle(outcome)
    }
}

/// The committer's thread.
fn commit_all<C, E>(points: &Receiver<Point<C>>, outcomes: &Sender<Result<(), Failure<E>>>, control: &Control<'_>)
where
    C: Commit<Error = E>,
{
    for Point { commit, records_total } in points {
        let (started, synced_before) = (Instant::now(), sync_time());
        let outcome = guarded(|| {
            commit.commit()?;
            control.observer.observe(&Event::timed(EngineStage::Sync, sync_time() - synced_before));
            control.observer.observe(&Event::timed(EngineStage::Commit, started.elapsed()));
            control.observer.observe(&Event::CheckpointWritten { records_total });
            Ok(())
        });
        let failed = outcome.is_err();
        if outcomes.send(outcome).is_err() || failed {
            return;
        }
    }
}
