//! The cost of a migrated object without the disk: its keys, their texts, its sidecar.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group};
use haul::cas::format::digest::{CAS_PREFIX, Content, key_of};
use haul::cas::format::encoding::Encoding;
use haul::cas::format::record::ObjectRecord;
use haul::cas::{Algorithm, Key};

const SIZES: [(&str, usize); 3] = [("1 KiB", 1 << 10), ("16 KiB", 16 << 10), ("1 MiB", 1 << 20)];

/// Content behind its prefix, every byte unlike its neighbours.
fn prefixed(size_bytes: usize) -> Vec<u8> {
    let content = (0..size_bytes).map(|index| (index % 251) as u8);
    CAS_PREFIX.into_iter().chain(content).collect()
}

/// "cas, prefix apart" is the same digest of a content that is not stored behind its prefix.
fn keys(c: &mut Criterion) {
    for (name, size_bytes) in SIZES {
        let prefixed = prefixed(size_bytes);
        let content = Content::behind_prefix(&prefixed);
        let mut group = c.benchmark_group(format!("cas/key of {name}"));
        group.throughput(Throughput::Bytes(size_bytes as u64));
        for algorithm in Algorithm::ALL {
            group.bench_function(algorithm.name(), |b| b.iter(|| black_box(black_box(content).key(algorithm))));
        }
        group.bench_function("cas, prefix apart", |b| {
            b.iter(|| black_box(key_of(Algorithm::Cas, black_box(content.bytes()))));
        });
        group.finish();
    }
}

fn texts(c: &mut Criterion) {
    let key = key_of(Algorithm::Cas, b"hello");
    let text = key.text();
    let mut group = c.benchmark_group("cas/key text");
    group.throughput(Throughput::Elements(1));
    group.bench_function("write", |b| b.iter(|| black_box(black_box(key).text())));
    group.bench_function("read", |b| b.iter(|| black_box(Key::parse(black_box(&text)).expect("a key"))));
    group.finish();
}

fn sidecar(c: &mut Criterion) {
    let record = ObjectRecord {
        digest: key_of(Algorithm::Cas, b"hello"),
        encoding: Encoding::Identity,
        original_size: 4_096,
        stored_size: 4_096,
        stored_blob_hash: key_of(Algorithm::Blake3, b"hello"),
        created_at: 1_795_207_503,
    };
    let mut out = Vec::new();
    let mut group = c.benchmark_group("cas/sidecar");
    group.throughput(Throughput::Elements(1));
    group.bench_function("push_json", |b| {
        b.iter(|| {
            out.clear();
            black_box(&record).push_json(&mut out);
            black_box(out.len())
        });
    });
    group.finish();
}

criterion_group!(name = benches; config = super::quick(); targets = keys, texts, sidecar);
