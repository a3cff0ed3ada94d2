//! How much of a store is read back before it becomes the live one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::support::space::{STORE, Space, episode, records};
use crate::support::space_runs::disk;
use haul::migration::Stage;
use haul::pipeline::{Control, Event, Observer, Phase, StopToken};
use haul::space::migrate::migrate;
use haul::space::options::MigrateOptions;
use haul::space::verify::Depth;

/// Counts the batches that are written while the store is read back.
#[derive(Default)]
struct ReadBack {
    verifying: AtomicBool,
    batches: AtomicU64,
}

impl Observer for ReadBack {
    fn observe(&self, event: &Event) {
        match event {
            Event::PhaseStarted { phase, .. } => self.verifying.store(*phase == Phase::Verify, Ordering::Relaxed),
            Event::BatchWritten { .. } | Event::Progressed { .. } if self.verifying.load(Ordering::Relaxed) => {
                self.batches.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

#[test]
fn the_depth_decides_what_is_read_back_before_publishing() {
    for (verify_depth, reads_blocks) in [(Depth::Quick, false), (Depth::Blocks, true), (Depth::Full, true)] {
        let space = Space::new();
        space.log(1, &records(&[(0, STORE, episode("a"))]));
        let (stop, seen) = (StopToken::new(), ReadBack::default());
        let options = MigrateOptions { verify_depth, ..MigrateOptions::default() };
        let control = Control { stop: &stop, observer: &seen };
        let end = migrate(disk(), &space.paths(), &options, &control).unwrap();
        assert_eq!(end.stage, Stage::Published);
        assert_eq!(seen.batches.load(Ordering::Relaxed) > 0, reads_blocks, "{verify_depth:?}");
    }
}
