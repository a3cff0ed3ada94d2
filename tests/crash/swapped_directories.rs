//! Directories of a run that somebody swaps for a link while the run works: nothing is written where the link leads.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use haul::cas::format::generation::Generation;
use haul::cas::migrate::migrate as migrate_objects;
use haul::cas::options::MigrateOptions as CasOptions;
use haul::durable::RealDisk;
use haul::migration::{Error, RunOptions};
use haul::pipeline::{Control, Event, Observer, StopToken};
use haul::space::migrate::migrate as migrate_space;
use haul::space::options::MigrateOptions as SpaceOptions;

use crate::support::old_objects::content;
use crate::support::old_store::OldStore;
use crate::support::space::{STORE, Space, episode, records};

/// Swaps a directory for a link to another one at an event of a run.
struct Swap {
    directory: PathBuf,
    outside: PathBuf,
    at: usize,
    events: AtomicUsize,
    is_done: AtomicBool,
}

impl Observer for Swap {
    fn observe(&self, _event: &Event) {
        if self.events.fetch_add(1, Ordering::SeqCst) != self.at {
            return;
        }
        // The run may be removing or renaming it: then there is nothing to swap.
        let aside = self.directory.with_extension("aside");
        if fs::rename(&self.directory, aside).is_ok() {
            symlink(&self.outside, &self.directory).unwrap();
            self.is_done.store(true, Ordering::SeqCst);
        }
    }
}

/// Commits as often as possible, so that there are many events.
fn run_options() -> RunOptions {
    RunOptions {
        batch_records: 1,
        checkpoint_interval_records: 1,
        checkpoint_interval_ms_min: 0,
        ..RunOptions::default()
    }
}

/// Runs once for each event, swaps there, and returns how often a swap made the run fail. `run` prepares a new place and
/// returns its run directory.
fn swap_everywhere(child: &str, run: &dyn Fn(&dyn Fn(&Path) -> Arc<Swap>) -> (Arc<Swap>, Result<(), Error>)) -> usize {
    let mut failures = 0;
    for at in 0.. {
        let outside = tempfile::tempdir().unwrap();
        let swap = |run_directory: &Path| {
            Arc::new(Swap {
                directory: run_directory.join(child),
                outside: outside.path().to_path_buf(),
                at,
                events: AtomicUsize::new(0),
                is_done: AtomicBool::new(false),
            })
        };
        let (swap, result) = run(&swap);
        let written: Vec<_> = fs::read_dir(outside.path()).unwrap().collect();
        assert!(written.is_empty(), "{child} at event {at}: {written:?}");
        if swap.is_done.load(Ordering::SeqCst)
            && let Err(error) = result
        {
            assert!(
                matches!(&error, Error::Disk(_) | Error::State { .. } | Error::Verification { .. }),
                "{child} at event {at}: {error:?}"
            );
            failures += 1;
        }
        if at >= swap.events.load(Ordering::SeqCst) {
            return failures;
        }
    }
    failures
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

#[test]
fn an_object_store_is_not_staged_through_a_link() {
    for child in ["staging", "staging/objects", "incoming"] {
        let failures = swap_everywhere(child, &|swap| {
            let store = OldStore::new();
            (0..6).for_each(|number| _ = store.keep_plain(Generation::V0_2, &content(number, 300, false)));
            let swap = swap(store.paths().run_directory().path());
            let stop = StopToken::new();
            let control = Control { stop: &stop, observer: &*swap };
            let options = CasOptions { run: run_options(), ..CasOptions::default() };
            let result = migrate_objects(Arc::new(RealDisk), &store.root(), &store.paths(), &options, &control);
            assert!(result.is_err() || is_directory(store.paths().target()), "{child}: a link was published");
            (swap, result.map(drop))
        });
        assert!(failures > 0 || child == "incoming", "{child}: no swap was in time");
    }
}

#[test]
fn a_space_is_not_staged_through_a_link() {
    for child in ["staging", "scratch"] {
        let failures = swap_everywhere(child, &|swap| {
            let space = Space::new();
            let list: Vec<_> = (0..6).map(|at| (at, STORE, episode(&format!("e-{at:02}")))).collect();
            space.log(1, &records(&list));
            let swap = swap(space.paths().run_directory().path());
            let stop = StopToken::new();
            let control = Control { stop: &stop, observer: &*swap };
            let options = SpaceOptions { run: run_options(), ..SpaceOptions::default() };
            let result = migrate_space(Arc::new(RealDisk), &space.paths(), &options, &control);
            assert!(
                result.is_err() || is_directory(&space.root().join("dual-000001")),
                "{child}: a link was published"
            );
            (swap, result.map(drop))
        });
        assert!(failures > 0 || child == "scratch", "{child}: no swap was in time");
    }
}
