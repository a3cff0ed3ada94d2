//! Benchmarks of single steps: one module a room. `cargo bench -- space/` runs those of one room.

mod cas;
mod engine;
mod manifest;
mod space;

use std::time::Duration;

use criterion::{Criterion, criterion_main};

/// Returns settings for steps that take microseconds and vary little.
fn quick() -> Criterion {
    let (warm_up, measurement) = (Duration::from_millis(200), Duration::from_millis(800));
    Criterion::default().sample_size(20).warm_up_time(warm_up).measurement_time(measurement)
}

criterion_main!(cas::benches, engine::benches, manifest::benches, space::benches);
