//! What a migrated record costs, step by step: decode, convert, hash, encode, sort.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group};
use haul::durable::{ReaderKind, RealDisk};
use haul::pipeline::{Admission, Budget, Converter, Reader, SortedRuns, StopToken};
use haul::space::generate::{GenerateOptions, generate};
use haul::space::log::bincode_reader::RangeCheck;
use haul::space::log::episode::EpisodeView;
use haul::space::log::extent::{Content, Frame};
use haul::space::log::node_id::{id_digest, node_id};
use haul::space::log::reader::{Batch, BatchLimits, Cursor, LogReader};
use haul::space::log::source::WalSource;
use haul::space::log::wal::{HEADER_BYTES, WalHeader};
use haul::space::migrate::convert::LogConverter;
use haul::space::policy::{Corruption, Duplicates, Policies};
use haul::space::store::block::{Entry, Origin, encode_block};
use haul::space::store::block_view::{AlignedBytes, Block};
use haul::space::store::layout::{Row, RowKind};
use haul::space::store::replay_key::{CANDIDATE_BYTES, Candidate};

/// Records of one batch, as in a migration with default settings.
const RECORDS: u64 = 1_000;

/// A generated log on disk and its first batch.
struct Log {
    directory: tempfile::TempDir,
    names: Arc<Vec<String>>,
}

impl Log {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = GenerateOptions { nodes: RECORDS, seed: 1, files: 1 };
        let mut bytes = Vec::new();
        generate(&options, &mut |_, chunk: &[u8]| -> Result<(), std::convert::Infallible> {
            bytes.extend_from_slice(chunk);
            Ok(())
        })
        .expect("nothing fails in memory");
        let name = options.file_name(0);
        #[expect(clippy::disallowed_methods, reason = "benchmarks prepare files directly")]
        std::fs::write(directory.path().join(&name), bytes).expect("a log file");
        Self { directory, names: Arc::new(vec![name]) }
    }

    fn source(&self) -> Arc<WalSource> {
        Arc::new(WalSource::open(self.directory.path(), ReaderKind::Auto).expect("a log"))
    }

    fn batch(&self) -> Batch {
        let limits = BatchLimits { records_max: RECORDS, window_bytes: 16 << 20 };
        let mut reader = LogReader::new(self.source(), Cursor::default(), Corruption::Fail, limits);
        let admission = Admission::new(Budget::new(256 << 20, 1.0), StopToken::new());
        reader.next(&admission).expect("a readable log").expect("a batch").batch
    }
}

/// Header and payload of every record of a batch, with the frame that the reader made.
fn records(batch: &Batch) -> Vec<(Frame, &[u8], &[u8])> {
    let mut records = Vec::new();
    for extent in &batch.extents {
        let Content::Frames(frames) = &extent.content else { continue };
        for frame in frames {
            let start = (frame.offset - batch.window_offset) as usize;
            let record = &batch.window[start..start + frame.total_bytes() as usize];
            let (header, payload) = record.split_at(HEADER_BYTES);
            records.push((*frame, header, payload));
        }
    }
    records
}

fn payload_bytes(records: &[(Frame, &[u8], &[u8])]) -> u64 {
    records.iter().map(|(_, _, payload)| payload.len() as u64).sum()
}

fn decode(c: &mut Criterion) {
    let log = Log::new();
    let batch = log.batch();
    let records = records(&batch);
    let mut group = c.benchmark_group("space/decode");
    group.throughput(Throughput::Bytes((records.len() * HEADER_BYTES) as u64));
    group.bench_function("header", |b| {
        b.iter(|| {
            for (_, header, _) in &records {
                let header = WalHeader::parse((*header).try_into().expect("header length"));
                black_box(header.expect("a sound header"));
            }
        });
    });
    group.throughput(Throughput::Bytes(payload_bytes(&records)));
    group.bench_function("episode", |b| {
        b.iter(|| {
            for (_, _, payload) in &records {
                black_box(EpisodeView::parse(payload, RangeCheck::Enforce).expect("a sound payload"));
            }
        });
    });
    group.bench_function("crc32c", |b| {
        b.iter(|| {
            for (_, _, payload) in &records {
                black_box(crc32c::crc32c(payload));
            }
        });
    });
    group.finish();
}

fn ids(c: &mut Criterion) {
    let log = Log::new();
    let batch = log.batch();
    let ids: Vec<String> = records(&batch)
        .iter()
        .map(|(_, _, payload)| EpisodeView::parse(payload, RangeCheck::Enforce).expect("a sound payload").id.to_owned())
        .collect();
    let mut group = c.benchmark_group("space/ids");
    group.throughput(Throughput::Elements(ids.len() as u64));
    group.bench_function("node_id", |b| {
        b.iter(|| {
            for id in &ids {
                black_box(node_id(id));
            }
        });
    });
    group.bench_function("id_digest", |b| {
        b.iter(|| {
            for id in &ids {
                black_box(id_digest(id));
            }
        });
    });
    group.finish();
}

