//! Counts what a scan will find, ahead of the work on it: names only.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use super::scan::{Found, Layout, Scan};
use crate::durable::ReadRoot;
use crate::pipeline::{Control, Expected, NoThread, StopToken, start_thread};

/// Entries between two announcements.
const ENTRIES_PER_STEP: u64 = 1_024;

/// What is to be counted.
pub struct Ahead {
    /// The tree.
    pub root: Arc<dyn ReadRoot>,
    /// Where manifests are looked for.
    pub layout: Layout,
    /// The place after which the scan begins.
    pub after: Vec<u8>,
    /// Files that the scan passes over, sorted.
    pub settled: Vec<PathBuf>,
}

impl Ahead {
    /// Does the work while the entries are counted and announced. The counting ends with the work at the latest.
    pub fn counted_during<T>(self, control: &Control<'_>, work: impl FnOnce() -> T) -> Result<T, NoThread> {
        let stop = control.stop.child();
        thread::scope(|scope| {
            start_thread(scope, "haul-count", || self.count(control, &stop))?;
            let result = work();
            stop.request();
            Ok(result)
        })
    }

    fn count(self, control: &Control<'_>, stop: &StopToken) {
        // The work itself meets the error, and says so.
        let Ok(scan) = Scan::start(self.root, self.layout, self.after) else { return };
        let mut entries = 0;
        for entry in scan {
            if stop.is_requested() {
                return;
            }
            let is_passed_over =
                matches!(entry.found, Found::Leftover) || self.settled.binary_search(&entry.path).is_ok();
            entries += u64::from(!is_passed_over);
            if entries.is_multiple_of(ENTRIES_PER_STEP) && !is_passed_over {
                control.expect(Expected::records(entries), false);
            }
        }
        control.expect(Expected::records(entries), true);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use parking_lot::Mutex;

    use super::*;
    use crate::durable::{Disk, SimulatedDisk};
    use crate::pipeline::{Event, Observer};

    #[derive(Default)]
    struct Told(Mutex<Vec<(Option<u64>, bool)>>);

    impl Observer for Told {
        fn observe(&self, event: &Event) {
            if let Event::ExpectedChanged { records, is_exact, .. } = event {
                self.0.lock().push((*records, *is_exact));
            }
        }
    }

    fn ahead(disk: &SimulatedDisk) -> Ahead {
        let root: Arc<dyn ReadRoot> = disk.root(Path::new("/app")).unwrap();
        Ahead { root, layout: Layout::Canonical, after: Vec::new(), settled: Vec::new() }
    }

    fn tree(runs: u64) -> SimulatedDisk {
        let disk = SimulatedDisk::with_directories(&[Path::new("/app")]);
        for run in 0..runs {
            disk.install_file(Path::new(&format!("/app/artifacts/job/run-{run:05}/manifest.json")), b"{}");
        }
        disk
    }

    fn spin_until(condition: impl Fn() -> bool) {
        while !condition() {
            thread::yield_now();
        }
    }

    #[test]
    fn the_end_is_learned_while_the_work_goes_on() {
        let (stop, told) = (StopToken::new(), Told::default());
        let control = Control { stop: &stop, observer: &told };
        let is_known = || told.0.lock().iter().any(|(_, is_exact)| *is_exact);
        ahead(&tree(2_500)).counted_during(&control, || spin_until(is_known)).unwrap();
        assert_eq!(told.0.into_inner(), [(Some(1_024), false), (Some(2_048), false), (Some(2_500), true)]);
    }

    #[test]
    fn what_is_behind_or_settled_is_not_counted() {
        let (stop, told) = (StopToken::new(), Told::default());
        let control = Control { stop: &stop, observer: &told };
        let place = |run: u64| format!("artifacts/job/run-{run:05}/manifest.json");
        let ahead = Ahead {
            after: place(3).into_bytes(),
            settled: vec![PathBuf::from(place(5)), PathBuf::from(place(7))],
            ..ahead(&tree(10))
        };
        let is_known = || !told.0.lock().is_empty();
        ahead.counted_during(&control, || spin_until(is_known)).unwrap();
        assert_eq!(told.0.into_inner(), [(Some(4), true)]);
    }

    #[test]
    fn counting_ends_with_the_work_and_an_error_is_left_to_it() {
        let (stop, told) = (StopToken::new(), Told::default());
        let control = Control { stop: &stop, observer: &told };
        assert_eq!(ahead(&tree(0)).counted_during(&control, || 7).unwrap(), 7);
        assert!(told.0.lock().is_empty(), "there is no tree to count");
        assert!(!stop.is_requested(), "the run itself is not stopped");
    }
}
