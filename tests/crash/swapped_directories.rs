//! Directories of a run that somebody swaps for a link while the run works: nothing is written where the link leads.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use haul::cas::format::encoding::Compress;
use haul::cas::format::generation::Generation;
use haul::cas::migrate::migrate as migrate_objects;
use haul::cas::options::{MigrateOptions as CasOptions, Placement};
use haul::cas::paths::blob_path;
use haul::cas::store::put::{PutOptions, put};
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

/// Makes the swap of a run in this run directory.
type SwapBelow<'a> = &'a dyn Fn(&Path) -> Arc<Swap>;
/// A swap, and how the run ended.
type Ended = (Arc<Swap>, Result<(), Error>);

/// Runs once for each event, swaps there, and returns how often a swap made the run fail. `run` prepares a new place and
/// returns its run directory.
fn swap_everywhere(child: &str, run: &dyn Fn(SwapBelow<'_>) -> Ended) -> usize {
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

const AS_IT_IS: PutOptions = PutOptions { compress: Compress::AsStored, created_at: 0 };

#[test]
fn objects_are_not_merged_through_a_link_in_the_place_of_a_shard() {
    let contents: Vec<_> = (0..6).map(|number| content(number, 300, false)).collect();
    let other = OldStore::new();
    let known = put(&RealDisk, other.paths().target(), &mut &*contents[5], Path::new("it"), AS_IT_IS).unwrap();
    let key = known.record.digest.to_string();
    let failures = swap_everywhere(&format!("../new/objects/{}", &key[..2]), &|swap| {
        let store = OldStore::new();
        contents.iter().for_each(|content| _ = store.keep_plain(Generation::V0_2, content));
        let target = store.paths().target().to_path_buf();
        put(&RealDisk, &target, &mut &b"there already"[..], Path::new("it"), AS_IT_IS).unwrap();
        fs::create_dir_all(target.join("objects").join(&key[..2])).unwrap();
        let swap = swap(store.paths().run_directory().path());
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &*swap };
        let options = CasOptions { run: run_options(), placement: Placement::Merge, ..CasOptions::default() };
        let result = migrate_objects(Arc::new(RealDisk), &store.root(), &store.paths(), &options, &control);
        (swap, result.map(drop))
    });
    assert!(failures > 0, "no swap was in time");
}

/// Content that swaps the objects of the store for a link when it is read.
struct Swapping<'a> {
    content: &'a [u8],
    objects: &'a Path,
    outside: &'a Path,
}

impl Read for Swapping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.objects.is_symlink() {
            fs::rename(self.objects, self.objects.with_extension("aside"))?;
            symlink(self.outside, self.objects)?;
        }
        self.content.read(buffer)
    }
}

#[test]
fn an_object_is_not_put_through_a_link_that_the_store_did_not_have() {
    let (store, outside) = (OldStore::new(), tempfile::tempdir().unwrap());
    let target = store.paths().target().to_path_buf();
    put(&RealDisk, &target, &mut &b"first"[..], Path::new("it"), AS_IT_IS).unwrap();
    let objects = target.join("objects");
    let mut swapping = Swapping { content: b"second", objects: &objects, outside: outside.path() };
    let end = put(&RealDisk, &target, &mut swapping, Path::new("it"), AS_IT_IS).unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    fs::remove_file(&objects).unwrap();
    fs::rename(objects.with_extension("aside"), &objects).unwrap();
    assert_eq!(fs::read(blob_path(&target, end.record.digest)).unwrap(), b"second");
    // A link that was there is the user's.
    fs::rename(&objects, outside.path().join("objects")).unwrap();
    symlink(outside.path().join("objects"), &objects).unwrap();
    let end = put(&RealDisk, &target, &mut &b"third"[..], Path::new("it"), AS_IT_IS).unwrap();
    assert_eq!(fs::read(blob_path(&target, end.record.digest)).unwrap(), b"third");
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
