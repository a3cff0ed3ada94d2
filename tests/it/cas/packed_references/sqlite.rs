//! References in SQLite databases.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use haul::cas::map::KeyMap;
use haul::cas::references::{
    BACKUP_SUFFIX, Direction, DiskReplacer, FileSource, FindingsKept, Original, Packed, RealFileSource, Resolver,
    Rewrite,
};
use haul::durable::{DiskEntry, DiskError, EntryKind, RealDisk, WindowError};
use haul::pipeline::{Control, Silent, StopToken};
use rusqlite::Connection;
use serde_json::Value;

use super::{migrated, rewrite};
use crate::support::old_store::OldStore;

/// A database that these statements make, in which `OLD` stands for the old key and `NEW` for the new one.
fn database(store: &OldStore, name: &str, (old, new): (&str, &str), sql: &str) -> PathBuf {
    let path = store.place().join("refs").join(name);
    let sql = sql.replace("OLD", old).replace("NEW", new);
    Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
    path
}

/// The one value of a query.
fn value(path: &Path, query: &str) -> String {
    Connection::open(path).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
}

/// The names in the directory with references.
fn names(store: &OldStore) -> Vec<String> {
    let entries = fs::read_dir(store.place().join("refs")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const TABLES: &str = "
    CREATE TABLE objects (digest TEXT PRIMARY KEY, size INTEGER, raw BLOB, half REAL) WITHOUT ROWID;
    CREATE TABLE refs (id INTEGER PRIMARY KEY, digest TEXT REFERENCES objects (digest), note TEXT,
        scheme TEXT AS ('cas:' || digest) STORED, UNIQUE (digest, note));
    CREATE TABLE \"odd \"\" name\" (rowid TEXT, _rowid_ TEXT, doc BLOB);
    CREATE VIEW recent AS SELECT digest FROM refs;
    INSERT INTO objects VALUES ('OLD', 100, x'OLD', 0.5), ('other', 1, x'00', 2);
    INSERT INTO refs (digest, note) VALUES ('OLD', 'objects/OLD'), ('OLD', NULL), ('other', 'NEW');
    INSERT INTO \"odd \"\" name\" VALUES ('sha256:OLD', 'x', CAST('{\"key\":\"OLD\"}' AS BLOB)), ('x', 'x', x'ff00');
";

/// All values of the tables, in which the keys have names.
fn contents(path: &Path, (old, new): (&str, &str)) -> String {
    let query = "SELECT json_group_array(line) FROM (
        SELECT digest || size || hex(raw) || half || typeof(half) AS line FROM objects
        UNION ALL SELECT id || digest || ifnull(note, '-') || scheme FROM refs
        UNION ALL SELECT \"rowid\" || _rowid_ || hex(doc) || typeof(doc) FROM \"odd \"\" name\")";
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
    let text = value(path, query);
    let named = |text: String, key: &str, name: &str| {
        text.replace(&hex(key), name).replace(&key.to_uppercase(), name).replace(key, name)
    };
    named(named(text, old, "OLD"), new, "NEW")
}

#[test]
fn tables_are_rewritten_on_request_and_the_original_is_kept() {
    let (store, old, new) = migrated();
    let keys = (&*old, &*new);
    let path = database(&store, "app.db", keys, TABLES);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let (before, bytes) = (contents(&path, keys), fs::read(&path).unwrap());
    let refused = rewrite(&store, "").expect(3).json();
    assert_eq!((&refused["files"]["refused"], &refused["references"]["refused"]), (&1.into(), &7.into()), "{refused}");
    assert!(refused["findings"].to_string().contains("--sqlite"), "{refused}");
    let dry = rewrite(&store, "--sqlite --dry-run").expect(0).json();
    assert_eq!((names(&store), fs::read(&path).unwrap() == bytes), (vec!["app.db".to_owned()], true));
    let done = rewrite(&store, "--sqlite").expect(0).json();
    assert_eq!((&dry["references"], &dry["files"]), (&done["references"], &done["files"]));
    assert_eq!((&done["references"]["replaced"], &done["references"]["current"]), (&7.into(), &1.into()), "{done}");
    let expected = before.replace("sha256:OLD", "blake3:OLD").replace("OLD", "NEW");
    assert_eq!(contents(&path, keys), expected);
    assert_eq!(names(&store), ["app.db", "app.db.haul-backup"]);
    let backup = path.with_file_name("app.db.haul-backup");
    assert_eq!(contents(&backup, keys), before);
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o640);
    let again = rewrite(&store, "--sqlite").expect(0).json();
    assert_eq!((&again["files"]["changed"], &again["files"]["unchanged"]), (&0.into(), &1.into()), "{again}");
}

#[test]
fn what_was_rewritten_is_restored_in_reverse() {
    let (store, old, new) = migrated();
    let sql = "CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('OLD'), ('sha256:OLD'), ('objects/x/OLD')";
    let path = database(&store, "app.db", (&old, &new), sql);
    let all = || value(&path, "SELECT group_concat(k) FROM t");
    let before = all();
    rewrite(&store, "--sqlite").expect(0);
    assert_eq!(all(), before.replace("sha256:", "blake3:").replace(&old, &new));
    rewrite(&store, "--sqlite --reverse").expect(0);
    assert_eq!(all(), before);
}

#[test]
fn what_would_follow_a_change_or_is_not_a_row_keeps_a_database_as_it_is() {
    let (store, old, new) = migrated();
    let table = "CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('OLD');";
    let databases = [
        ("CREATE TRIGGER log AFTER UPDATE ON t BEGIN SELECT RAISE(ABORT, 'no'); END;", "trigger log"),
        ("CREATE VIRTUAL TABLE f USING fts5 (k); INSERT INTO f VALUES ('OLD');", "virtual table f"),
        ("CREATE VIEW one AS SELECT * FROM t WHERE k = 'OLD';", "the definition of view one"),
        ("CREATE TABLE u (k UNIQUE); INSERT INTO u VALUES ('NEW'), ('OLD');", "UNIQUE"),
        ("CREATE TABLE c (k CHECK (k LIKE 'sha256:%')); INSERT INTO c VALUES ('sha256:OLD');", "CHECK"),
    ];
    let make = |(number, (sql, reason)): (usize, &(&str, &'static str))| {
        (database(&store, &format!("{number}.db"), (&old, &new), &format!("{table}{sql}")), *reason)
    };
    let paths: Vec<_> = databases.iter().enumerate().map(make).collect();
    let read = || paths.iter().map(|(path, _)| fs::read(path).unwrap()).collect::<Vec<_>>();
    let (before, names_before) = (read(), names(&store));
    // Constraints are only seen when rows change.
    for (options, refused) in [("--sqlite --dry-run", 3), ("--sqlite", 5)] {
        let end = rewrite(&store, options).expect(3).json();
        assert_eq!(end["files"]["refused"], refused, "{options}: {end}");
        let findings = end["findings"].as_array().unwrap();
        for (path, reason) in &paths[..refused] {
            let said = |finding: &Value| {
                path.ends_with(finding["file"].as_str().unwrap())
                    && finding["reason"].as_str().unwrap().contains(reason)
            };
            assert!(findings.iter().any(said), "{options}: {reason}: {end}");
        }
        assert!((read(), names(&store)) == (before.clone(), names_before.clone()), "{options}: {end}");
    }
}

#[test]
fn triggers_that_do_not_run_are_no_obstacle() {
    let (store, old, new) = migrated();
    let sql = "CREATE TABLE t (k TEXT, n); INSERT INTO t VALUES ('OLD', 1);
        CREATE TRIGGER i AFTER INSERT ON t BEGIN SELECT RAISE(ABORT, 'no'); END;
        CREATE TRIGGER u AFTER UPDATE OF n ON t BEGIN SELECT RAISE(ABORT, 'no'); END;";
    let path = database(&store, "app.db", (&old, &new), sql);
    rewrite(&store, "--sqlite").expect(0);
    assert_eq!(value(&path, "SELECT k FROM t"), new);
}

#[test]
fn a_large_blob_hides_nothing_and_a_virtual_table_that_shows_nothing_is_named() {
    let (store, old, new) = migrated();
    let sql = "PRAGMA journal_mode = OFF; CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('OLD');
        CREATE VIRTUAL TABLE unseen USING fts5 (k, content = '');
        CREATE TABLE large (b BLOB); INSERT INTO large VALUES (zeroblob(67108865));";
    let path = database(&store, "app.db", (&old, &new), sql);
    let end = rewrite(&store, "--sqlite --dry-run").expect(0).json();
    assert_eq!(end["references"]["replaced"], 1, "{end}");
    assert!(end["findings"].to_string().contains("unseen"), "{end}");
    Connection::open(&path).unwrap().execute("INSERT INTO large VALUES (?1 || zeroblob(67108865))", [&old]).unwrap();
    let end = rewrite(&store, "--sqlite --dry-run").expect(3).json();
    assert!(end["findings"].to_string().contains("more than 67108864 bytes"), "{end}");
}

#[test]
fn a_database_in_utf16_keeps_its_encoding() {
    let (store, old, new) = migrated();
    let sql = "PRAGMA encoding = 'UTF-16'; CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('é OLD')";
    let path = database(&store, "app.db", (&old, &new), sql);
    rewrite(&store, "--sqlite").expect(0);
    assert_eq!(value(&path, "SELECT k FROM t"), format!("é {new}"));
    assert_eq!(value(&path, "PRAGMA encoding"), "UTF-16le");
}

#[test]
fn a_locked_database_is_refused_and_the_others_are_rewritten() {
    let (store, old, new) = migrated();
    let sql = "CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('OLD')";
    let locked = database(&store, "a.db", (&old, &new), sql);
    let free = database(&store, "b.db", (&old, &new), sql);
    let writer = Connection::open(&locked).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let end = rewrite(&store, "--sqlite").expect(3).json();
    writer.execute_batch("ROLLBACK").unwrap();
    assert!(end["findings"].to_string().contains("another program uses the database"), "{end}");
    assert_eq!((value(&locked, "SELECT k FROM t"), value(&free, "SELECT k FROM t")), (old, new));
    assert_eq!(names(&store), ["a.db", "b.db", "b.db.haul-backup"]);
}

#[test]
fn a_database_with_a_log_is_rewritten_while_its_application_has_it_open() {
    let (store, old, new) = migrated();
    let sql = "PRAGMA journal_mode = WAL; CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('OLD')";
    let closed = database(&store, "closed.db", (&old, &new), sql);
    let open = database(&store, "open.db", (&old, &new), sql);
    let application = Connection::open(&open).unwrap();
    application.execute("INSERT INTO t VALUES (?1)", [&old]).unwrap();
    let before = (fs::read(&closed).unwrap(), names(&store));
    let dry = rewrite(&store, "--sqlite --dry-run").expect(0).json();
    assert_eq!((&dry["references"]["replaced"], &dry["files"]["refused"]), (&3.into(), &0.into()), "{dry}");
    assert_eq!((fs::read(&closed).unwrap(), names(&store)), before, "a dry run leaves no files");
    let done = rewrite(&store, "--sqlite").expect(0).json();
    assert_eq!((&done["references"], &done["files"]), (&dry["references"], &dry["files"]));
    let seen: String = application.query_row("SELECT group_concat(k) FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!((seen, value(&closed, "SELECT k FROM t")), (format!("{new},{new}"), new));
}

#[test]
fn a_copy_of_a_killed_run_is_used_and_another_file_in_its_place_is_not_replaced() {
    let (store, old, new) = migrated();
    let sql = "CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('OLD')";
    let path = database(&store, "app.db", (&old, &new), sql);
    let bytes = fs::read(&path).unwrap();
    let backup = path.with_file_name("app.db.haul-backup");
    fs::write(&backup, b"something else").unwrap();
    let end = rewrite(&store, "--sqlite").expect(3).json();
    assert!(end["findings"].to_string().contains("has other content"), "{end}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
    fs::remove_file(&backup).unwrap();
    rewrite(&store, "--sqlite").expect(0);
    // As after a crash between the copy and the change.
    let kept = fs::read(&backup).unwrap();
    fs::write(&path, &bytes).unwrap();
    rewrite(&store, "--sqlite").expect(0);
    assert_eq!((value(&path, "SELECT k FROM t"), fs::read(&backup).unwrap() == kept), (new, true));
}

#[test]
fn a_transaction_of_a_killed_program_is_undone_first() {
    let (store, old, new) = migrated();
    let sql = "CREATE TABLE t (k TEXT, n TEXT);
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
            INSERT INTO t SELECT 'OLD', printf('%500d', i) FROM n;";
    let path = database(&store, "app.db", (&old, &new), sql);
    let killed = Connection::open(&path).unwrap();
    // Pages of a change that is not committed are in the file.
    killed.execute_batch("PRAGMA cache_size = 2; BEGIN; UPDATE t SET k = 'half', n = n || '!'").unwrap();
    let in_place = store.place().join("refs/killed.db");
    fs::copy(&path, &in_place).unwrap();
    fs::copy(path.with_file_name("app.db-journal"), in_place.with_file_name("killed.db-journal")).unwrap();
    drop(killed);
    fs::remove_file(&path).unwrap();
    let end = rewrite(&store, "--sqlite --dry-run").expect(3).json();
    assert!(end["findings"].to_string().contains("a journal to undo"), "{end}");
    let end = rewrite(&store, "--sqlite").expect(0).json();
    assert_eq!(end["references"]["replaced"], 200, "{end}");
    assert_eq!(value(&in_place, "SELECT group_concat(DISTINCT k) FROM t"), new);
}

/// Files of which one gets a row after it was searched.
struct Growing(String);

/// A database that grows.
struct Grown(Box<dyn Original>, PathBuf, String);

impl FileSource for Growing {
    fn list(&self, directory: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        RealFileSource.list(directory)
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        RealFileSource.kind(path)
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        RealFileSource.canonical(path)
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Original>, DiskError> {
        Ok(Box::new(Grown(RealFileSource.open(path)?, path.to_path_buf(), self.0.clone())))
    }
}

impl Original for Grown {
    fn len_bytes(&self) -> u64 {
        self.0.len_bytes()
    }

    fn names(&self) -> u64 {
        self.0.names()
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), WindowError> {
        self.0.read_exact_at(offset, buffer)
    }

    fn check_unchanged(&self) -> Result<(), WindowError> {
        self.0.check_unchanged()?;
        Connection::open(&self.1).unwrap().execute("INSERT INTO t VALUES (?1)", [&self.2]).unwrap();
        Ok(())
    }
}

#[test]
fn a_database_that_changes_after_the_search_is_refused() {
    let (store, old, new) = migrated();
    let path = database(&store, "app.db", (&old, &new), "CREATE TABLE t (k TEXT); INSERT INTO t VALUES ('OLD')");
    let map = KeyMap::open(&store.paths().map()).unwrap();
    let mut resolver = Resolver::new(&map, Direction::Forward, None).unwrap();
    let files = Growing(old.clone());
    let packed = Packed { sqlite: true, ..Packed::default() };
    let replacer = DiskReplacer(&RealDisk);
    let rewrite = Rewrite { files: &files, replacer: &replacer, backup_suffix: BACKUP_SUFFIX, excluded: &[], packed };
    let (named, stop) = ([path.clone()], StopToken::new());
    let control = Control { stop: &stop, observer: &Silent };
    let end = rewrite.begin(&named).unwrap().run(&mut resolver, FindingsKept::in_memory(), &control).unwrap();
    assert!(end.findings[0].reason.contains("changed while it was being read"), "{end:?}");
    assert_eq!((end.files.refused, end.references.refused), (1, 1));
    assert_eq!(value(&path, "SELECT group_concat(k) FROM t"), format!("{old},{old}"));
    assert_eq!(names(&store), ["app.db"]);
}

#[test]
fn a_damaged_and_an_uninvolved_database_stay_byte_for_byte() {
    let (store, old, new) = migrated();
    let sql = "CREATE TABLE t (k TEXT); INSERT INTO t SELECT 'OLD' FROM json_each('[1,2,3]')";
    let damaged = database(&store, "damaged.db", (&old, &new), sql);
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[4096..4196].fill(0xff);
    fs::write(&damaged, &bytes).unwrap();
    let current = database(&store, "current.db", (&old, &new), &sql.replace("OLD", "NEW"));
    let current_bytes = fs::read(&current).unwrap();
    let unasked = rewrite(&store, "").expect(0).json();
    assert_eq!((&unasked["files"]["skipped"], &unasked["files"]["unchanged"]), (&1.into(), &1.into()), "{unasked}");
    let end: Value = rewrite(&store, "--sqlite").expect(3).json();
    assert_eq!((&end["files"]["refused"], &end["files"]["unchanged"]), (&1.into(), &1.into()), "{end}");
    assert_eq!((fs::read(&damaged).unwrap() == bytes, fs::read(&current).unwrap() == current_bytes), (true, true));
    assert_eq!(names(&store), ["current.db", "damaged.db"]);
}
