//! A small set and a small upgrade, for tests of the phases and of the way back.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::run::{UpgradeEnd, run};
use super::state::Goal;
use crate::durable::{Disk, RealDisk};
use crate::migration::{Error, RunOptions};
use crate::pipeline::{Control, Silent, StopToken};
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::{columns, table_facts, tables};
use crate::upgrade::hooks::Hooks;
use crate::upgrade::plan::Mode;
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::values::AssumedZone;

const UPGRADE: &str = r#"
name = "shop"
from = "1"
to = "2"
[[tier]]
name = "items"
[[tier.shape]]
name = "one"
table = "items"
columns = ["id", "title"]
[[tier]]
name = "notes"
[[tier.shape]]
name = "only"
table = "notes"
columns = ["note"]
[[group]]
name = "001_items"
scripts = ["items.sql"]
[[group]]
name = "002_notes"
scripts = ["notes.sql"]
[[backfill]]
name = "states"
tier = "items"
rows = [{ sql = "SELECT id AS item FROM items ORDER BY id" }]
[backfill.write]
sql = """UPDATE items SET state = 'old'
    WHERE state IS NULL AND id IN (SELECT item FROM haul_rows WHERE n > ?1 AND n <= ?2)"""
[[backfill]]
name = "tags"
tier = "items"
rows = [{ sql = "SELECT id AS item, title FROM items ORDER BY id" }]
[backfill.write]
sql = """INSERT INTO tags (item, tag) SELECT item, title FROM haul_rows AS r
    WHERE n > ?1 AND n <= ?2 AND NOT EXISTS (SELECT 1 FROM tags WHERE tags.item = r.item)"""
"#;
const ITEMS: &str = "-- tiers: items\nCREATE TABLE tags (id INTEGER PRIMARY KEY, item INTEGER NOT NULL, tag TEXT);\n\
                     CREATE INDEX tags_item ON tags (item);\nALTER TABLE items ADD COLUMN state TEXT;\n";
const NOTES: &str = "-- tiers: notes\nCREATE TABLE topics (id INTEGER PRIMARY KEY, topic TEXT);\n";

/// A directory with a set of two databases: one with a rollback journal, one with rows in its write-ahead log alone.
pub struct Scene {
    directory: tempfile::TempDir,
    /// What an upgrade of it is asked to do.
    pub request: UpgradeRequest,
    /// The content of every table before the upgrade.
    pub before: Vec<String>,
}

pub const ITEMS_DB: &str = "items.db";
pub const NOTES_DB: &str = "notes.db";

impl Scene {
    pub fn staged() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let items = Connection::open(directory.path().join(ITEMS_DB)).unwrap();
        items
            .execute_batch(
                "CREATE TABLE items (id INTEGER PRIMARY KEY, title TEXT);
                 WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 2500)
                 INSERT INTO items SELECT n, 'item ' || n FROM n;",
            )
            .unwrap();
        let notes = Connection::open(directory.path().join(NOTES_DB)).unwrap();
        notes.pragma_update(None, "journal_mode", "WAL").unwrap();
        notes.execute_batch("CREATE TABLE notes (note TEXT); INSERT INTO notes VALUES ('one'), ('two')").unwrap();
        notes.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        drop((items, notes));
        assert!(directory.path().join("notes.db-wal").metadata().unwrap().len() > 0);
        let definition =
            Definition::from_texts("shop", &[("upgrade.toml", UPGRADE), ("items.sql", ITEMS), ("notes.sql", NOTES)]);
        let request = UpgradeRequest {
            directory: directory.path().to_path_buf(),
            files: Vec::new(),
            primaries: Vec::new(),
            excluded: Vec::new(),
            definition: definition.unwrap(),
            mode: Mode::Staged,
            zone: AssumedZone::default(),
            inputs: Default::default(),
            settings: Default::default(),
            application: None,
            hooks: Hooks::default(),
            approved_plan: None,
            lock_timeout: Duration::from_millis(50),
            batch_timeout: Duration::from_secs(60),
            force: false,
            run: RunOptions::default(),
        };
        let before = contents(directory.path());
        Self { directory, request, before }
    }

    pub fn in_place() -> Self {
        let mut scene = Self::staged();
        scene.request.mode = Mode::InPlace;
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(RealDisk)
    }

    pub fn run(&self, goal: Goal) -> Result<UpgradeEnd, Error> {
        let stop = StopToken::new();
        run(&self.disk(), &self.request, goal, &Control { stop: &stop, observer: &Silent })
    }

    pub fn query(&self, name: &str, sql: &str) -> i64 {
        Connection::open(self.path(name)).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    pub fn execute(&self, name: &str, sql: &str) {
        Connection::open(self.path(name)).unwrap().execute_batch(sql).unwrap();
    }

    /// The content of every table now.
    pub fn now(&self) -> Vec<String> {
        contents(self.directory.path())
    }

    /// The names in the directory of the set.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn flags(&self) -> String {
        std::fs::read_to_string(self.path("migration/flags.json")).unwrap_or_default()
    }

    /// Asserts that all databases are upgraded, and no side file and no working copy is left.
    pub fn check_upgraded(&self) {
        assert_eq!(self.query(ITEMS_DB, "SELECT count(*) FROM tags"), 2500);
        assert_eq!(self.query(ITEMS_DB, "SELECT count(*) FROM items WHERE state = 'old'"), 2500);
        assert_eq!(self.query(NOTES_DB, "SELECT count(*) FROM topics"), 0);
        assert_eq!(self.query(NOTES_DB, "SELECT count(*) FROM notes"), 2);
        for name in [ITEMS_DB, NOTES_DB] {
            assert_eq!(self.query(name, "SELECT count(*) FROM migrations WHERE name = 'MIGRATION_START'"), 1);
        }
        assert_eq!(self.names(), [ITEMS_DB, "migration", NOTES_DB]);
        for name in ["staging", "replaced"] {
            assert!(!self.path("migration").join(name).exists(), "{name}");
        }
        assert!(self.flags().contains("\"writes_frozen\": false"), "{}", self.flags());
    }
}

fn contents(directory: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for name in [ITEMS_DB, NOTES_DB] {
        let connection = Connection::open(directory.join(name)).unwrap();
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        for table in tables(&connection).unwrap() {
            let facts = table_facts(&connection, &table, columns(&connection, &table).unwrap()).unwrap();
            all.push(format!("{name} {table} {} {}", facts.columns.join(","), facts.content_sha256));
        }
    }
    all
}
