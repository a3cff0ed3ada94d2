//! What is not haul's, what is not there any more, and what somebody else put in its place.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::support::files::tree;
use crate::support::space::{STORE, Space, episode, records};
use crate::support::space_runs::{disk, eager};
use haul::migration::{Error, RunOptions, Stage, Start, exit, pointer};
use haul::pipeline::{Control, Silent, StopToken};
use haul::space::clean::{CleanKind, clean, clean_plan, left_alone};
use haul::space::migrate::MigrationEnd;
use haul::space::options::MigrateOptions;
use haul::space::publish::publish;
use haul::space::rollback::rollback;
use haul::space::status::status;

fn space() -> Space {
    let space = Space::new();
    let list: Vec<_> = (0..40).map(|at| (at, STORE, episode(&format!("e-{at:02}")))).collect();
    space.log(1, &records(&list));
    space
}

fn sealed_only() -> MigrateOptions {
    MigrateOptions { publish: false, ..eager() }
}

fn restarting() -> MigrateOptions {
    MigrateOptions { run: RunOptions { start: Start::Restart, ..eager().run }, ..eager() }
}

fn with<T>(act: impl FnOnce(&Control<'_>) -> T) -> T {
    let stop = StopToken::new();
    act(&Control { stop: &stop, observer: &Silent })
}

fn publish_again(space: &Space) -> Result<MigrationEnd, Error> {
    with(|control| publish(disk(), &space.paths(), &MigrateOptions::default(), control))
}

fn live(space: &Space) -> Option<String> {
    pointer::read(&*disk(), &space.root()).unwrap()
}

fn remove(path: &Path) {
    if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
}

/// Something that might publish a store, or call it done.
type Act<'a> = &'a dyn Fn() -> Result<MigrationEnd, Error>;

/// Ways in which a store is no longer what was sealed: the path that changes, and how.
fn losses(store: &Path) -> Vec<(String, Box<dyn Fn()>)> {
    let mut losses: Vec<(String, Box<dyn Fn()>)> = Vec::new();
    for part in ["", "MANIFEST", "segment-000000.dual", "blocks.index", "ids.index", "marks.index"] {
        let path = store.join(part);
        losses.push((format!("{part:?} removed"), Box::new(move || remove(&path))));
    }
    for part in ["segment-000000.dual", "ids.index"] {
        let path = store.join(part);
        let cut = move || {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        };
        losses.push((format!("{part:?} cut"), Box::new(cut)));
    }
    losses
}

#[test]
fn a_store_that_is_not_whole_is_neither_published_nor_called_done() {
    let space = space();
    let store = space.root().join("dual-000001");
    let reset = |options: &MigrateOptions| {
        for entry in fs::read_dir(space.root()).unwrap().map(|entry| entry.unwrap()) {
            if entry.file_name() != "wal" {
                remove(&entry.path());
            }
        }
        space.migrate(options).unwrap();
    };
    for (what, lose) in losses(&store) {
        let acts: [(&str, MigrateOptions, Act<'_>); 4] = [
            ("migrate", sealed_only(), &|| space.migrate(&eager())),
            ("publish", sealed_only(), &|| publish_again(&space)),
            ("migrate without publishing", sealed_only(), &|| space.migrate(&sealed_only())),
            ("migrate when published", eager(), &|| space.migrate(&eager())),
        ];
        for (verb, before, act) in acts {
            reset(&before);
            let pointed_to = live(&space);
            lose();
            let error = act().map(|end| end.stage).unwrap_err();
            assert_eq!(error.exit_code(), exit::BAD_DATA, "{verb}, {what}: {error}");
            assert!(error.next_step().unwrap().contains("--restart"), "{verb}, {what}: {error}");
            assert_eq!(live(&space), pointed_to, "{verb}, {what}");
            let next = status(disk(), &space.paths()).unwrap().next;
            assert!(next.contains("back from a copy"), "{verb}, {what}: {next}");
            let end = space.migrate(&restarting()).unwrap();
            assert_eq!(end.stage, Stage::Published, "{verb}, {what}");
        }
    }
}

/// A change that keeps every length is found by the process that publishes, because it reads the store itself.
#[test]
fn what_changed_after_another_process_verified_it_is_not_published() {
    let space = space();
    space.migrate(&sealed_only()).unwrap();
    let segment = space.root().join("dual-000001/segment-000000.dual");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    for result in [space.migrate(&eager()), publish_again(&space)] {
        assert_eq!(result.map(|end| end.stage).unwrap_err().exit_code(), exit::BAD_DATA);
        assert_eq!(live(&space), None);
    }
}

/// Puts something of the user's at a path.
type Put = fn(&Path);

fn foreign_entries() -> [(&'static str, Put); 5] {
    [
        ("a directory", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("precious"), b"mine").unwrap();
        }),
        ("an empty directory", |path| fs::create_dir(path).unwrap()),
        ("a file", |path| fs::write(path, b"mine").unwrap()),
        ("a link", |path| symlink("wal", path).unwrap()),
        ("a directory with a manifest of something else", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("MANIFEST"), b"mine").unwrap();
        }),
    ]
}

