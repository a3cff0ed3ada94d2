//! What a plan tells of sets that can be upgraded, whatever state they are in.

use super::super::model::{MemberPlan, Mode, Plan, StepState};
use super::scene::{Scene, notes};
use crate::upgrade::facts::test_databases::keep;
use crate::upgrade::facts::{ForeignKeyState, FtsState};
use crate::upgrade::hooks::Hooks;

fn books(plan: &Plan) -> &MemberPlan {
    plan.members.iter().find(|planned| planned.member.key == "books.db").expect("the books")
}

fn written(planned: &MemberPlan) -> Vec<(&str, u64)> {
    planned.predictions.iter().map(|prediction| (prediction.step.as_str(), prediction.rows)).collect()
}

#[test]
fn a_plan_predicts_what_the_upgrade_writes() {
    let scene = Scene::new();
    let plan = scene.assess();
    assert_eq!(plan.blocks, []);
    let keys: Vec<_> = plan.members.iter().map(|planned| planned.member.key.as_str()).collect();
    assert_eq!(keys, ["books.db", "readers.db"]);
    let books = books(&plan);
    assert!(books.member.is_primary && books.member.shape == "plain");
    assert_eq!(written(books), [("state", 2), ("loans", 1)]);
    let steps: Vec<_> = books.steps.iter().map(|step| (step.name.as_str(), step.state)).collect();
    let pending = StepState::Pending;
    assert_eq!(steps, [("001_tables", pending), ("002_state", pending), ("state", pending), ("loans", pending)]);
    assert_eq!(books.steps[0].actions, ["create table plugins"]);
    let rows: Vec<_> = books.baseline.tables.iter().map(|(name, facts)| (name.as_str(), facts.rows)).collect();
    assert_eq!(rows, [("books", 3), ("pages", 3)]);
    assert_eq!(books.baseline.instant_forms, [("iso-naive".to_owned(), 1), ("sql".to_owned(), 1)].into());
    assert_eq!(plan.measures[0].value, Some(2.0));
    assert_eq!((plan.settings["days"], plan.application.as_deref()), (30.0, Some("r1")));
    let bytes: u64 = plan.members.iter().map(|planned| planned.file_bytes).sum();
    assert_eq!((plan.space_needed_bytes, plan.estimate.len()), (3 * bytes, 5));
    assert!(plan.notes.iter().any(|note| note.what.contains("1 instants name no time zone and are read as UTC")));
}

#[test]
fn two_plans_of_one_set_are_equal_and_changes_are_not() {
    let mut scene = Scene::new();
    let first = scene.assess().digest_text();
    assert_eq!(first, scene.assess().digest_text());
    scene.request.mode = Mode::InPlace;
    assert_ne!(first, scene.assess().digest_text());
    scene.request.mode = Mode::Staged;
    scene.sql("books.db", "UPDATE pages SET text = 'd' WHERE text = 'c'");
    assert_ne!(first, scene.assess().digest_text());
}

#[test]
fn encodings_and_page_sizes_change_no_figure() {
    let hashes = |pragma: &str| {
        let plan = Scene::with(pragma).assess();
        assert_eq!(plan.blocks, [], "{pragma}");
        let books = books(&plan).clone();
        assert_eq!(written(&books), [("state", 2), ("loans", 1)]);
        (books.baseline.encoding, books.baseline.page_bytes, books.baseline.tables["books"].content_sha256.clone())
    };
    let (encoding, page_bytes, content) = hashes("PRAGMA page_size = 4096");
    assert_eq!((encoding.as_str(), page_bytes), ("UTF-8", 4096));
    for (pragma, expected) in [
        ("PRAGMA page_size = 1024", ("UTF-8", 1024)),
        ("PRAGMA encoding = 'UTF-16le'", ("UTF-16le", 4096)),
        ("PRAGMA page_size = 1024; PRAGMA encoding = 'UTF-16be'", ("UTF-16be", 1024)),
    ] {
        let (encoding, page_bytes, found) = hashes(pragma);
        assert_eq!((encoding.as_str(), page_bytes, &found), (expected.0, expected.1, &content));
    }
}

#[test]
fn rows_of_the_log_and_its_journal_mode_are_counted() {
    let scene = Scene::new();
    let path = scene.path("books.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA wal_checkpoint(TRUNCATE);
             INSERT INTO books VALUES (4, 'four', '2026-01-31 13:00:00')",
        )
        .unwrap();
    keep(&path, "-wal", connection);
    let plan = scene.assess();
    let books = books(&plan);
    assert_eq!((books.baseline.tables["books"].rows, books.baseline.journal_mode.as_str()), (4, "wal"));
    assert_eq!(written(books), [("state", 3), ("loans", 1)]);
    assert!(books.wal_bytes > 0 && books.side_files == ["-wal"], "{:?}", books.side_files);
    assert_eq!(notes(&plan), ["write-ahead-log"]);
}

