//! The engine: moves batches from a reader through converters to a writer, in order, and commits as it goes.
//!
//! ```text
//! reader ──▶ bounded channel ──▶ converters ──▶ bounded channel ──▶ (placing) ──▶ writer ──▶ committer
//!    └────────────── permits of the budget, given back when a batch is written ────────────────┘
//! ```
//!
//! Every batch has a number. A failure travels under the number of its batch like an output, so the writer meets the
//! first one in the order of the source, whatever thread it happened on.
//!
//! A store of many files has a stage before the writer that places several batches at once. It collects them in the order
//! of the source and hands them on in that order, so the writer, the commits and all counts are as without it.

mod between;
mod load;

use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use rayon::ThreadPoolBuilder;

use self::between::{Between, Gathering, Nothing};
use self::load::Load;
use super::budget::Admission;
use super::committer::Checkpoints;
use super::control::{Control, Ended, Options};
use super::event::{EngineStage, Event};
use super::failure::{Failure, guarded};
use super::rate::RateLimit;
use super::sequence::Sequence;
use super::stages::{Admitted, Converter, Placing, Reader, Writer};
use super::stop::StopToken;
use super::threads::{NoThread, start_thread};
use crate::durable::looked;

/// Batches that may wait between two stages.
const QUEUE_BATCHES: usize = 1;

/// Moves everything that `reader` finds through `converter` into `writer`.
///
/// The calling thread is the writer; the reader, the converters and the committer have threads of their own, all joined
/// when this returns; without them nothing is written. A run that ends without an error has made a last commit of all that was written. After an error
/// no commit is begun; of several errors the one of the earliest batch is returned. A panic in any stage goes on in the
/// calling thread.
pub fn run<R, C, W, E>(
    reader: R,
    converter: &C,
    writer: &mut W,
    options: &Options,
    control: &Control<'_>,
) -> Result<Ended, E>
where
    R: Reader<Error = E>,
    C: Converter<Batch = R::Batch, Error = E>,
    W: Writer<Output = C::Output, Error = E>,
    E: From<NoThread> + Send,
{
    run_between(reader, converter, Nothing, writer, options, control)
}

/// Like [`run`], with a stage that places what was converted before the writer takes it.
pub fn run_placing<R, C, P, W, E>(
    reader: R,
    converter: &C,
    placing: &P,
    writer: &mut W,
    options: &Options,
    control: &Control<'_>,
) -> Result<Ended, E>
where
    R: Reader<Error = E>,
    C: Converter<Batch = R::Batch, Error = E>,
    P: Placing<Input = C::Output, Output = W::Output, Error = E>,
    W: Writer<Error = E>,
    E: From<NoThread> + Send,
{
    thread::scope(|scope| {
        let gathering = Gathering::start(scope, placing, options)?;
        run_between(reader, converter, gathering, writer, options, control)
    })
}

fn run_between<R, C, B, W, E>(
    reader: R,
    converter: &C,
    between: B,
    writer: &mut W,
    options: &Options,
    control: &Control<'_>,
) -> Result<Ended, E>
where
    R: Reader<Error = E>,
    C: Converter<Batch = R::Batch, Error = E>,
    B: Between<C::Output, W::Output, E>,
    W: Writer<Error = E>,
    E: From<NoThread> + Send,
{
    thread::scope(|scope| {
        // Dropped when the writer is done, for whatever reason: releases a reader that waits for memory or for time.
        let abort = AbortOnDrop(control.stop.child());
        let no_thread = |error: NoThread| Failure::Error(error.into());
        let checkpoints = Checkpoints::start(scope, options, control).map_err(no_thread)?;
        let stages = Stages::start(scope, reader, converter, options, control, abort.0.clone()).map_err(no_thread)?;
        let mut writing = Writing { checkpoints, writer, control, counting: Counting::default() };
        let ended = writing.write_all(stages, between, &abort.0)?;
        writing.finish(ended)
    })
    .map_err(Failure::into_error)
}

struct AbortOnDrop(StopToken);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.request();
    }
}

type Numbered<T> = (u64, T);
type Outcome<T, E> = Result<Load<T>, Failure<E>>;

/// What the reader's thread did.
struct Fed {
    batches: u64,
    ended: Ended,
}

/// The threads before the writer, and the queue that they fill.
struct Stages<'scope, O, E> {
    feeding: ScopedJoinHandle<'scope, Fed>,
    converting: ScopedJoinHandle<'scope, ()>,
    outputs: Receiver<Numbered<Outcome<O, E>>>,
}

