//! What one manifest of about 900 bytes costs apart from the disk: parse, look, migrate, checksum, write.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group};
use haul::manifest::document::json::{Arena, Document, Formatting, Numbers, ReadOptions, push_formatted};
use haul::manifest::{Checksum, NoInputs, Registry, TransformOptions, Transformer, Verdict, prove};

/// A 1.0.0 manifest as its writers leave it.
fn manifest() -> Vec<u8> {
    let digest = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
    let text = format!(
        r#"{{
  "schema_version": "1.0.0",
  "job_id": "ig-test-001",
  "run_id": "4f0c1d2e3b5a69788796a5b4c3d2e1f0",
  "queue_job_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
  "job_ref": "jobs/ig-test-001/brief.yaml",
  "job_type": "instagram_copy",
  "status": "succeeded",
  "started_at": "2026-02-28T17:40:08.910880+00:00",
  "finished_at": "2026-02-28T17:40:09.104711+00:00",
  "artifacts": {{
    "outputs/instagram_captions.md": {{
      "sha256": "{}",
      "bytes": 611
    }}
  }},
  "meta": {{"title": "Late show", "attempts": 1, "ratio": 0.25}},
  "brief_hash": "{}",
  "context_spec_hash": "{}",
  "generation_hash": null,
  "langfuse_trace_id": null,
  "error": null
}}
"#,
        digest('a'),
        digest('b'),
        digest('c')
    );
    text.into_bytes()
}

fn transformer() -> Transformer {
    let registry = Arc::new(Registry::built_in());
    let now = "2026-03-01T12:34:56.789012Z".parse().expect("an instant");
    let target = registry.latest();
    let registry = prove(registry).expect("built-in steps fit together");
    Transformer::new(registry, target, now, TransformOptions::default()).expect("a known version")
}

fn document(c: &mut Criterion) {
    let bytes = manifest();
    let options = ReadOptions::default();
    let mut group = c.benchmark_group("manifest");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    let mut arena = Arena::default();
    group.bench_function("parse", |b| {
        b.iter(|| {
            let document = Document::parse_in(std::mem::take(&mut arena), black_box(&bytes), &options).expect("JSON");
            arena = document.into_arena();
        });
    });
    let document = Document::parse(&bytes, &options).expect("JSON");
    let mut text = Vec::new();
    group.bench_function("checksum", |b| b.iter(|| black_box(Checksum::of_value(document.root(), &mut text))));
    let formatting = Formatting { numbers: Numbers::Lexemes, final_newline: true };
    group.bench_function("write", |b| {
        b.iter(|| {
            text.clear();
            push_formatted(&mut text, document.root(), formatting);
            black_box(text.len())
        });
    });
    let transformer = transformer();
    group.bench_function("inspect", |b| b.iter(|| black_box(transformer.inspect(black_box(&bytes)))));
    group.bench_function("transform", |b| {
        b.iter(|| {
            let verdict = transformer.transform(black_box(&bytes), &NoInputs);
            assert!(matches!(verdict, Verdict::Migrated(_)));
            black_box(verdict)
        });
    });
    group.finish();
}

criterion_group!(name = benches; config = super::quick(); targets = document);