#[test]
fn a_hot_journal_is_rolled_back_in_the_copy_alone() {
    let scene = Scene::with("PRAGMA page_size = 1024");
    let path = scene.path("books.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    let many = "INSERT INTO pages SELECT 1, 'x' FROM books, books b, books c, books d, books e, books f, books g";
    connection.execute_batch(many).unwrap();
    connection.execute_batch("PRAGMA cache_size = 2; BEGIN; UPDATE pages SET text = 'half done'").unwrap();
    keep(&path, "-journal", connection);
    let plan = scene.assess();
    assert_eq!((plan.blocks.len(), notes(&plan)), (0, vec!["hot-journal"]));
    let other = Scene::with("PRAGMA page_size = 1024");
    other.sql("books.db", many);
    let content = |plan: &Plan| books(plan).baseline.tables["pages"].content_sha256.clone();
    assert_eq!(content(&plan), content(&other.assess()));
}

#[test]
fn defects_are_noted_and_change_no_prediction() {
    let scene = Scene::new();
    scene.sql("books.db", "INSERT INTO pages VALUES (90, 'lost'), (91, 'lost')");
    scene.sql("books.db", "UPDATE books SET title = 'another' WHERE id = 1");
    scene.sql("readers.db", "CREATE TABLE cards (r REFERENCES readers (absent)); INSERT INTO cards VALUES (1)");
    let plan = scene.assess();
    assert_eq!((plan.blocks.len(), notes(&plan)), (0, vec!["orphans", "fts-inconsistent", "key-mismatch"]));
    let baseline = &books(&plan).baseline;
    let expected = [("pages -> books".to_owned(), 2)];
    assert_eq!(baseline.foreign_keys, ForeignKeyState::Violations(expected.into()));
    assert!(matches!(baseline.fts["found"], FtsState::Inconsistent(_)) && baseline.is_whole());
    assert!(matches!(plan.members[1].baseline.foreign_keys, ForeignKeyState::Mismatch(_)));
    assert_eq!(written(books(&plan)), [("state", 2), ("loans", 1)]);
}

#[test]
fn a_taken_index_name_gives_way() {
    let scene = Scene::new();
    scene.sql("books.db", "CREATE INDEX idx_books_active ON books (title)");
    let plan = scene.assess();
    assert_eq!((plan.blocks.len(), notes(&plan)), (0, vec!["index-renamed"]));
    assert!(plan.notes.iter().any(|note| note.what.contains("idx_books_active_2")), "{:?}", plan.notes);
}

#[test]
fn a_half_applied_attempt_is_finished() {
    let scene = Scene::new();
    scene.sql(
        "books.db",
        "ALTER TABLE books ADD COLUMN last_at TIMESTAMP;
         CREATE TABLE migrations (id INTEGER PRIMARY KEY, name TEXT, applied_at TEXT, checksum TEXT, success INTEGER,
             error_message TEXT);
         INSERT INTO migrations (name, success, error_message) VALUES ('005', 0, 'no such column: last_updated');",
    );
    let plan = scene.assess();
    assert_eq!((plan.blocks.len(), notes(&plan)), (0, vec!["failed-attempt"]));
    let books = books(&plan);
    assert_eq!(books.steps[1].actions[0], "skip column books.last_at: it is there");
    // What the upgrade fills is no old data.
    assert_eq!(books.baseline.tables["books"].columns, ["id", "title", "lent_at"]);
    assert_eq!(books.baseline.tables["migrations"].rows, 1);
    assert_eq!(written(books), [("state", 2), ("loans", 1)]);
}

#[test]
fn new_tables_go_into_one_file_of_a_tier() {
    let mut scene = Scene::new();
    scene.sql("alone.db", "CREATE TABLE books (id INTEGER PRIMARY KEY, title, shelf)");
    let primary = |plan: &Plan| {
        let mut primary =
            plan.members.iter().filter(|planned| planned.member.tier == "books" && planned.member.is_primary);
        primary.next().expect("a primary file").member.key.clone()
    };
    let plan = scene.assess();
    assert_eq!((primary(&plan).as_str(), notes(&plan)), ("alone.db", vec!["primary-chosen"]));
    assert_eq!(written(books(&plan)), [("state", 2)]);
    scene.request.primaries = vec!["books.db".into()];
    let plan = scene.assess();
    assert_eq!((primary(&plan).as_str(), notes(&plan)), ("books.db", vec![]));
    assert_eq!(written(books(&plan)), [("state", 2), ("loans", 1)]);
}

#[test]
fn lists_and_tests_that_are_missing_or_fail_are_noted() {
    let mut scene = Scene::new();
    scene.request.inputs.clear();
    assert_eq!(notes(&scene.assess()), ["no-input"]);
    for (command, code) in [("test=true", "tests-pass"), ("test=false", "tests-fail")] {
        scene.request.hooks = Hooks::new(vec![command.parse().unwrap()], "/set", std::time::Duration::ZERO);
        assert_eq!(notes(&scene.assess()), ["no-input", code]);
    }
}
