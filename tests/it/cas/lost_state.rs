//! State that is gone, moved or spoilt between two commands: nothing is called done or live that is not there, and no
//! sequence of printed advice removes the last copy of anything.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::runs::cas_in;
use crate::support::files::tree;
use crate::support::old_store::OldStore;
use haul::cas::Algorithm;
use haul::cas::source::location::Shape;

const MIGRATE: &str = "migrate --source old --target new";

/// Puts a v2 store at the target whose objects are nowhere else.
fn live(store: &OldStore) {
    let other = OldStore::new();
    (100..108_u8).for_each(|n| _ = other.object(Algorithm::Sha256, &[n; 100], Shape::TwoLevels));
    cas_in(store.place(), &format!("migrate --source {} --target new", other.root().display())).expect(0);
    fs::remove_dir_all(store.paths().run_directory().path()).unwrap();
}

#[test]
fn a_map_that_is_gone_is_noticed_by_migrate_and_verify() {
    let store = OldStore::with_objects(5);
    store.cas(MIGRATE).expect(0);
    store.cas(MIGRATE).expect(0);
    store.cas("verify new").expect(0);
    let map = fs::read(store.paths().map()).unwrap();
    fs::remove_file(store.paths().map()).unwrap();
    let done = store.cas(MIGRATE).expect(65);
    assert!(done.stderr.contains("key map of the run is gone"), "{}", done.stderr);
    assert!(done.next().contains("to another path"), "{}", done.stderr);
    let done = store.cas("verify new --json").expect(65);
    assert_eq!(done.json()["faults_count"]["map-missing"], 1);
    // The advice is right.
    store.cas("migrate --source old --target other").expect(0);
    let again = fs::read(store.place().join("other.migration/key-map.tsv")).unwrap();
    assert_eq!(again, map);
    fs::write(store.paths().map(), again).unwrap();
    store.cas(MIGRATE).expect(0);
    store.cas("verify new").expect(0);
}

#[test]
fn a_target_that_was_renamed_is_said_to_be_so() {
    let store = OldStore::with_objects(5);
    store.cas(MIGRATE).expect(0);
    fs::rename(store.target(), store.place().join("elsewhere")).unwrap();
    for arguments in [MIGRATE, "rollback new --yes"] {
        let done = store.cas(arguments).expect(2);
        assert!(done.stderr.contains("moved, renamed or removed"), "{arguments}: {}", done.stderr);
        assert!(done.next().contains("move it back"), "{arguments}: {}", done.stderr);
    }
    fs::rename(store.place().join("elsewhere"), store.target()).unwrap();
    store.cas(MIGRATE).expect(0);
    store.cas("rollback new --yes").expect(0);
    assert!(!store.target().exists());
}

#[test]
fn a_rollback_is_told_where_the_source_is_now() {
    let store = OldStore::with_objects(5);
    store.cas(MIGRATE).expect(0);
    fs::rename(store.root(), store.place().join("moved")).unwrap();
    cas_in(store.place(), "rollback new --yes").expect(65);
    fs::create_dir(store.place().join("wrong")).unwrap();
    cas_in(store.place(), "rollback new --yes --source wrong").expect(65);
    assert!(store.target().exists());
    cas_in(store.place(), "rollback new --yes --source moved").expect(0);
    assert!(!store.target().exists());
}

#[test]
fn a_rollback_without_the_plan_asks_for_the_source() {
    let store = OldStore::with_objects(5);
    store.cas(MIGRATE).expect(0);
    fs::remove_file(store.paths().run_directory().plan_path()).unwrap();
    let done = store.cas("rollback new --yes").expect(65);
    assert!(done.next().contains("--source"), "{}", done.stderr);
    store.cas("rollback new --yes --source old").expect(0);
    assert!(!store.target().exists());
}

