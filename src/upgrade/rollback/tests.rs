//! The way back of a small set from every phase.

use rusqlite::Connection;

use super::run::{RollbackEnd, rollback};
use crate::migration::{Error, Stage};
use crate::pipeline::{Control, Silent, StopToken};
use crate::upgrade::phases::scene::{ITEMS_DB, NOTES_DB, Scene};
use crate::upgrade::phases::{Goal, Phase};

fn back(scene: &Scene) -> Result<RollbackEnd, Error> {
    let stop = StopToken::new();
    rollback(&scene.disk(), &scene.request, &Control { stop: &stop, observer: &Silent })
}

fn check_restored(scene: &Scene, context: &str) {
    assert_eq!(scene.now(), scene.before, "{context}");
    assert!(scene.flags().contains("\"writes_frozen\": false"), "{context}");
    for name in ["staging", "replaced"] {
        assert!(!scene.path("migration").join(name).exists(), "{context}: {name}");
    }
    assert!(!scene.names().iter().any(|name| name.contains("restore")), "{context}: {:?}", scene.names());
}

#[test]
fn after_every_phase_each_database_is_what_it_was_and_a_new_run_begins() {
    let phases = [Phase::Freeze, Phase::Schema, Phase::Backfill, Phase::Verify, Phase::Cutover];
    for make in [Scene::staged, Scene::in_place] {
        for last in phases {
            let scene = make();
            for phase in phases.into_iter().filter(|phase| *phase <= last) {
                scene.run(Goal::Only(phase)).unwrap();
            }
            let end = back(&scene).unwrap();
            assert!(!end.already_rolled_back);
            check_restored(&scene, &last.to_string());
            assert!(back(&scene).unwrap().already_rolled_back);
            check_restored(&scene, &last.to_string());
            assert_eq!(scene.run(Goal::Switched).unwrap().stage, Stage::Published);
            scene.check_upgraded();
        }
    }
}

#[test]
fn rows_written_since_the_snapshot_are_exported_and_can_be_read_in() {
    let scene = Scene::staged();
    scene.run(Goal::Switched).unwrap();
    scene.execute(ITEMS_DB, "INSERT INTO items VALUES (9000, 'late', 'new'); DELETE FROM items WHERE id = 7");
    scene.execute(ITEMS_DB, "INSERT INTO tags VALUES (9000, 9000, 'late')");
    scene.execute(NOTES_DB, "INSERT INTO notes VALUES ('three')");
    let end = back(&scene).unwrap();
    assert_eq!(scene.names(), [ITEMS_DB, "migration", NOTES_DB]);
    check_restored(&scene, "after work");
    let directory = end.exported_to.unwrap();
    // All rows of the new table, the row of the migrations table of each database, and what was written.
    assert_eq!((end.restored, end.rows_deleted), (true, 1));
    for (name, sql, expected) in [
        (ITEMS_DB, "SELECT count(*) FROM items", 2500),
        (ITEMS_DB, "SELECT count(*) FROM items WHERE id = 9000", 1),
        (ITEMS_DB, "SELECT count(*) FROM tags", 2501),
        (NOTES_DB, "SELECT count(*) FROM notes WHERE note = 'three'", 1),
    ] {
        let copy = directory.join(name);
        std::fs::copy(scene.path(name), &copy).unwrap();
        let connection = Connection::open(&copy).unwrap();
        connection.execute_batch(&std::fs::read_to_string(directory.join(format!("{name}.sql"))).unwrap()).unwrap();
        assert_eq!(connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), expected, "{sql}");
    }
    let figures = std::fs::read_to_string(directory.join("divergence.json")).unwrap();
    assert!(figures.contains("\"tags\"") && figures.contains("\"written\": 2501"), "{figures}");
}

#[test]
fn a_backup_that_has_changed_is_refused_and_nothing_is_changed() {
    let scene = Scene::staged();
    let end = scene.run(Goal::Switched).unwrap();
    let upgraded = scene.now();
    let backup = scene.path("migration/backups/pre-migration").join(end.run_id).join(ITEMS_DB);
    Connection::open(&backup).unwrap().execute_batch("UPDATE items SET title = 'x' WHERE id = 1").unwrap();
    let error = back(&scene).unwrap_err();
    assert_eq!(error.exit_code(), 65);
    assert!(error.to_string().contains("rollback: ") && error.to_string().contains(ITEMS_DB), "{error}");
    assert_eq!(scene.now(), upgraded);
    Connection::open(&backup).unwrap().execute_batch("UPDATE items SET title = 'item 1' WHERE id = 1").unwrap();
    // The same rows in another file are not proof enough.
    assert_eq!(back(&scene).unwrap_err().exit_code(), 65);
    assert_eq!(scene.now(), upgraded);
}

#[test]
fn a_database_that_is_damaged_or_gone_is_restored_with_force() {
    let mut scene = Scene::staged();
    scene.run(Goal::Switched).unwrap();
    std::fs::write(scene.path(ITEMS_DB), "not a database at all, and not a short one either").unwrap();
    std::fs::remove_file(scene.path(NOTES_DB)).unwrap();
    let error = back(&scene).unwrap_err();
    assert!(error.to_string().contains(ITEMS_DB) && error.next_step().unwrap().contains("--force"), "{error}");
    scene.request.force = true;
    back(&scene).unwrap();
    check_restored(&scene, "forced");
}

#[test]
fn without_an_upgrade_there_is_nothing_to_roll_back() {
    let scene = Scene::staged();
    assert_eq!(back(&scene).unwrap_err().exit_code(), 2);
    assert!(!scene.path("migration").exists());
}