fn convert(c: &mut Criterion) {
    let log = Log::new();
    let converter = LogConverter::new(Policies::default(), log.names.clone(), &StopToken::new());
    let source_bytes: u64 = log.batch().extents.iter().map(|extent| extent.len_bytes).sum();
    let mut group = c.benchmark_group("space/convert");
    group.throughput(Throughput::Bytes(source_bytes));
    group.bench_function("batch", |b| {
        b.iter_batched(
            || log.batch(),
            |batch| black_box(converter.convert(&mut Default::default(), batch).expect("a sound batch")),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// The rows that the converter makes of the first block, and its payloads.
fn first_block(log: &Log) -> (Vec<u8>, Vec<(Row, Vec<u8>)>) {
    let converter = LogConverter::new(Policies::default(), log.names.clone(), &StopToken::new());
    let encoded = converter.convert(&mut Default::default(), log.batch()).expect("a sound batch");
    let bytes = encoded.bytes[..encoded.extents[0].entry.block_bytes.get() as usize].to_vec();
    let block = Block::parse(AlignedBytes::from(bytes.as_slice()), "block".as_ref(), 0).expect("a sound block");
    let entries = block.nodes().map(|node| (*node.row(), node.payload())).collect();
    (bytes, entries)
}

fn encode(c: &mut Criterion) {
    let (bytes, entries) = first_block(&Log::new());
    let entries: Vec<_> = entries.iter().map(|(row, payload)| Entry { row: *row, payload }).collect();
    let origin = Origin {
        block: 0,
        source_file: 0,
        source_offset: 0,
        source_bytes: bytes.len() as u64,
        source_digest: [0; 32],
        flags: 0,
    };
    let mut group = c.benchmark_group("space/encode");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let mut out = Vec::new();
    group.bench_function("block", |b| {
        b.iter(|| {
            out.clear();
            black_box(encode_block(&mut out, &origin, &entries, &[]))
        });
    });
    group.bench_function("parse block", |b| {
        b.iter_batched(
            || AlignedBytes::from(bytes.as_slice()),
            |bytes| black_box(Block::parse(bytes, "block".as_ref(), 0).expect("a sound block")),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Why blocks are hashed whole: the same bytes, in one piece and in pieces of a node each.
fn hash(c: &mut Criterion) {
    let (bytes, entries) = first_block(&Log::new());
    let mut group = c.benchmark_group("space/hash");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("whole block", |b| b.iter(|| black_box(blake3::hash(&bytes))));
    let node_bytes = bytes.len() / entries.len();
    group.bench_function("node by node", |b| {
        b.iter(|| {
            for node in bytes.chunks(node_bytes) {
                black_box(blake3::hash(node));
            }
        });
    });
    group.finish();
}

/// Keys as the index phase sorts them.
fn candidates(count: u64) -> Vec<[u8; CANDIDATE_BYTES]> {
    let candidate = |number: u64| {
        let digest = blake3::hash(&number.to_le_bytes());
        let (uuid, rest) = digest.as_bytes().split_first_chunk().expect("32 bytes");
        Candidate {
            uuid: *uuid,
            id_digest: rest.try_into().expect("16 bytes"),
            sequence: number,
            file: 0,
            offset: number * 3_500,
            kind: RowKind::Episode,
            block: number / 250,
            row: (number % 250) as u32,
        }
        .encode(Duplicates::Engram)
    };
    (0..count).map(candidate).collect()
}

fn sort(c: &mut Criterion) {
    let keys = candidates(300_000);
    let mut group = c.benchmark_group("space/external sort");
    group.throughput(Throughput::Elements(keys.len() as u64)).sample_size(10);
    for (name, memory_bytes) in [("in memory", 64 << 20), ("in 4 MiB", 4 << 20)] {
        group.bench_function(BenchmarkId::new("300k candidates", name), |b| {
            b.iter_batched(
                || tempfile::tempdir().expect("a temporary directory"),
                |directory| {
                    let mut runs = SortedRuns::new(Arc::new(RealDisk), directory.path().to_path_buf(), memory_bytes);
                    keys.iter().for_each(|key| runs.push(*key).expect("room for a run"));
                    let mut sorted = runs.finish().expect("readable runs");
                    let mut count = 0_usize;
                    while sorted.next().expect("readable runs").is_some() {
                        count += 1;
                    }
                    assert_eq!(count, keys.len());
                    directory
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, decode, ids, convert, encode, hash, sort);
