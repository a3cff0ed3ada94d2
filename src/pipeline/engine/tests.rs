use std::num::{NonZeroU32, NonZeroUsize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::pipeline::budget::Budget;
use crate::pipeline::event::{Observer, Silent, Wait};
use crate::pipeline::stages::Commit;
use crate::pipeline::threads::NoThread;

/// Where a toy stage goes wrong: at the record with this index, or at this commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    Read(u64),
    Convert(u64),
    Place(u64),
    Write(u64),
    TakePoint(u64),
    Commit(u64),
}

impl From<NoThread> for Site {
    fn from(error: NoThread) -> Self {
        panic!("these tests need threads: {error}");
    }
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    site: Site,
    panics: bool,
}

impl Fault {
    fn strike(&self, hit: impl Fn(Site) -> bool) -> Result<(), Site> {
        match (hit(self.site), self.panics) {
            (false, _) => Ok(()),
            (true, false) => Err(self.site),
            (true, true) => std::panic::panic_any(self.site),
        }
    }
}

/// A run of the toy store: record `i` is worth `i`, is converted to `3 i + 1`, and takes `record_bytes` of memory.
#[derive(Clone)]
struct Toy {
    records: u64,
    batch_records: u64,
    first_batch_records: Option<u64>,
    record_bytes: u64,
    workers: usize,
    budget: Arc<Budget>,
    interval_records: u64,
    interval_ms_min: u64,
    interval_ms_max: u64,
    rate_limit: Option<NonZeroU32>,
    fault: Option<Fault>,
    /// True if a stage before the writer places several batches at once.
    places: bool,
    delays: bool,
    stop: StopToken,
    stop_at_record: Option<u64>,
}

impl Default for Toy {
    fn default() -> Self {
        Self {
            records: 1000,
            batch_records: 10,
            first_batch_records: None,
            record_bytes: 8,
            workers: 2,
            budget: Budget::new(2000, 0.8),
            interval_records: 50,
            interval_ms_min: 0,
            interval_ms_max: 3_600_000,
            rate_limit: None,
            fault: None,
            places: false,
            delays: false,
            stop: StopToken::new(),
            stop_at_record: None,
        }
    }
}

/// What the toy store holds, in memory and durably.
#[derive(Default)]
struct Store {
    written: Vec<u64>,
    points: u64,
    commits: Arc<Mutex<Vec<usize>>>,
}

impl Toy {
    fn options(&self) -> Options {
        Options {
            parallel_workers: NonZeroUsize::new(self.workers).expect("a worker"),
            budget: Arc::clone(&self.budget),
            rate_limit: self.rate_limit,
            checkpoint_interval_records: self.interval_records,
            checkpoint_interval_ms_min: self.interval_ms_min,
            checkpoint_interval_ms_max: self.interval_ms_max,
        }
    }

    fn run_into(&self, store: &mut Store, observer: &dyn Observer) -> Result<Ended, Site> {
        let reader = ToyReader { toy: self, next: store.written.len() as u64 };
        let mut writer = ToyWriter { toy: self, store };
        let control = Control { stop: &self.stop, observer };
        match self.places {
            true => run_placing(reader, self, self, &mut writer, &self.options(), &control),
            false => run(reader, self, &mut writer, &self.options(), &control),
        }
    }

    fn run(&self) -> (Result<Ended, Site>, Store) {
        let mut store = Store::default();
        let result = self.run_into(&mut store, &Silent);
        (result, store)
    }

    fn strike(&self, hit: impl Fn(Site) -> bool) -> Result<(), Site> {
        self.fault.map_or(Ok(()), |fault| fault.strike(hit))
    }

    fn output(&self) -> Vec<u64> {
        (0..self.records).map(|record| 3 * record + 1).collect()
    }

    fn delay(&self, seed: u64) {
        if self.delays {
            thread::sleep(Duration::from_micros(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56));
        }
    }
}

struct ToyReader<'a> {
    toy: &'a Toy,
    next: u64,
}

