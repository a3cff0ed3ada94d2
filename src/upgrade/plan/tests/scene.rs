//! A set of two tiers, and an upgrade of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::durable::RealDisk;
use crate::migration::{Error, RunOptions};
use crate::pipeline::{Control, Silent, StopToken};
use crate::upgrade::definition::Definition;
use crate::upgrade::hooks::Hooks;
use crate::upgrade::plan::{Mode, Plan, assess};
use crate::upgrade::request::UpgradeRequest;
use crate::upgrade::values::AssumedZone;

const UPGRADE: &str = r#"
name = "library-2"
from = "1"
to = "2"

[settings]
days = 30

[[tier]]
name = "books"
[[tier.shape]]
name = "plain"
table = "books"
columns = ["id", "title", "lent_at"]
without-columns = ["shelf"]
[[tier.shape]]
name = "shelved"
table = "books"
columns = ["id", "title", "shelf"]

[[tier]]
name = "readers"
[[tier.shape]]
name = "one"
table = "readers"
columns = ["id"]

[[group]]
name = "001_tables"
scripts = ["001.sql"]
[[group]]
name = "002_state"
scripts = ["002.sql"]

[[input]]
name = "plugins"
required = ["plugin_id"]

[[measure]]
name = "readers"
tier = "readers"
select = [{ sql = "SELECT count(*) FROM readers" }]

[[backfill]]
name = "state"
tier = "books"
files = "all"
rows = [{ shapes = ["plain"], sql = "SELECT id, haul_instant(lent_at) AS at FROM books" }]
[backfill.write]
sql = '''
UPDATE books SET last_at = r.at FROM temp.haul_rows AS r
WHERE r.n > ?1 AND r.n <= ?2 AND r.id = books.id AND last_at IS NOT r.at
'''

[[backfill]]
name = "loans"
tier = "books"
rows = [{ sql = "SELECT value FROM temp.haul_measures WHERE name = 'readers'" }]
[backfill.write]
sql = '''
INSERT INTO plugins (plugin_id) SELECT 'p' || CAST(value AS INTEGER) FROM temp.haul_rows
WHERE n > ?1 AND n <= ?2 AND NOT EXISTS (SELECT 1 FROM plugins)
'''
"#;
const TABLES: &str = "-- tiers: books
CREATE TABLE IF NOT EXISTS plugins (id INTEGER PRIMARY KEY AUTOINCREMENT, plugin_id TEXT NOT NULL UNIQUE);
";
const STATE: &str = "-- tiers: books
-- files: all
-- table: books
ALTER TABLE books ADD COLUMN last_at TIMESTAMP;
CREATE INDEX IF NOT EXISTS idx_books_active ON books (last_at DESC);
";

/// A book with an instant.
pub const BOOKS: &str = "
    CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, lent_at TEXT);
    CREATE TABLE pages (book INTEGER REFERENCES books (id), text TEXT);
    CREATE VIRTUAL TABLE found USING fts5 (title, content='books', content_rowid='id');
    CREATE TRIGGER ai AFTER INSERT ON books BEGIN INSERT INTO found (rowid, title) VALUES (new.id, new.title); END;
    CREATE TRIGGER au AFTER UPDATE OF title ON books
    BEGIN UPDATE found SET title = new.title WHERE rowid = new.id; END;
    INSERT INTO books VALUES (1, 'one', '2026-01-31T12:00:00'), (2, 'two', '2026-01-31 12:00:00'), (3, 'three', NULL);
    INSERT INTO pages VALUES (1, 'a'), (1, 'b'), (2, 'c');";
const READERS: &str =
    "CREATE TABLE readers (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO readers VALUES (7, 'x'), (8, 'y');";

/// A directory with a database of each tier.
pub struct Scene {
    directory: tempfile::TempDir,
    pub request: UpgradeRequest,
}

impl Scene {
    pub fn new() -> Self {
        Self::with("PRAGMA page_size = 4096")
    }

    /// Runs a pragma before the database of books is made.
    pub fn with(pragma: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let texts = [("upgrade.toml", UPGRADE), ("001.sql", TABLES), ("002.sql", STATE)];
        let request = UpgradeRequest {
            directory: directory.path().to_path_buf(),
            files: Vec::new(),
            primaries: Vec::new(),
            excluded: Vec::new(),
            definition: Definition::from_texts("library", &texts).unwrap(),
            mode: Mode::Staged,
            zone: AssumedZone::default(),
            inputs: BTreeMap::from([("plugins".to_owned(), "[]".to_owned())]),
            settings: BTreeMap::new(),
            application: Some("r1".into()),
            hooks: Hooks::default(),
            approved_plan: None,
            lock_timeout: Duration::from_secs(1),
            batch_timeout: Duration::from_secs(5),
            force: false,
            run: RunOptions::default(),
        };
        let scene = Self { directory, request };
        scene.sql("books.db", &format!("{pragma}; {BOOKS}"));
        scene.sql("readers.db", READERS);
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().canonicalize().unwrap().join(name)
    }

    pub fn sql(&self, name: &str, sql: &str) {
        let connection = Connection::open(self.path(name)).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        connection.execute_batch(sql).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "the files of a test")]
    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn plan(&self) -> Result<Plan, Error> {
        let stop = StopToken::new();
        assess(&self.request, &RealDisk, &Control { stop: &stop, observer: &Silent })
    }

    /// Makes the plan, which must leave every file as it is.
    pub fn assess(&self) -> Plan {
        let before = contents(self.directory.path());
        let plan = self.plan().unwrap();
        assert!(before == contents(self.directory.path()), "a plan has changed a file");
        plan
    }

    /// Codes of all blocks with the names of their files, sorted, and the exit codes.
    pub fn blocks(&self) -> Vec<(String, String, u8)> {
        let name = |file: Option<String>| {
            file.map_or(String::new(), |file| Path::new(&file).file_name().unwrap().to_string_lossy().into_owned())
        };
        let plan = self.assess();
        assert!(plan.members.iter().all(|member| member.predictions.is_empty()), "a blocked plan predicts nothing");
        plan.blocks.into_iter().map(|block| (block.code, name(block.file), block.exit_code)).collect()
    }
}

/// All files but the index of a write-ahead log, which every reader makes.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let kept = paths.filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"));
    let mut files: Vec<_> = kept.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
    files.sort();
    files
}

/// Codes of the notes about a file, without those that every set has.
pub fn notes(plan: &Plan) -> Vec<&str> {
    let usual = ["naive-instants"];
    plan.notes.iter().map(|note| note.code.as_str()).filter(|code| !usual.contains(code)).collect()
}