/// Damage to a staged store between two processes.
#[test]
fn a_staged_store_that_lost_an_object_is_not_published() {
    let spoil: [fn(&Path); 3] = [
        |object| fs::remove_file(object).unwrap(),
        |object| fs::write(object, b"short").unwrap(),
        |object| fs::remove_file(object.with_extension("meta")).unwrap(),
    ];
    for spoil in spoil {
        let store = OldStore::with_objects(5);
        store.cas(&format!("{MIGRATE} --no-publish")).expect(0);
        let staging = store.paths().staging();
        let files = tree(&staging);
        let is_blob = |path: &&std::path::PathBuf| path.starts_with("objects") && path.extension().is_none();
        spoil(&staging.join(files.keys().find(is_blob).expect("a blob")));
        let done = store.cas(MIGRATE).expect(65);
        assert!(done.stderr.contains("not published"), "{}", done.stderr);
        assert!(!store.target().exists());
        store.cas(&format!("{MIGRATE} --restart --yes")).expect(0);
        store.cas("verify new").expect(0);
    }
}

/// Every content below a directory, whatever its name.
fn contents(place: &Path) -> BTreeSet<Vec<u8>> {
    tree(place).into_iter().filter(|(path, _)| path.extension().is_none()).map(|(_, bytes)| bytes).collect()
}

/// Follows the commands in a piece of advice, and the options that it names for the same command.
fn follow(store: &OldStore, command: &str, next: &str) {
    let mut commands: Vec<String> = next
        .split(['`', ';'])
        .filter_map(|part| part.split("haul cas ").nth(1))
        .map(|command| command.split([',', '`']).next().unwrap_or_default().trim().to_owned())
        .collect();
    for options in ["--merge --restart", "--restart", "--allow-empty"] {
        if next.contains(options) && !command.contains("--restart") {
            commands.push(format!("{command} {options}"));
            break;
        }
    }
    for command in commands {
        let verb = command.split(' ').next().unwrap_or_default();
        let target = if command.contains("new") || command.contains("--target") { "" } else { " new" };
        let yes = if ["clean", "rollback"].contains(&verb) || command.contains("--restart") { " --yes" } else { "" };
        cas_in(store.place(), &format!("{command}{target}{yes}"));
    }
}

/// After each mishap, the printed advice is followed three times in a row.
#[test]
fn no_printed_advice_loses_the_last_copy_of_anything() {
    type Mishap = fn(&OldStore);
    let mishaps: [(&str, Mishap); 7] = [
        ("nothing happens", |_| {}),
        ("the live store is emptied", |store| {
            fs::remove_dir_all(store.target().join("objects")).unwrap();
            fs::write(store.target().join("index.ndjson"), b"").unwrap();
        }),
        ("the live store is gone", |store| fs::remove_dir_all(store.target()).unwrap()),
        ("the checkpoint is gone", |store| {
            fs::remove_file(store.paths().run_directory().checkpoint_path()).unwrap();
            let _ = fs::remove_file(store.paths().run_directory().path().join("checkpoint.prev"));
        }),
        ("the plan is gone", |store| fs::remove_file(store.paths().run_directory().plan_path()).unwrap()),
        ("the map is gone", |store| fs::remove_file(store.paths().map()).unwrap()),
        ("the source changed", |store| _ = store.object(Algorithm::Sha256, b"one more", Shape::TwoLevels)),
    ];
    for (name, mishap) in mishaps {
        for command in [
            format!("{MIGRATE} --replace"),
            format!("{MIGRATE} --replace --restart --yes"),
            "rollback new --yes".to_owned(),
            "clean new --yes".to_owned(),
            "verify new".to_owned(),
        ] {
            let store = OldStore::with_objects(5);
            live(&store);
            let before = contents(&store.target());
            let migrated = contents(&store.root());
            store.cas(&format!("{MIGRATE} --replace")).expect(0);
            mishap(&store);
            // What is lost with the mishap itself was made from the source.
            for round in 0..3 {
                let done = cas_in(store.place(), &command);
                if !command.starts_with("clean") || name == "nothing happens" {
                    follow(&store, &command, done.next());
                }
                let is_cleaned = command.starts_with("clean") && has_all(&store, &migrated);
                let lost = before.difference(&contents(store.place())).count();
                assert!(lost == 0 || is_cleaned, "{name}, {command}, round {round}: {lost} lost; {}", done.stderr);
            }
        }
    }
}

/// True if the target has every object that was migrated, so that the store from before may be removed.
fn has_all(store: &OldStore, migrated: &BTreeSet<Vec<u8>>) -> bool {
    store.target().exists() && migrated.is_subset(&contents(&store.target()))
}