impl Reader for ToyReader<'_> {
    type Batch = Vec<u64>;
    type Error = Site;

    fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<Vec<u64>>>, Site> {
        let batch_records = match self.next {
            0 => self.toy.first_batch_records.unwrap_or(self.toy.batch_records),
            _ => self.toy.batch_records,
        };
        let end = self.toy.records.min(self.next + batch_records);
        let range = self.next..end;
        if range.is_empty() {
            return Ok(None);
        }
        let records = end - self.next;
        let Some(permit) = admission.acquire(records * self.toy.record_bytes) else { return Ok(None) };
        self.toy.strike(|site| matches!(site, Site::Read(at) if range.contains(&at)))?;
        if self.toy.stop_at_record.is_some_and(|at| range.contains(&at)) {
            self.toy.stop.request();
        }
        self.toy.delay(end);
        self.next = end;
        Ok(Some(Admitted { batch: range.collect(), permit, records, source_bytes: 100 * records }))
    }
}

impl Converter for Toy {
    type Batch = Vec<u64>;
    type Output = Vec<u64>;
    type Scratch = Vec<u64>;
    type Error = Site;

    fn convert(&self, scratch: &mut Vec<u64>, batch: Vec<u64>) -> Result<Vec<u64>, Site> {
        self.strike(|site| matches!(site, Site::Convert(at) if batch.contains(&at)))?;
        self.delay(batch[0]);
        scratch.clear();
        scratch.extend(batch.iter().map(|record| 3 * record + 1));
        Ok(scratch.clone())
    }
}

impl Placing for Toy {
    type Input = Vec<u64>;
    type Output = Vec<u64>;
    type Error = Site;

    fn place(&self, batches: Vec<Vec<u64>>) -> Result<Vec<Vec<u64>>, Site> {
        let outputs = batches.concat();
        assert!(outputs.windows(2).all(|pair| pair[1] == pair[0] + 3), "batches follow each other");
        self.strike(|site| matches!(site, Site::Place(at) if outputs.contains(&(3 * at + 1))))?;
        self.delay(outputs[0]);
        Ok(batches)
    }
}

struct ToyWriter<'a> {
    toy: &'a Toy,
    store: &'a mut Store,
}

impl<'a> Writer for ToyWriter<'a> {
    type Output = Vec<u64>;
    type Error = Site;
    type Commit = ToyCommit<'a>;

    fn write(&mut self, output: Vec<u64>) -> Result<(), Site> {
        self.toy.strike(|site| matches!(site, Site::Write(at) if output.contains(&(3 * at + 1))))?;
        self.toy.delay(output[0]);
        self.store.written.extend(output);
        Ok(())
    }

    fn commit_point(&mut self) -> Result<ToyCommit<'a>, Site> {
        let index = self.store.points;
        self.toy.strike(|site| site == Site::TakePoint(index))?;
        self.store.points += 1;
        let commits = Arc::clone(&self.store.commits);
        Ok(ToyCommit { toy: self.toy, index, len: self.store.written.len(), commits })
    }
}

struct ToyCommit<'a> {
    toy: &'a Toy,
    index: u64,
    len: usize,
    commits: Arc<Mutex<Vec<usize>>>,
}

impl Commit for ToyCommit<'_> {
    type Error = Site;

    fn commit(self) -> Result<(), Site> {
        self.toy.strike(|site| site == Site::Commit(self.index))?;
        self.toy.delay(self.index);
        let mut commits = self.commits.lock();
        assert_eq!(commits.len() as u64, self.index, "commits run in order, none is left out");
        commits.push(self.len);
        Ok(())
    }
}

#[derive(Default)]
struct Recorder(Mutex<Vec<Event>>);

impl Observer for Recorder {
    fn observe(&self, event: &Event) {
        self.0.lock().push(event.clone());
    }
}

#[test]
fn order_is_kept_for_any_number_of_workers() {
    for (workers, places) in [(1, false), (2, false), (8, false), (1, true), (8, true)] {
        let toy = Toy { workers, places, delays: true, ..Toy::default() };
        let (result, store) = toy.run();
        assert_eq!(result, Ok(Ended::Complete));
        assert_eq!(store.written, toy.output());
        assert_eq!(store.commits.lock().last(), Some(&1000));
        assert_eq!(toy.budget.in_use_bytes(), 0);
    }
}

