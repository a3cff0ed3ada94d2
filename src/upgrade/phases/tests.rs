//! Upgrades of a small set, phase by phase.

use rusqlite::Connection;

use super::scene::{ITEMS_DB, NOTES_DB, Scene};
use super::state::{Goal, Phase};
use super::status::status;
use crate::durable::RealDisk;
use crate::migration::{Error, Stage};
use crate::pipeline::{Control, Event, Observer, StopToken};
use crate::upgrade::layout::Layout;

const PHASES: [Phase; 5] = [Phase::Freeze, Phase::Schema, Phase::Backfill, Phase::Verify, Phase::Cutover];

#[test]
fn all_phases_at_once() {
    let scene = Scene::staged();
    let end = scene.run(Goal::Switched).unwrap();
    assert_eq!((end.stage, end.details.next_phase, end.counts.upgraded), (Stage::Published, None, 2));
    scene.check_upgraded();
    let again = scene.run(Goal::Switched).unwrap();
    assert!(again.already_done);
    scene.check_upgraded();
}

#[test]
fn one_phase_after_the_other_and_the_live_files_wait_for_the_last() {
    let scene = Scene::staged();
    for phase in PHASES {
        assert_eq!(scene.now(), scene.before, "before {phase}");
        let end = scene.run(Goal::Only(phase)).unwrap();
        assert_eq!(end.details.next_phase, PHASES.into_iter().find(|next| *next > phase), "{phase}");
        let now = status(&RealDisk, &Layout::of(&scene.request.directory)).unwrap();
        assert_eq!(now.writes_frozen, phase < Phase::Cutover);
        let verb = end.details.next_phase.map_or("monitor".into(), |next| next.to_string());
        let next = now.next_step(&scene.request.directory);
        assert!(next.contains(&format!("haul upgrade {verb} ")), "{next}");
        if phase < Phase::Cutover {
            assert!(scene.flags().contains("\"writes_frozen\": true"), "{phase}");
        }
    }
    scene.check_upgraded();
}

#[test]
fn a_phase_out_of_turn_is_refused() {
    let scene = Scene::staged();
    for phase in [Phase::Schema, Phase::Cutover] {
        let error = scene.run(Goal::Only(phase)).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.next_step().unwrap().contains("haul upgrade freeze "), "{error}");
    }
    scene.run(Goal::Only(Phase::Freeze)).unwrap();
    let error = scene.run(Goal::Only(Phase::Verify)).unwrap_err();
    assert!(error.next_step().unwrap().contains("haul upgrade schema "), "{error}");
    assert_eq!(scene.now(), scene.before);
}

#[test]
fn in_place_the_live_files_are_changed_and_a_backup_holds_what_they_were() {
    let scene = Scene::in_place();
    let end = scene.run(Goal::Switched).unwrap();
    scene.check_upgraded();
    let backup = scene.path("migration/backups/pre-migration").join(&end.run_id).join(ITEMS_DB);
    let backup = Connection::open(backup).unwrap();
    assert_eq!(backup.query_row("SELECT count(*) FROM items", [], |row| row.get::<_, i64>(0)).unwrap(), 2500);
    assert!(backup.prepare("SELECT * FROM tags").is_err());
}

#[test]
fn a_writer_that_does_not_end_stops_the_freeze_and_leaves_nothing() {
    let scene = Scene::staged();
    let writer = Connection::open(scene.path(ITEMS_DB)).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = scene.run(Goal::Only(Phase::Freeze)).unwrap_err();
    assert_eq!(error.exit_code(), 75, "{error}");
    assert!(error.to_string().contains(ITEMS_DB) && error.to_string().contains("freeze"), "{error}");
    assert!(scene.flags().contains("\"writes_frozen\": false"));
    assert!(!scene.path("migration/staging").exists());
    drop(writer);
    scene.run(Goal::Switched).unwrap();
    scene.check_upgraded();
}

#[test]
fn rows_written_after_the_snapshot_keep_the_switch_from_happening() {
    for (name, sql) in [
        (ITEMS_DB, "UPDATE items SET title = 'item 0' WHERE id = 1"),
        (NOTES_DB, "INSERT INTO notes VALUES ('three')"),
        (NOTES_DB, "CREATE TABLE more (a)"),
    ] {
        let scene = Scene::staged();
        scene.run(Goal::Only(Phase::Freeze)).unwrap();
        scene.execute(name, sql);
        for phase in [Phase::Schema, Phase::Backfill, Phase::Verify] {
            scene.run(Goal::Only(phase)).unwrap();
        }
        let written = scene.now();
        let error = scene.run(Goal::Only(Phase::Cutover)).unwrap_err();
        assert_eq!(error.exit_code(), 65, "{error}");
        assert!(
            error.to_string().contains(name) && error.to_string().starts_with("verification failed: cutover"),
            "{error}"
        );
        assert!(error.next_step().unwrap().contains("haul upgrade rollback "));
        assert_eq!(scene.now(), written);
    }
}

