//! A source that fails while it is migrated to a target on the simulated disk: every open, list, read and look-up fails
//! in turn, once, twice, or from then on. Either the run ends and publishes nothing, or the error was that of single
//! objects and each is refused by name. Afterwards a source that works gives what an undisturbed run gives.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::sample::sampled_or_full;
use crate::source_faults::for_each_fault;
use crate::support::scene::Scene;
use haul::cas::migrate::MigrationEnd;
use haul::cas::options::{MigrateOptions, Placement};
use haul::cas::rollback::{RollbackRequest, rollback};
use haul::durable::{FailingSource, SimulatedDisk};
use haul::migration::{Durability, Error, RunOptions, Stage, Start, exit};
use haul::pipeline::{Control, Silent, StopToken};

const PLACEMENTS: [Placement; 3] = [Placement::New, Placement::Merge, Placement::Replace];

fn restarting(scene: &Scene) -> MigrateOptions {
    MigrateOptions { run: RunOptions { start: Start::Restart, ..scene.options.run }, ..scene.options.clone() }
}

/// Undoes the publication of a run.
fn roll_back(scene: &Scene, disk: &SimulatedDisk) -> Result<(), Error> {
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    rollback(Arc::new(disk.clone()), &scene.paths(), &scene.options, &RollbackRequest::default(), &control).map(|_| ())
}

/// The target is what it was before the run. Of a merge that is the index: a blob that no line lists is replaced for good.
fn check_restored(scene: &Scene, disk: &SimulatedDisk, what: &dyn Fn() -> String) {
    let (mut found, mut before) = (scene.target(disk), scene.before.clone());
    if scene.options.placement == Placement::Merge {
        found.retain(|path, _| path == Path::new("index.ndjson"));
        before.retain(|path, _| path == Path::new("index.ndjson"));
    }
    assert!(found == before, "the rollback restores the target: {}", what());
}

/// The run ended: nothing is published, and the same command gives everything.
fn check_ended(scene: &Scene, disk: &SimulatedDisk, error: &Error, what: &dyn Fn() -> String) {
    // A source that is missing when it is opened is a wrong argument.
    let expected = [exit::FAILED, exit::TEMPORARY, exit::BAD_DATA, exit::USAGE];
    assert!(expected.contains(&error.exit_code()), "{error}, exit {}: {}", error.exit_code(), what());
    assert!(error.next_step().is_some(), "{error}: {}", what());
    assert!(scene.target(disk) == scene.before, "{error}, but something is published: {}", what());
    scene.recover(disk, what);
}

/// The run left objects out: it names them, and it can be undone although they can be read again.
fn check_refused(scene: &Scene, disk: &SimulatedDisk, end: &MigrationEnd, what: &dyn Fn() -> String) {
    assert_eq!(end.stage, Stage::Published, "{}", what());
    assert_ne!(scene.options.placement, Placement::Replace, "a store was replaced: {}", what());
    let findings = scene.state_file(disk, "findings.jsonl").expect("findings");
    let refused = String::from_utf8(findings).unwrap().matches(r#""severity":"refused""#).count();
    assert_eq!(
        refused as u64,
        end.counts.refused_unreadable
            + end.counts.refused_changed
            + end.counts.refused_not_a_file
            + end.counts.refused_unidentified,
        "{}",
        what()
    );
    roll_back(scene, disk).unwrap_or_else(|error| panic!("{error}: {}", what()));
    check_restored(scene, disk, what);
    let end = scene.run_with(disk, &restarting(scene), &Silent).unwrap_or_else(|error| panic!("{error}: {}", what()));
    assert_eq!(end.stage, Stage::Published, "{}", what());
    scene.check_result(disk, what);
}

#[test]
fn a_source_that_fails_publishes_nothing_or_loses_no_name() {
    for placement in PLACEMENTS {
        let started = Instant::now();
        let scene = Scene::new(placement, Durability::Group);
        let undisturbed = scene.run(&scene.disk()).unwrap().counts;
        let (mut ended, mut refused, mut tolerated) = (0, 0, 0);
        let tried = for_each_fault(sampled_or_full(3, 1), |fault| {
            let disk = scene.disk();
            let failing = FailingSource::new(&scene.store.root(), fault);
            let result = scene.run(&disk);
            let was_reached = failing.has_failed();
            drop(failing);
            let what = || format!("{placement}, {fault:?}");
            match result {
                _ if !was_reached => {}
                Err(error) => {
                    check_ended(&scene, &disk, &error, &what);
                    ended += 1;
                }
                Ok(end) if end.counts == undisturbed => {
                    scene.check_complete(&disk, &what);
                    tolerated += 1;
                }
                Ok(end) => {
                    check_refused(&scene, &disk, &end, &what);
                    refused += 1;
                }
            }
            was_reached
        });
        scene.check_source();
        let seconds = started.elapsed().as_secs_f64();
        println!(
            "{placement}: {tried} faults, {ended} ended, {refused} refused, {tolerated} tolerated, {seconds:.1} s"
        );
        let refuses = placement != Placement::Replace;
        assert!(ended > 0 && tolerated > 0 && (refused > 0) == refuses, "every outcome is met");
    }
}

/// A rollback that cannot read the source changes nothing, and never calls the source changed.
#[test]
fn a_source_that_fails_does_not_spoil_a_rollback() {
    for placement in PLACEMENTS {
        let scene = Scene::new(placement, Durability::Group);
        let disk = scene.disk();
        scene.run(&disk).unwrap();
        for_each_fault(sampled_or_full(5, 1), |fault| {
            let image = disk.kill_image(disk.operations());
            let failing = FailingSource::new(&scene.store.root(), fault);
            let result = roll_back(&scene, &image);
            let was_reached = failing.has_failed();
            drop(failing);
            let what = || format!("{placement}, {fault:?}");
            if let Err(error) = result {
                let is_gone = fault.code == libc::ENOENT;
                assert!(is_gone || error.exit_code() != exit::BAD_DATA, "{error}: {}", what());
                assert!(scene.target(&image) == scene.after, "{error}: {}", what());
                roll_back(&scene, &image).unwrap_or_else(|error| panic!("{error}: {}", what()));
            }
            check_restored(&scene, &image, &what);
            was_reached
        });
    }
}