#[test]
fn an_empty_source_is_complete_and_committed() {
    let (result, store) = Toy { records: 0, ..Toy::default() }.run();
    assert_eq!((result, store.commits.lock().as_slice()), (Ok(Ended::Complete), [0].as_slice()));
}

#[test]
fn a_budget_of_one_byte_is_enough() {
    for (limit_bytes, places) in [(0, false), (1, false), (0, true), (1, true)] {
        let toy = Toy { budget: Budget::new(limit_bytes, 0.8), places, ..Toy::default() };
        let (result, store) = toy.run();
        assert_eq!((result, store.written), (Ok(Ended::Complete), toy.output()));
        assert_eq!(toy.budget.peak_bytes(), 80, "one batch at a time");
    }
}

#[test]
fn checkpoints_keep_their_distance() {
    let (_, store) = Toy { interval_ms_min: u64::MAX, ..Toy::default() }.run();
    assert_eq!(*store.commits.lock(), [1000], "only the last one");
    let (_, store) = Toy { interval_records: 600, ..Toy::default() }.run();
    let commits = store.commits.lock();
    let before_last = &commits[..commits.len() - 1];
    assert!(before_last.first().is_none_or(|&len| len >= 300));
    assert!(before_last.windows(2).all(|pair| pair[1] - pair[0] >= 300), "{commits:?}");
}

#[test]
fn a_checkpoint_falls_due_by_time_alone() {
    let few = Toy { interval_records: 1_000_000, ..Toy::default() };
    let (_, store) = few.run();
    assert_eq!(*store.commits.lock(), [1000], "only the last one");
    // Time passes between two batches, so the committer has a point to take before the end.
    let (_, store) = Toy { interval_ms_max: 0, delays: true, ..few }.run();
    let commits = store.commits.lock();
    assert!(commits.len() > 1 && commits.last() == Some(&1000), "{commits:?}");
}

#[test]
fn without_new_records_no_checkpoint_falls_due() {
    let toy = Toy { records: 10, interval_records: 1_000_000, interval_ms_max: 0, ..Toy::default() };
    let (_, store) = toy.run();
    let commits = store.commits.lock();
    assert!(commits.len() <= 2 && commits.last() == Some(&10), "one batch, then the end: {commits:?}");
}

#[test]
fn a_limited_run_tells_what_the_limit_lets_pass() {
    let admitted = |rate_limit| {
        let (toy, recorder, mut store) = (Toy { rate_limit, ..Toy::default() }, Recorder::default(), Store::default());
        toy.run_into(&mut store, &recorder).expect("no fault");
        let events = recorder.0.into_inner();
        events.iter().map(|event| if let Event::BatchAdmitted { records } = event { *records } else { 0 }).sum::<u64>()
    };
    assert_eq!((admitted(NonZeroU32::new(1_000_000)), admitted(None)), (1000, 0));
}

#[test]
fn every_stage_is_timed_for_every_batch() {
    for places in [false, true] {
        every_stage_is_timed(&Toy { places, ..Toy::default() });
    }
}

fn every_stage_is_timed(toy: &Toy) {
    let (recorder, mut store) = (Recorder::default(), Store::default());
    toy.run_into(&mut store, &recorder).expect("no fault");
    let events = &recorder.0.into_inner();
    let times = |wanted| {
        events.iter().filter(move |event| matches!(event, Event::StageTimed { stage, .. } if *stage == wanted))
    };
    for stage in [EngineStage::Read, EngineStage::Convert, EngineStage::Write] {
        assert_eq!(times(stage).count(), 100, "{stage}");
    }
    let commits = store.commits.lock().len();
    assert_eq!([EngineStage::Commit, EngineStage::Sync].map(|stage| times(stage).count()), [commits; 2]);
}