#[test]
fn a_process_that_has_a_database_open_is_named_unless_the_switch_is_forced() {
    let mut scene = Scene::staged();
    scene.run(Goal::Only(Phase::Freeze)).unwrap();
    for phase in [Phase::Schema, Phase::Backfill, Phase::Verify] {
        scene.run(Goal::Only(phase)).unwrap();
    }
    let file = std::fs::File::open(scene.path(NOTES_DB)).unwrap();
    let mut child = std::process::Command::new("sleep").arg("60").stdin(file).spawn().unwrap();
    let error = scene.run(Goal::Only(Phase::Cutover)).unwrap_err();
    assert_eq!(error.exit_code(), 75);
    assert!(error.to_string().contains(&format!("process {}", child.id())), "{error}");
    assert!(error.to_string().starts_with("cutover: ") && error.to_string().contains(NOTES_DB), "{error}");
    assert_eq!(scene.now(), scene.before);
    scene.request.force = true;
    scene.run(Goal::Only(Phase::Cutover)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    scene.check_upgraded();
}

#[test]
fn a_reader_in_this_process_keeps_the_switch_waiting() {
    let scene = Scene::staged();
    let reader = Connection::open(scene.path(ITEMS_DB)).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM items").unwrap();
    let error = scene.run(Goal::Switched).unwrap_err();
    assert_eq!(error.exit_code(), 75, "{error}");
    assert!(error.to_string().starts_with("cutover: ") && error.to_string().contains(ITEMS_DB), "{error}");
    drop(reader);
    assert_eq!(scene.now(), scene.before);
    scene.run(Goal::Switched).unwrap();
    scene.check_upgraded();
}

/// Requests a stop at the n-th event.
struct StopAt<'a> {
    stop: &'a StopToken,
    left: std::sync::atomic::AtomicI64,
}

impl Observer for StopAt<'_> {
    fn observe(&self, _event: &Event) {
        if self.left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            self.stop.request();
        }
    }
}

#[test]
fn a_run_that_is_stopped_anywhere_is_continued() {
    for make in [Scene::staged, Scene::in_place] {
        let mut stages = std::collections::BTreeSet::new();
        for event in 0.. {
            let scene = make();
            let stop = StopToken::new();
            let observer = StopAt { stop: &stop, left: event.into() };
            let control = Control { stop: &stop, observer: &observer };
            let end = super::run(&scene.disk(), &scene.request, Goal::Switched, &control).unwrap();
            stages.insert(end.stage);
            if !end.stopped {
                break;
            }
            let end = scene.run(Goal::Switched).unwrap();
            assert!(end.stage == Stage::Published && !end.stopped);
            scene.check_upgraded();
        }
        assert!(stages.len() >= 4, "{stages:?}");
    }
}

/// A hook that fails while the databases are frozen, verified and so on stands for any failure of a phase.
#[test]
fn verification_that_fails_keeps_the_set_frozen_and_is_explained() {
    let scene = Scene::staged();
    for phase in [Phase::Freeze, Phase::Schema, Phase::Backfill] {
        scene.run(Goal::Only(phase)).unwrap();
    }
    let staged = Connection::open(scene.path("migration/staging").join(ITEMS_DB)).unwrap();
    staged.execute_batch("UPDATE items SET title = 'changed' WHERE id = 5").unwrap();
    drop(staged);
    let error = scene.run(Goal::Switched).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("verify") && error.to_string().contains(ITEMS_DB), "{error}");
    assert!(error.next_step().unwrap().contains("haul upgrade rollback "));
    assert!(scene.flags().contains("\"writes_frozen\": true"));
    assert!(scene.path("migration/verify.json").exists());
    assert_eq!(scene.now(), scene.before);
}

#[test]
fn another_definition_does_not_continue_a_run() {
    let mut scene = Scene::staged();
    scene.run(Goal::Only(Phase::Freeze)).unwrap();
    scene.request.definition.sha256 = "another".into();
    let error = scene.run(Goal::Switched).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    assert!(matches!(error, Error::Usage { .. }) && error.next_step().unwrap().contains("rollback"), "{error}");
}

#[test]
fn a_plan_that_was_not_approved_does_not_begin() {
    let mut scene = Scene::staged();
    scene.request.approved_plan = Some("0".repeat(64));
    let error = scene.run(Goal::Only(Phase::Freeze)).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    let digest = error.to_string().rsplit(' ').next().unwrap().to_owned();
    scene.request.approved_plan = Some(digest);
    scene.run(Goal::Switched).unwrap();
    scene.check_upgraded();
}
