//! Every operation of a migration to a simulated disk at which it may be interrupted.

use std::path::Path;

use crate::sample::is_taken;
use crate::support::scene::Scene;
use haul::durable::{CrashFault, SimulatedDisk};

impl Scene {
    /// As [`check_complete`](Self::check_complete), of what a run gave that need not have done all of it.
    pub fn check_result(&self, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
        self.check_target(disk, what);
        for name in ["key-map.tsv", "key-map.reverse"] {
            assert!(self.state_file(disk, name).as_ref() == self.run_files.get(Path::new(name)), "{name}: {}", what());
        }
    }

    /// Loses the power behind every `stride`-th operation that `disk` recorded, in every way, and recovers.
    pub fn enumerate(
        &self,
        disk: &SimulatedDisk,
        faults: impl Iterator<Item = CrashFault>,
        stride: usize,
        what: &str,
    ) -> usize {
        let mut images = 0;
        for (turn, fault) in faults.enumerate() {
            for (after, image) in disk.crash_images(fault).enumerate() {
                if !is_taken(after + turn, stride) {
                    continue;
                }
                self.recover(&image, &|| format!("{what}, {fault:?} behind {after}: {}", behind(disk, after)));
                images += 1;
            }
            self.check_source();
        }
        images
    }
}

/// The operation before a boundary.
pub fn behind(disk: &SimulatedDisk, after: usize) -> String {
    after.checked_sub(1).map_or_else(|| "nothing".to_owned(), |index| disk.operation_label(index))
}

/// The boundaries after the operations whose labels contain this text.
pub fn boundaries(disk: &SimulatedDisk, text: &str) -> Vec<usize> {
    let holds = |index: &usize| disk.operation_label(*index).contains(text);
    let found: Vec<_> = (0..disk.operations()).filter(holds).map(|index| index + 1).collect();
    assert!(!found.is_empty(), "no operation like {text:?}");
    found
}

/// The first of [`boundaries`].
pub fn boundary(disk: &SimulatedDisk, text: &str) -> usize {
    boundaries(disk, text)[0]
}