#[test]
fn events_tell_the_whole_story() {
    let (toy, recorder, mut store) = (Toy::default(), Recorder::default(), Store::default());
    toy.run_into(&mut store, &recorder).expect("no fault");
    let events = recorder.0.into_inner();
    let (mut batches, mut records_total, mut source_bytes_total, mut checkpoints) = (0, 0, 0, Vec::new());
    for event in events {
        match event {
            Event::BatchWritten { records, source_bytes, budget_in_use_bytes } => {
                batches += 1;
                records_total += records;
                source_bytes_total += source_bytes;
                assert!(budget_in_use_bytes <= 2000);
            }
            Event::CheckpointWritten { records_total } => checkpoints.push(records_total as usize),
            Event::Waiting { .. } | Event::Waited { .. } | Event::StageTimed { .. } => {}
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!((batches, records_total, source_bytes_total), (100, 1000, 100_000));
    assert_eq!(checkpoints, *store.commits.lock());
}

/// Converts like [`Toy`], after `before` has run on the batch.
struct Hooked<'a, F> {
    toy: &'a Toy,
    before: F,
}

impl<F: Fn(&[u64]) -> Result<(), Site> + Sync> Converter for Hooked<'_, F> {
    type Batch = Vec<u64>;
    type Output = Vec<u64>;
    type Scratch = Vec<u64>;
    type Error = Site;

    fn convert(&self, scratch: &mut Vec<u64>, batch: Vec<u64>) -> Result<Vec<u64>, Site> {
        (self.before)(&batch)?;
        self.toy.convert(scratch, batch)
    }
}

fn run_hooked(
    toy: &Toy,
    observer: &dyn Observer,
    before: impl Fn(&[u64]) -> Result<(), Site> + Sync,
) -> (Result<Ended, Site>, Store) {
    let mut store = Store::default();
    let mut writer = ToyWriter { toy, store: &mut store };
    let (reader, converter) = (ToyReader { toy, next: 0 }, Hooked { toy, before });
    let result = run(reader, &converter, &mut writer, &toy.options(), &Control { stop: &toy.stop, observer });
    (result, store)
}

#[test]
fn a_batch_larger_than_the_budget_travels_alone() {
    let toy = Toy { records: 95, budget: Budget::new(79, 1.0), workers: 4, ..Toy::default() };
    let (result, store) = run_hooked(&toy, &Silent, |batch| {
        let in_use_bytes = toy.budget.in_use_bytes();
        assert_eq!(in_use_bytes, 8 * batch.len() as u64, "nothing else is in flight");
        Ok(())
    });
    assert_eq!((result, store.written), (Ok(Ended::Complete), toy.output()));
}

fn spin_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn a_reader_that_waits_for_memory_says_so() {
    let toy = Toy { records: 20, budget: Budget::new(80, 1.0), ..Toy::default() };
    let recorder = Recorder::default();
    let (result, _) = run_hooked(&toy, &recorder, |batch| {
        spin_until(|| batch[0] > 0 || toy.budget.waits().count > 0);
        Ok(())
    });
    assert_eq!(result, Ok(Ended::Complete));
    assert!(recorder.0.lock().iter().any(|event| matches!(event, Event::Waited { reason: Wait::Memory, .. })));
}

#[test]
fn a_stop_reaches_a_reader_that_waits_for_memory() {
    let toy = Toy { budget: Budget::new(80, 1.0), ..Toy::default() };
    let (result, store) = run_hooked(&toy, &Silent, |_| {
        spin_until(|| toy.budget.waits().count > 0);
        toy.stop.request();
        // Gives nothing back before the reader has seen the request.
        spin_until(|| toy.budget.waits().waited > Duration::ZERO);
        Ok(())
    });
    assert_eq!(result, Ok(Ended::Stopped));
    assert_eq!((store.written.len(), store.commits.lock().last()), (10, Some(&10)), "what was in flight is written");
}

#[test]
fn a_stop_reaches_a_reader_that_waits_for_its_rate() {
    let toy = Toy { rate_limit: NonZeroU32::new(1), batch_records: 1, ..Toy::default() };
    let (result, store) = run_hooked(&toy, &Silent, |_| {
        toy.stop.request();
        Ok(())
    });
    assert_eq!(result, Ok(Ended::Stopped));
    assert_eq!(store.commits.lock().last(), Some(&store.written.len()));
}