impl<'scope, O, E> Stages<'scope, O, E>
where
    O: Send + 'scope,
    E: Send + 'scope,
{
    fn start<R, C>(
        scope: &'scope Scope<'scope, '_>,
        reader: R,
        converter: &'scope C,
        options: &'scope Options,
        control: &'scope Control<'_>,
        abort: StopToken,
    ) -> Result<Self, NoThread>
    where
        R: Reader<Error = E> + 'scope,
        C: Converter<Batch = R::Batch, Output = O, Error = E>,
    {
        // Short queues: what waits in them is memory that no stage works on.
        let (batch_sender, batches) = bounded(QUEUE_BATCHES);
        let (output_sender, outputs) = bounded(QUEUE_BATCHES);
        let feeder = Feeder { options, control, abort, batches: batch_sender, failures: output_sender.clone() };
        let feeding = start_thread(scope, "haul-read", move || feeder.feed(reader))?;
        let converting = start_thread(scope, "haul-pool", move || {
            convert_on_pool(converter, options, control, &batches, &output_sender);
        })?;
        Ok(Self { feeding, converting, outputs })
    }

    /// Waits for the threads, which have closed the queue.
    fn join(self) -> Result<Fed, Failure<E>> {
        drop(self.outputs);
        self.converting.join().map_err(Failure::Panic)?;
        self.feeding.join().map_err(Failure::Panic)
    }
}

/// The reader's thread: admits, numbers and sends batches.
struct Feeder<'scope, B, O, E> {
    options: &'scope Options,
    control: &'scope Control<'scope>,
    abort: StopToken,
    batches: Sender<Numbered<Load<B>>>,
    failures: Sender<Numbered<Outcome<O, E>>>,
}

impl<B, O, E> Feeder<'_, B, O, E> {
    fn feed<R: Reader<Batch = B, Error = E>>(self, mut reader: R) -> Fed {
        let observer = self.control.observer;
        let admission = Admission::new(Arc::clone(&self.options.budget), self.abort.clone()).watched(observer);
        let rate = RateLimit::new(self.options.rate_limit);
        let mut batches = 0;
        let ended = loop {
            if self.abort.is_requested() {
                break Ended::Stopped;
            }
            let admitted = match guarded(|| self.read(&mut reader, &admission)) {
                Ok(Some(admitted)) => admitted,
                Ok(None) if admission.was_refused() => break Ended::Stopped,
                Ok(None) => break Ended::Complete,
                Err(failure) => {
                    // Nobody listens only if an earlier failure has ended the run.
                    let _ = self.failures.send((batches, Err(failure)));
                    break Ended::Stopped;
                }
            };
            let Admitted { batch, permit, records, source_bytes } = admitted;
            let load = Load { content: batch, permit, records, source_bytes, placing: Duration::ZERO };
            if !rate.wait(records, &self.abort, observer) || self.batches.send((batches, load)).is_err() {
                break Ended::Stopped;
            }
            batches += 1;
        };
        Fed { batches, ended }
    }

    fn read<R: Reader<Batch = B, Error = E>>(
        &self,
        reader: &mut R,
        admission: &Admission<'_>,
    ) -> Result<Option<Admitted<B>>, E> {
        let (started, waited_before) = (Instant::now(), self.options.budget.waits().waited);
        let admitted = reader.next(admission)?;
        let waited = self.options.budget.waits().waited.saturating_sub(waited_before);
        if admitted.is_some() {
            let took = started.elapsed().saturating_sub(waited);
            self.control.observer.observe(&Event::timed(EngineStage::Read, took));
        }
        Ok(admitted)
    }
}

/// Runs one converting loop on each thread of a private pool. The loops block on the channels only and start no work in
/// the pool, so a pool of one thread is enough.
fn convert_on_pool<C: Converter>(
    converter: &C,
    options: &Options,
    control: &Control<'_>,
    batches: &Receiver<Numbered<Load<C::Batch>>>,
    outputs: &Sender<Numbered<Outcome<C::Output, C::Error>>>,
) {
    let pool = ThreadPoolBuilder::new()
        .num_threads(options.parallel_workers.get())
        .thread_name(|index| format!("haul-convert-{index}"));
    let threads = pool.build_scoped(
        |thread| thread.run(),
        |pool| {
            pool.broadcast(|_| convert_all(converter, control, batches, outputs));
        },
    );
    if threads.is_err() {
        // The system gives no more threads; this one is left.
        convert_all(converter, control, batches, outputs);
    }
}

/// One converting loop. It ends with its first failure: what is still queued then comes after the failed batch.
fn convert_all<C: Converter>(
    converter: &C,
    control: &Control<'_>,
    batches: &Receiver<Numbered<Load<C::Batch>>>,
    outputs: &Sender<Numbered<Outcome<C::Output, C::Error>>>,
) {
    let mut scratch = None;
    for (number, load) in batches {
        // The reader asks before each batch whether to stop. The few that are on their way then are still taken.
        looked();
        let started = Instant::now();
        let (content, rest) = load.take();
        let outcome = guarded(|| converter.convert(scratch.get_or_insert_default(), content));
        let outcome = outcome.map(|content| rest.placed(content, Duration::ZERO));
        control.observer.observe(&Event::timed(EngineStage::Convert, started.elapsed()));
        let failed = outcome.is_err();
        if outputs.send((number, outcome)).is_err() || failed {
            return;
        }
    }
}

