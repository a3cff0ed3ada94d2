//! Which stage of the pipeline decides how long it takes, and what more workers would change.

use serde::Serialize;

use crate::pipeline::{EngineStage, Tally};

/// How long the threads of each stage of a probe have worked, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct StageSeconds {
    /// The reader.
    pub read: f64,
    /// All workers together.
    pub convert: f64,
    /// The writer.
    pub write: f64,
    /// The committer, with its syncs.
    pub commit: f64,
}

impl StageSeconds {
    /// Returns those of a run.
    pub(super) fn of(tally: &Tally) -> Self {
        let mut sums = Self::default();
        for (stage, times) in EngineStage::ALL.into_iter().zip(tally.stages().merged()) {
            let Some(times) = times else { continue };
            let seconds = times.mean() * times.len() as f64 / 1e6;
            match stage {
                EngineStage::Read => sums.read = seconds,
                EngineStage::Convert => sums.convert = seconds,
                EngineStage::Write => sums.write = seconds,
                EngineStage::Commit => sums.commit = seconds,
                // A part of the commit.
                EngineStage::Sync => {}
            }
        }
        sums
    }

    /// Returns the stage that the others wait for, with that many workers; `None` if nothing was measured.
    pub(super) fn bottleneck(&self, workers: u64) -> Option<EngineStage> {
        let (stage, seconds) = self.busiest(workers);
        (seconds > 0.0).then_some(stage)
    }

    /// Returns how long the pipeline takes with `to` workers, compared to `from`.
    pub(super) fn with_workers(&self, from: u64, to: u64) -> f64 {
        let (before, after) = (self.busiest(from).1, self.busiest(to).1);
        if before > 0.0 { after / before } else { 1.0 }
    }

    fn busiest(&self, workers: u64) -> (EngineStage, f64) {
        let all = [
            (EngineStage::Read, self.read),
            (EngineStage::Convert, self.convert / workers.max(1) as f64),
            (EngineStage::Write, self.write),
            (EngineStage::Commit, self.commit),
        ];
        all.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).expect("there are stages")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Event, Observer};

    #[test]
    fn workers_help_as_long_as_they_are_what_is_waited_for() {
        let stages = StageSeconds { read: 1.0, convert: 8.0, write: 3.0, commit: 0.5 };
        assert_eq!(stages.bottleneck(1), Some(EngineStage::Convert));
        assert_eq!(stages.bottleneck(4), Some(EngineStage::Write));
        assert_eq!((stages.with_workers(1, 2), stages.with_workers(1, 8)), (0.5, 3.0 / 8.0));
        assert_eq!(stages.with_workers(2, 2), 1.0);
        let nothing = StageSeconds::default();
        assert_eq!((nothing.bottleneck(1), nothing.with_workers(1, 9)), (None, 1.0));
    }

    #[test]
    fn the_times_of_all_batches_add_up() {
        let tally = Tally::new();
        for (stage, took_us) in [
            (EngineStage::Convert, 1_000_000),
            (EngineStage::Convert, 2_000_000),
            (EngineStage::Write, 500_000),
            (EngineStage::Sync, 9_000_000),
        ] {
            tally.observe(&Event::StageTimed { stage, took_us });
        }
        let stages = StageSeconds::of(&tally);
        assert!((stages.convert - 3.0).abs() < 0.05 && (stages.write - 0.5).abs() < 0.01, "{stages:?}");
        assert_eq!((stages.read, stages.commit), (0.0, 0.0));
    }
}