/// The second batch may pass a quarter of an hour after the first.
#[test]
fn a_failure_does_not_wait_for_the_rate_of_the_reader() {
    for site in [Site::Convert(0), Site::Write(0), Site::TakePoint(0), Site::Commit(0)] {
        let toy = Toy {
            rate_limit: NonZeroU32::new(1),
            first_batch_records: Some(1),
            batch_records: 999,
            interval_records: 1,
            budget: Budget::new(u64::MAX, 1.0),
            fault: Some(Fault { site, panics: false }),
            ..Toy::default()
        };
        assert_eq!(toy.run().0, Err(site));
    }
}

#[test]
fn the_error_of_the_earliest_batch_wins() {
    let (toy, later_failures) = (Toy::default(), AtomicU64::new(0));
    let (result, store) = run_hooked(&toy, &Silent, |batch| match batch[0] {
        30 => {
            spin_until(|| later_failures.load(Ordering::Acquire) > 0);
            Err(Site::Convert(30))
        }
        50 => {
            later_failures.store(1, Ordering::Release);
            Err(Site::Convert(50))
        }
        _ => Ok(()),
    });
    assert_eq!((result, store.written.len()), (Err(Site::Convert(30)), 30));
}

#[test]
fn a_stopped_run_is_committed_and_can_be_continued() {
    for stop_at_record in [0, 9, 10, 505, 999] {
        let toy = Toy { stop_at_record: Some(stop_at_record), delays: true, ..Toy::default() };
        let mut store = Store::default();
        assert_eq!(toy.run_into(&mut store, &Silent), Ok(Ended::Stopped));
        assert_eq!(store.written, toy.output()[..store.written.len()]);
        assert!(store.written.len() as u64 <= stop_at_record / 10 * 10 + 10);
        assert_eq!(store.commits.lock().last(), Some(&store.written.len()));

        let again = Toy { workers: 3, batch_records: 7, ..Toy::default() };
        assert_eq!(again.run_into(&mut store, &Silent), Ok(Ended::Complete));
        assert_eq!(store.written, again.output());
    }
}

#[test]
fn a_stop_before_the_start_commits_nothing_new() {
    let toy = Toy::default();
    toy.stop.request();
    let (result, store) = toy.run();
    assert_eq!((result, store.commits.lock().as_slice()), (Ok(Ended::Stopped), [0].as_slice()));
}

/// A writer whose first commit ends only after its last output is written.
struct SlowCommits {
    written: u64,
    all_written: Sender<()>,
    wait_for: Option<Receiver<()>>,
    commits: Arc<Mutex<Vec<u64>>>,
}

struct SlowCommit {
    written: u64,
    wait_for: Option<Receiver<()>>,
    commits: Arc<Mutex<Vec<u64>>>,
}

impl Writer for SlowCommits {
    type Output = Vec<u64>;
    type Error = Site;
    type Commit = SlowCommit;

    fn write(&mut self, output: Vec<u64>) -> Result<(), Site> {
        self.written += output.len() as u64;
        if self.written == 1000 {
            self.all_written.send(()).expect("the test listens");
        }
        Ok(())
    }

    fn commit_point(&mut self) -> Result<SlowCommit, Site> {
        let (written, wait_for) = (self.written, self.wait_for.take());
        Ok(SlowCommit { written, wait_for, commits: Arc::clone(&self.commits) })
    }
}

impl Commit for SlowCommit {
    type Error = Site;

    fn commit(self) -> Result<(), Site> {
        if let Some(all_written) = self.wait_for {
            all_written.recv().expect("the writer goes on");
        }
        self.commits.lock().push(self.written);
        Ok(())
    }
}

#[test]
fn a_slow_commit_does_not_block_the_writer() {
    let toy = Toy { interval_records: 1, ..Toy::default() };
    let (all_written, wait_for) = bounded(1);
    let mut writer = SlowCommits { written: 0, all_written, wait_for: Some(wait_for), commits: Arc::default() };
    let reader = ToyReader { toy: &toy, next: 0 };
    let result = run(reader, &toy, &mut writer, &toy.options(), &Control { stop: &toy.stop, observer: &Silent });
    assert_eq!(result, Ok(Ended::Complete));
    let mut commits = writer.commits.lock().clone();
    // One that fell due meanwhile may be made before the last one, of the same records.
    commits.dedup();
    assert_eq!(commits, [10, 1000]);
}

