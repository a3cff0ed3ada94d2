//! What keeps an upgrade from beginning.

use rusqlite::Connection;

use super::super::model::Mode;
use super::super::space::no_space;
use super::scene::{BOOKS, Scene};
use crate::durable::{Disk, RealDisk};

fn block(code: &str, file: &str, exit_code: u8) -> Vec<(String, String, u8)> {
    vec![(code.into(), file.into(), exit_code)]
}

#[test]
fn files_that_are_no_databases_block() {
    let scene = Scene::new();
    scene.write("empty.db", b"");
    assert_eq!(scene.blocks(), block("zero-bytes", "empty.db", 65));
    scene.write("empty.db", &[b'x'; 9000]);
    assert_eq!(scene.blocks(), block("not-a-database", "empty.db", 65));
    scene.write("empty.db", b"SQLite");
    assert_eq!(scene.blocks(), block("not-a-database", "empty.db", 65));
}

#[test]
fn what_is_wrong_with_the_data_comes_first() {
    let scene = Scene::new();
    scene.sql(
        "books.db",
        "CREATE TABLE haul_steps (name TEXT PRIMARY KEY, checksum TEXT, tool_version TEXT, started_at TEXT,
             completed_at TEXT, duration_ms INTEGER, schema_before TEXT, schema_after TEXT);
         INSERT INTO haul_steps (name, checksum) VALUES ('001_tables', 'another');",
    );
    scene.write("zero.db", b"");
    let codes: Vec<_> = scene.blocks().into_iter().map(|(code, ..)| code).collect();
    assert_eq!(codes, ["zero-bytes", "drifted"]);
}

#[test]
fn a_file_that_is_left_out_blocks_nothing() {
    let mut scene = Scene::new();
    scene.write("empty.db", b"");
    scene.request.excluded = vec!["empty.db".into()];
    let plan = scene.assess();
    assert_eq!((plan.blocks, plan.excluded), (Vec::new(), vec!["empty.db".to_owned()]));
}

#[test]
fn damaged_databases_block() {
    let scene = Scene::with("PRAGMA page_size = 1024");
    let whole = std::fs::read(scene.path("books.db")).unwrap();
    scene.write("books.db", &whole[..whole.len() / 2]);
    assert_eq!(scene.blocks(), block("corrupt", "books.db", 65));
    // Its pages are there, and one holds the bytes of another program.
    let mut other = whole.clone();
    let last = other.len() - 1024;
    other[last..].fill(0xa5);
    scene.write("books.db", &other);
    assert_eq!(scene.blocks(), block("corrupt", "books.db", 65));
    scene.write("books.db", &whole);
    assert!(scene.assess().blocks.is_empty());
}

#[test]
fn shapes_that_are_not_one_known_shape_block() {
    let mut scene = Scene::new();
    scene.sql("other.db", "CREATE TABLE books (isbn TEXT, price REAL)");
    let plan = scene.assess();
    assert_eq!(plan.blocks[0].code, "unknown-shape");
    assert!(plan.blocks[0].what.contains("books (isbn, price)"), "{:?}", plan.blocks);
    scene.sql("other.db", &format!("DROP TABLE books; {BOOKS} CREATE TABLE readers (id)"));
    assert_eq!(scene.blocks(), block("ambiguous-shape", "other.db", 65));
    let named = |tier: &str, name: &str| (Some(tier.to_owned()), scene.path(name));
    scene.request.files = vec![named("books", "other.db"), named("readers", "readers.db")];
    assert!(scene.assess().blocks.is_empty());
    scene.request.files[0].0 = Some("none".into());
    assert_eq!(scene.plan().unwrap_err().exit_code(), 2);
}

#[test]
fn a_tier_without_a_file_blocks() {
    let mut scene = Scene::new();
    scene.request.excluded = vec!["readers.db".into()];
    let plan = scene.assess();
    assert_eq!((plan.blocks.len(), plan.blocks[0].code.as_str(), plan.blocks[0].exit_code), (1, "missing-tier", 2));
    assert!(plan.blocks[0].what.contains("readers"));
}

#[test]
fn a_foreign_table_in_the_place_of_a_new_one_blocks() {
    let scene = Scene::new();
    scene.sql("books.db", "CREATE TABLE plugins (name TEXT)");
    assert_eq!(scene.blocks(), block("table-conflict", "books.db", 65));
    scene.sql("books.db", "DROP TABLE plugins; CREATE TABLE migrations (version INTEGER)");
    assert_eq!(scene.blocks(), block("table-conflict", "books.db", 65));
}

#[test]
fn a_column_of_another_kind_blocks() {
    let scene = Scene::new();
    scene.sql("books.db", "ALTER TABLE books ADD COLUMN last_at INTEGER NOT NULL DEFAULT 0");
    let blocks = scene.blocks();
    assert!(blocks.contains(&block("column-conflict", "books.db", 65)[0]), "{blocks:?}");
}

#[test]
fn a_locked_database_blocks_for_now() {
    let scene = Scene::new();
    let other = Connection::open(scene.path("readers.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let blocks = scene.plan().unwrap().blocks;
    let locked = blocks.iter().find(|block| block.code == "locked").expect("a block");
    assert!(locked.exit_code == 75 && locked.file.as_ref().unwrap().ends_with("readers.db"));
}

#[test]
fn steps_that_ran_with_other_scripts_block() {
    let scene = Scene::new();
    scene.sql(
        "books.db",
        "CREATE TABLE haul_steps (name TEXT PRIMARY KEY, checksum TEXT, tool_version TEXT, started_at TEXT,
             completed_at TEXT, duration_ms INTEGER, schema_before TEXT, schema_after TEXT);
         INSERT INTO haul_steps (name, checksum) VALUES ('001_tables', 'another');",
    );
    assert_eq!(scene.blocks(), block("drifted", "books.db", 2));
    scene.sql("books.db", "UPDATE haul_steps SET name = 'of another upgrade', tool_version = '0.0.9'");
    assert!(scene.assess().blocks.is_empty());
    scene.sql("books.db", "UPDATE haul_steps SET tool_version = '999.10.0-rc.1'");
    assert_eq!(scene.blocks(), block("newer-release", "books.db", 2));
}

#[test]
fn too_little_space_blocks_for_now() {
    let directory = tempfile::tempdir().unwrap();
    let blocked = |bytes| no_space(directory.path(), bytes, Mode::Staged, &RealDisk).unwrap();
    let block = blocked(u64::MAX).expect("a block");
    assert_eq!((block.code.as_str(), block.exit_code), ("no-space", 75));
    assert!(block.next.contains("--in-place"));
    assert_eq!(blocked(0), None);
    assert!(RealDisk.free_bytes(directory.path()).is_ok());
}