/// The writer's thread: everything in order, then the last commit.
struct Writing<'a, W: Writer> {
    checkpoints: Checkpoints<W::Commit, W::Error>,
    writer: &'a mut W,
    control: &'a Control<'a>,
    counting: Counting,
}

impl<W: Writer> Writing<'_, W> {
    fn write_all<O>(
        &mut self,
        stages: Stages<'_, O, W::Error>,
        mut between: impl Between<O, W::Output, W::Error>,
        abort: &StopToken,
    ) -> Result<Ended, Failure<W::Error>>
    where
        O: Send,
    {
        let mut sequence = Sequence::new();
        loop {
            let outputs = if between.is_full() { never() } else { stages.outputs.clone() };
            select! {
                recv(outputs) -> arrival => {
                    let Ok((number, outcome)) = arrival else { break };
                    if outcome.is_err() {
                        // Batches before the failed one are all on their way; those after it are no longer needed.
                        abort.request();
                    }
                    sequence.push(number, outcome);
                }
                recv(between.placed()) -> placed => {
                    between.settle();
                    // The next set first, so that its thread is at work meanwhile.
                    between.advance();
                    self.write_each(placed.expect("a thread that places answers")?)?;
                }
                recv(between.timer()) -> _ => {}
                recv(self.checkpoints.outcomes()) -> outcome => {
                    self.checkpoints.settle(outcome.expect("a busy committer answers"))?;
                }
                recv(self.checkpoints.timer()) -> _ => {}
            }
            while let Some(outcome) = sequence.pop() {
                match outcome {
                    Ok(load) => self.write_each(between.push(load))?,
                    Err(failure) => {
                        // What comes before it may have failed as well.
                        self.write_rest(&mut between)?;
                        return Err(failure);
                    }
                }
            }
            between.advance();
            self.checkpoints.advance(self.writer)?;
        }
        let fed = stages.join()?;
        assert_eq!(sequence.popped(), fed.batches, "every batch that was sent is written");
        self.write_rest(&mut between)?;
        Ok(fed.ended)
    }

    /// Writes what is collected.
    fn write_rest<O>(&mut self, between: &mut impl Between<O, W::Output, W::Error>) -> Result<(), Failure<W::Error>> {
        while let Some(placed) = between.finish_one() {
            self.write_each(placed?)?;
        }
        Ok(())
    }

    fn write_each(&mut self, loads: impl IntoIterator<Item = Load<W::Output>>) -> Result<(), Failure<W::Error>> {
        for load in loads {
            self.write_one(load)?;
            self.counting.tell_if_due(self.writer, self.control);
        }
        Ok(())
    }

    fn write_one(&mut self, load: Load<W::Output>) -> Result<(), Failure<W::Error>> {
        let Load { content, permit, records, source_bytes, placing } = load;
        let budget = Arc::clone(permit.budget());
        looked();
        let started = Instant::now();
        self.writer.write(content).map_err(Failure::Error)?;
        self.control.observer.observe(&Event::timed(EngineStage::Write, placing + started.elapsed()));
        // The memory that is shown is what this batch held as well: afterwards a run of few batches would seem to use none.
        let budget_in_use_bytes = budget.in_use_bytes();
        drop(permit);
        self.control.observer.observe(&if W::MIGRATES {
            Event::BatchWritten { records, source_bytes, budget_in_use_bytes }
        } else {
            Event::Progressed { records, source_bytes, budget_in_use_bytes }
        });
        self.checkpoints.count(records);
        self.checkpoints.advance(self.writer)
    }

    /// Makes the last commit.
    fn finish(self, ended: Ended) -> Result<Ended, Failure<W::Error>> {
        let Self { checkpoints, writer, control, counting } = self;
        let last = checkpoints.finish(writer, control.observer);
        // A writer may count only what its commits have done.
        counting.tell(writer, control);
        last.map(|()| ended)
    }
}

/// Tells from time to time what the writer has counted: a batch may be one record.
#[derive(Default)]
struct Counting {
    told: Option<Instant>,
}

impl Counting {
    const INTERVAL: Duration = Duration::from_millis(100);

    fn tell_if_due<W: Writer>(&mut self, writer: &W, control: &Control<'_>) {
        if self.told.is_none_or(|told| told.elapsed() >= Self::INTERVAL) {
            self.tell(writer, control);
            self.told = Some(Instant::now());
        }
    }

    fn tell<W: Writer>(&self, writer: &W, control: &Control<'_>) {
        if let Some(counted) = writer.counted() {
            control.observer.observe(&Event::Counted(Box::new(counted)));
        }
    }
}

#[cfg(test)]
mod tests;