fn any_site() -> impl Strategy<Value = Site> {
    prop_oneof![
        (0..400_u64).prop_map(Site::Read),
        (0..400_u64).prop_map(Site::Convert),
        (0..400_u64).prop_map(Site::Place),
        (0..400_u64).prop_map(Site::Write),
        (0..4_u64).prop_map(Site::TakePoint),
        (0..4_u64).prop_map(Site::Commit),
    ]
}

prop_compose! {
    fn any_toy()(
        records in 0..400_u64,
        batch_records in 1..50_u64,
        workers in 1..=8_usize,
        limit_bytes in 0..2000_u64,
        threshold in 0.0..=1.0_f64,
        interval_records in 0..100_u64,
        places in any::<bool>(),
    ) -> Toy {
        let budget = Budget::new(limit_bytes, threshold);
        Toy { records, batch_records, workers, budget, interval_records, places, ..Toy::default() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_output_depends_on_the_source_alone(toy in any_toy()) {
        let (result, store) = toy.run();
        prop_assert_eq!(result, Ok(Ended::Complete));
        prop_assert_eq!(&store.written, &toy.output());
        prop_assert_eq!(store.commits.lock().last().copied(), Some(toy.records as usize));
        let largest_bytes = toy.batch_records.min(toy.records) * toy.record_bytes;
        prop_assert!(toy.budget.peak_bytes() <= toy.budget.limit_bytes().max(largest_bytes));
        prop_assert_eq!(toy.budget.in_use_bytes(), 0);
    }

    #[test]
    fn any_fault_ends_the_run_with_itself(toy in any_toy(), site in any_site(), panics in any::<bool>()) {
        let site = if let (Site::Place(at), false) = (site, toy.places) { Site::Write(at) } else { site };
        let toy = Toy { fault: Some(Fault { site, panics }), ..toy };
        let mut store = Store::default();
        let result = catch_unwind(AssertUnwindSafe(|| toy.run_into(&mut store, &Silent)));
        match result {
            Ok(Ok(ended)) => {
                prop_assert_eq!(ended, Ended::Complete);
                prop_assert_eq!(&store.written, &toy.output());
            }
            Ok(Err(error)) => prop_assert!(error == site && !panics),
            Err(panic) => prop_assert!(panic.downcast_ref() == Some(&site) && panics),
        }
        if let Site::Read(at) | Site::Convert(at) | Site::Write(at) = site {
            let first_lost = if at < toy.records { at / toy.batch_records * toy.batch_records } else { toy.records };
            prop_assert_eq!(store.written.len() as u64, first_lost);
        }
        if let Site::Place(at) = site {
            prop_assert!(store.written.len() as u64 <= at.min(toy.records), "a set is placed whole or not at all");
        }
        prop_assert_eq!(&store.written, &toy.output()[..store.written.len()]);
        prop_assert!(store.commits.lock().iter().all(|&len| len <= store.written.len()));
        prop_assert_eq!(toy.budget.in_use_bytes(), 0, "permits come back after a failure as well");
    }

    #[test]
    fn a_stop_anywhere_can_be_continued(toy in any_toy(), next in any_toy(), stop_at_record in 0..400_u64) {
        let toy = Toy { stop_at_record: Some(stop_at_record), ..toy };
        let mut store = Store::default();
        let ended = toy.run_into(&mut store, &Silent);
        let stops = stop_at_record < toy.records;
        prop_assert_eq!(ended, Ok(if stops { Ended::Stopped } else { Ended::Complete }));
        prop_assert_eq!(store.commits.lock().last().copied(), Some(store.written.len()));
        let next = Toy { records: toy.records, ..next };
        prop_assert_eq!(next.run_into(&mut store, &Silent), Ok(Ended::Complete));
        prop_assert_eq!(store.written, toy.output());
    }
}

impl std::fmt::Debug for Toy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Toy")
            .field("records", &self.records)
            .field("batch_records", &self.batch_records)
            .field("workers", &self.workers)
            .field("limit_bytes", &self.budget.limit_bytes())
            .field("interval_records", &self.interval_records)
            .field("places", &self.places)
            .finish_non_exhaustive()
    }
}

mod placing;