#[test]
fn what_only_has_the_name_of_a_store_is_left_and_named() {
    for (what, put) in foreign_entries() {
        for (name, next) in [("dual-000001", "dual-000002"), ("dual-000009", "dual-000010")] {
            let space = space();
            let path = space.root().join(name);
            put(&path);
            let before = foreign_files(&path);
            assert_eq!(space.migrate(&eager()).unwrap().details.store, next, "{what}");
            space.migrate(&restarting()).unwrap();
            let items = clean_plan(disk(), &space.paths()).unwrap();
            assert!(items.iter().all(|item| item.path != path), "{what}: {items:?}");
            clean(disk(), &space.paths(), &items).unwrap();
            assert_eq!(foreign_files(&path), before, "{what}");
            let left = left_alone(&*disk(), &space.paths()).unwrap();
            assert_eq!(left.iter().map(|left| left.name.as_str()).collect::<Vec<_>>(), [name], "{what}");
            let shown = status(disk(), &space.paths()).unwrap().stores;
            assert!(shown.iter().any(|store| store.name == name && store.problem.is_some()), "{what}");
        }
    }
}

fn foreign_files(path: &Path) -> (bool, Vec<(PathBuf, Vec<u8>)>) {
    let is_there = fs::symlink_metadata(path).is_ok();
    (is_there, if path.is_dir() { tree(path).into_iter().collect() } else { Vec::new() })
}

#[test]
fn a_store_with_notes_of_the_user_in_it_is_not_removed() {
    let space = space();
    space.migrate(&sealed_only()).unwrap();
    let notes = space.root().join("dual-000001/notes");
    fs::write(&notes, b"mine").unwrap();
    let kinds: Vec<_> = clean_plan(disk(), &space.paths()).unwrap().iter().map(|item| item.kind).collect();
    assert!(!kinds.contains(&CleanKind::Store), "{kinds:?}");
    space.migrate(&restarting()).unwrap();
    assert_eq!(fs::read(&notes).unwrap(), b"mine");
    assert_eq!(live(&space).as_deref(), Some("dual-000002"));
}

#[test]
fn a_pointer_that_leads_nowhere_is_reported_and_costs_no_store() {
    let space = space();
    space.migrate(&sealed_only()).unwrap();
    // The only copy of what was live, under another name.
    pointer::publish(&*disk(), &space.root(), "dual-000007").unwrap();
    let copy = tree(&space.root().join("dual-000001"));
    let reports = [
        space.migrate(&eager()).map(drop).unwrap_err(),
        publish_again(&space).map(drop).unwrap_err(),
        clean_plan(disk(), &space.paths()).map(drop).unwrap_err(),
        with(|control| rollback(disk(), &space.paths(), &eager(), control)).map(drop).unwrap_err(),
    ];
    for error in reports {
        assert!(error.to_string().ends_with("it names the store dual-000007, which is not there"), "{error}");
        assert_eq!(error.exit_code(), exit::BAD_DATA);
    }
    assert_eq!(live(&space).as_deref(), Some("dual-000007"));
    assert_eq!(space.migrate(&restarting()).unwrap().details.store, "dual-000002");
    assert_eq!(tree(&space.root().join("dual-000001")), copy);
}

#[test]
fn nothing_behind_a_link_in_the_run_directory_is_touched() {
    for name in ["lock", "findings.jsonl", "journal.jsonl", "plan.json", "report.json", "checkpoint.bin", "staging"] {
        let space = space();
        let (precious, run) = (space.root().join("precious"), space.root().join("migration"));
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), b"mine").unwrap();
        fs::create_dir(&run).unwrap();
        let behind = if name == "staging" { precious.clone() } else { precious.join("file") };
        symlink(&behind, run.join(name)).unwrap();
        let error = space.migrate(&eager()).map(|end| end.stage).unwrap_err();
        assert!(error.to_string().contains(&format!("migration/{name}: it is a link")), "{error}");
        assert_eq!(error.exit_code(), exit::USAGE);
        assert_eq!(fs::read(precious.join("file")).unwrap(), b"mine", "{name}");
    }
}
