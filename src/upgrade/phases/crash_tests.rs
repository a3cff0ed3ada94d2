//! Upgrades and rollbacks that end in the middle, at each change that haul itself makes to the disk.

use super::dying_disk::{Life, dying};
use super::run::run;
use super::scene::Scene;
use super::state::Goal;
use super::status::status;
use crate::durable::RealDisk;
use crate::migration::{Error, Stage};
use crate::pipeline::{Control, Silent, StopToken};
use crate::upgrade::layout::Layout;
use crate::upgrade::rollback::{RollbackEnd, rollback};

/// The changes between two ends that are tried: each takes a second. It is prime, so that all kinds of changes are met.
const STRIDE: usize = 11;

fn with_control<T>(work: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    work(&Control { stop: &stop, observer: &Silent })
}

/// Runs until the disk is dead. False: it ended before.
fn run_until_dead(scene: &Scene, changes: usize) -> bool {
    let life = Life::of(changes as i64);
    let result = with_control(|control| run(&dying(scene.disk(), &life), &scene.request, Goal::Switched, control));
    assert!(result.is_ok() || life.left() < 0, "{:?}", result.as_ref().err());
    let says_half_way = result.is_err_and(|error| error.to_string().contains("half way"));
    let now = status(&RealDisk, &Layout::of(&scene.request.directory)).unwrap();
    assert!(!says_half_way || now.is_switch_interrupted());
    life.left() < 0
}

fn back(scene: &Scene) -> Result<RollbackEnd, Error> {
    with_control(|control| rollback(&scene.disk(), &scene.request, control))
}

fn check_restored(scene: &Scene, context: &str) {
    assert_eq!(scene.now(), scene.before, "{context}");
    assert!(!scene.flags().contains("\"writes_frozen\": true"), "{context}");
    assert!(!scene.names().iter().any(|name| name.contains("restore")), "{context}: {:?}", scene.names());
}

/// All databases are old or all are new, unless `status` says that a switch was interrupted.
fn check_no_mixture(scene: &Scene, context: &str) {
    let now = status(&RealDisk, &Layout::of(&scene.request.directory)).unwrap();
    if now.is_switch_interrupted() {
        return;
    }
    let upgraded = scene.now().iter().filter(|line| line.contains(" migrations ")).count();
    assert!(upgraded == 0 || upgraded == 2, "{context}: {:?}", scene.now());
}

#[test]
fn an_upgrade_that_dies_is_completed() {
    for make in [Scene::staged, Scene::in_place] {
        for changes in (0..).step_by(STRIDE) {
            let scene = make();
            let context = format!("{:?} after {changes} changes", scene.request.mode);
            if !run_until_dead(&scene, changes) {
                assert!(changes > 50, "{changes}");
                break;
            }
            if scene.request.mode == crate::upgrade::plan::Mode::Staged {
                check_no_mixture(&scene, &context);
            }
            assert_eq!(scene.run(Goal::Switched).unwrap().stage, Stage::Published, "{context}");
            scene.check_upgraded();
        }
    }
}

#[test]
fn an_upgrade_that_dies_is_rolled_back() {
    for make in [Scene::staged, Scene::in_place] {
        for changes in (1..).step_by(STRIDE) {
            let scene = make();
            let context = format!("{:?} after {changes} changes", scene.request.mode);
            if !run_until_dead(&scene, changes) {
                break;
            }
            match back(&scene) {
                Ok(_) => {}
                // It had not begun.
                Err(error) => assert_eq!(error.exit_code(), 2, "{context}: {error}"),
            }
            check_restored(&scene, &context);
            assert_eq!(scene.run(Goal::Switched).unwrap().stage, Stage::Published, "{context}");
            scene.check_upgraded();
        }
    }
}

#[test]
fn a_rollback_that_dies_is_completed() {
    for changes in (0..).step_by(STRIDE) {
        let scene = Scene::staged();
        scene.run(Goal::Switched).unwrap();
        let life = Life::of(changes as i64);
        let result = with_control(|control| rollback(&dying(scene.disk(), &life), &scene.request, control));
        let context = format!("after {changes} changes: {:?}", result.err());
        check_no_mixture(&scene, &context);
        back(&scene).unwrap();
        check_restored(&scene, &context);
        if life.left() >= 0 {
            assert!(changes > 30, "{changes}");
            break;
        }
    }
}
