//! What the engine and the run state cost apart from any format: a batch's way through the stages, a checkpoint.

use std::hint::black_box;
use std::num::NonZeroUsize;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use haul::durable::RealDisk;
use haul::migration::checkpoint::{CheckpointFile, decode, encode};
use haul::migration::{Durability, Error};
use haul::pipeline::{
    Admission, Admitted, Budget, Commit, Control, Converter, Ended, Options, Reader, Silent, StopToken, Writer, run,
};
use haul::space::log::reader::Cursor;
use haul::space::options::MigrateOptions;
use haul::space::state::{CHECKPOINT_KIND, Progress, RunState, StoreName};

const BATCHES: u64 = 10_000;

/// Batches that hold nothing but their number.
struct Numbers(u64);

impl Reader for Numbers {
    type Batch = u64;
    type Error = Error;

    fn next(&mut self, admission: &Admission) -> Result<Option<Admitted<u64>>, Error> {
        if self.0 == 0 {
            return Ok(None);
        }
        self.0 -= 1;
        let permit = admission.acquire(1);
        Ok(permit.map(|permit| Admitted { batch: self.0, permit, records: 1, source_bytes: 1 }))
    }
}

struct Pass;

impl Converter for Pass {
    type Batch = u64;
    type Output = u64;
    type Scratch = ();
    type Error = Error;

    fn convert(&self, _scratch: &mut (), batch: u64) -> Result<u64, Error> {
        Ok(batch)
    }
}

struct Sum(u64);

/// What a commit costs apart from any disk.
struct Nothing;

impl Commit for Nothing {
    type Error = Error;

    fn commit(self) -> Result<(), Error> {
        Ok(())
    }
}

impl Writer for Sum {
    type Output = u64;
    type Error = Error;
    type Commit = Nothing;

    fn write(&mut self, output: u64) -> Result<(), Error> {
        self.0 += output;
        Ok(())
    }

    fn commit_point(&mut self) -> Result<Nothing, Error> {
        Ok(Nothing)
    }
}

fn channel_hop(c: &mut Criterion) {
    let mut group = c.benchmark_group("engine/channel hop");
    group.throughput(Throughput::Elements(BATCHES)).sample_size(20);
    for workers in [1, 2, 4] {
        let options = Options {
            parallel_workers: NonZeroUsize::new(workers).expect("at least one worker"),
            budget: Budget::new(1 << 20, 0.8),
            rate_limit: None,
            checkpoint_interval_records: 1_000,
            checkpoint_interval_ms_min: 0,
            checkpoint_interval_ms_max: u64::MAX,
        };
        group.bench_function(BenchmarkId::new("batches, workers", workers), |b| {
            b.iter(|| {
                let stop = StopToken::new();
                let control = Control { stop: &stop, observer: &Silent };
                let mut writer = Sum(0);
                let ended = run(Numbers(BATCHES), &Pass, &mut writer, &options, &control).expect("no stage fails");
                assert_eq!((ended, writer.0), (Ended::Complete, BATCHES * (BATCHES - 1) / 2));
            });
        });
    }
    group.finish();
}

fn state() -> RunState {
    let rules = MigrateOptions::default().rules();
    let run_id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
    let mut state = RunState::new([7; 32], run_id, rules, Durability::Group);
    state.records = 300_000;
    state.progress = Progress {
        store: StoreName::of_generation(1),
        cursor: Cursor { file: 1, offset: 1 << 30, extent: 1_200 },
        last_sequence: Some(299_999),
        segment_bytes: 1 << 30,
        node_rows: 300_000,
        ..Progress::default()
    };
    state
}

fn checkpoint(c: &mut Criterion) {
    let state = state();
    let path = "checkpoint.bin".as_ref();
    let bytes = encode(CHECKPOINT_KIND, path, &state).expect("a short state");
    let mut group = c.benchmark_group("engine/checkpoint");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("encode", |b| b.iter(|| black_box(encode(CHECKPOINT_KIND, path, &state).expect("short"))));
    group.bench_function("decode", |b| {
        b.iter(|| black_box(decode::<RunState>(CHECKPOINT_KIND, path, &bytes).expect("a sound checkpoint")));
    });
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = CheckpointFile::new(directory.path(), CHECKPOINT_KIND);
    group.sample_size(20);
    group.bench_function("store, synced", |b| b.iter(|| file.store(&RealDisk, &state).expect("room for it")));
    group.finish();
}

criterion_group!(benches, channel_hop, checkpoint);
