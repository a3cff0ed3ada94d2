//! Groups on real databases.

use rusqlite::Connection;

use super::test_definition::{definition, member, script, with_groups};
use super::{apply, step_states, tracking};
use crate::migration::Error;
use crate::pipeline::StopToken;
use crate::upgrade::definition::{Definition, Files, Group};
use crate::upgrade::plan::{PlannedStep, StepState};

const OLD: &str = "CREATE TABLE old (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO old VALUES (1, 'a'), (2, 'b'); \
                   CREATE TABLE child (old_id REFERENCES missing(id)); INSERT INTO child VALUES (7);";
const FIRST: &str = "CREATE TABLE IF NOT EXISTS plugins (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);\n\
                     CREATE INDEX IF NOT EXISTS idx_name ON plugins (name, id DESC);";
const SECOND: &str = "ALTER TABLE old ADD COLUMN state TEXT DEFAULT 'open';\nALTER TABLE old ADD COLUMN archived INTEGER DEFAULT 0;\n\
                      CREATE INDEX idx_state ON old (state, archived DESC);";

fn database(sql: &str) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    connection.execute_batch(sql).unwrap();
    connection
}

fn two_groups() -> Definition {
    with_groups(&[("001_first", FIRST), ("002_second", SECOND)])
}

fn run(connection: &mut Connection, definition: &Definition) -> Result<super::SchemaDone, Error> {
    apply(connection, definition, &member(), &[], &StopToken::new())
}

fn text(connection: &Connection, sql: &str) -> String {
    connection.query_row(sql, [], |row| row.get::<_, Option<String>>(0)).unwrap().unwrap_or_default()
}

fn migrations(connection: &Connection) -> String {
    text(connection, "SELECT group_concat(name || ' ' || success, ', ') FROM migrations")
}

fn objects(connection: &Connection) -> String {
    text(connection, "SELECT group_concat(name, ' ') FROM (SELECT name FROM sqlite_schema ORDER BY name)")
}

fn states(connection: &Connection, definition: &Definition) -> Vec<StepState> {
    step_states(connection, definition, &member()).unwrap().into_iter().map(|step| step.state).collect()
}

#[test]
fn groups_are_applied_once_and_recorded() {
    let (mut connection, definition) = (database(OLD), two_groups());
    assert_eq!(states(&connection, &definition), [StepState::Pending; 2]);
    let done = run(&mut connection, &definition).unwrap();
    assert!(done.groups.iter().all(|group| group.is_new));
    assert_eq!(done.groups[0].actions, ["create table plugins", "create index idx_name"]);
    assert_eq!(migrations(&connection), "001_first 1, 002_second 1");
    let columns = "SELECT group_concat(name || ' ' || dflt_value, ', ') FROM pragma_table_info('old') WHERE cid > 1";
    assert_eq!(text(&connection, columns), "state 'open', archived 0");
    let sql = "SELECT group_concat(name || (length(checksum) = 64) || (schema_before <> schema_after)) FROM haul_steps";
    assert_eq!(text(&connection, sql), "001_first11,002_second11");
    assert_eq!(states(&connection, &definition), [StepState::Applied; 2]);
    let before = objects(&connection);
    let again = run(&mut connection, &definition).unwrap();
    assert!(again.groups.iter().all(|group| !group.is_new));
    assert!(again.groups[1].actions[2] == "skip index idx_state: it is there", "{again:?}");
    assert_eq!((objects(&connection), migrations(&connection).as_str()), (before, "001_first 1, 002_second 1"));
}

#[test]
fn a_failing_statement_rolls_its_group_back_and_a_rerun_resumes() {
    // The copy of the schema has no rows, so only the database itself can refuse this key.
    let unique = "CREATE TABLE more (a);\nCREATE UNIQUE INDEX uq ON old (lower(name));";
    let definition = with_groups(&[("001_first", FIRST), ("002_unique", unique)]);
    let mut connection = database(OLD);
    connection.execute_batch("INSERT INTO old VALUES (3, 'A')").unwrap();
    let error = run(&mut connection, &definition).unwrap_err();
    assert_eq!(error.exit_code(), 65, "{error}");
    assert!(error.to_string().contains("a.db: schema: 002_unique.sql line 2: index uq: UNIQUE"), "{error}");
    assert!(error.next_step().unwrap().contains("haul upgrade schema"));
    assert!(connection.is_autocommit());
    assert_eq!(migrations(&connection), "001_first 1, 002_unique 0");
    assert!(text(&connection, "SELECT error_message FROM migrations WHERE success = 0").contains("UNIQUE"));
    assert!(!objects(&connection).contains("more"));
    assert_eq!(text(&connection, "SELECT group_concat(name) FROM haul_steps"), "001_first");
    connection.execute_batch("DELETE FROM old WHERE id = 3").unwrap();
    let done = run(&mut connection, &definition).unwrap();
    assert_eq!(done.groups.iter().map(|group| group.is_new).collect::<Vec<_>>(), [false, true]);
    assert_eq!(migrations(&connection), "001_first 1, 002_unique 0, 002_unique 1");
}

#[test]
fn changed_scripts_of_an_applied_group_and_a_foreign_plan_are_refused() {
    let mut connection = database(OLD);
    run(&mut connection, &two_groups()).unwrap();
    let changed = with_groups(&[("001_first", &format!("{FIRST} -- edited")), ("002_second", SECOND)]);
    let error = run(&mut connection, &changed).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("group 001_first was applied with other scripts"), "{error}");
    assert_eq!(states(&connection, &changed), [StepState::Drifted, StepState::Applied]);

    let mut connection = database(OLD);
    let mut planned: Vec<PlannedStep> = step_states(&connection, &two_groups(), &member()).unwrap();
    planned[1].sha256 = "0".repeat(64);
    let error = apply(&mut connection, &two_groups(), &member(), &planned, &StopToken::new()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(!objects(&connection).contains("plugins"));
}

#[test]
fn a_taken_index_name_gets_a_number() {
    let taken = format!("{OLD} CREATE INDEX idx_state ON old (name); CREATE INDEX idx_state_2 ON old (id, name)");
    let mut connection = database(&taken);
    let planned = step_states(&connection, &two_groups(), &member()).unwrap();
    assert_eq!(planned[1].actions[2], "create index idx_state as idx_state_3: the name is taken");
    run(&mut connection, &two_groups()).unwrap();
    let sql = "SELECT sql FROM sqlite_schema WHERE name = 'idx_state_3'";
    assert_eq!(text(&connection, sql), "CREATE INDEX \"idx_state_3\" ON old (state, archived DESC)");
    let done = run(&mut connection, &two_groups()).unwrap();
    assert_eq!(done.groups[1].actions[2], "skip index idx_state: it is there as idx_state_3");
}

#[test]
fn a_table_with_another_definition_is_a_conflict() {
    for (foreign, what) in [
        (
            "CREATE TABLE plugins (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL)",
            "it lacks unique (name binary)",
        ),
        ("CREATE TABLE Plugins (plugin_path TEXT)", "it has column plugin_path text at 1, and lacks"),
        ("CREATE VIEW plugins AS SELECT 1 AS id", "it is of the kind view, not table"),
    ] {
        let mut connection = database(&format!("{OLD} {foreign};"));
        let before = objects(&connection);
        let planned = step_states(&connection, &two_groups(), &member()).unwrap();
        let start = format!("conflict: table plugins: it exists with another definition: {what}");
        assert!(planned[0].actions[0].starts_with(&start), "{:?}", planned[0].actions);
        let error = run(&mut connection, &two_groups()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("001_first.sql line 1"), "{error}");
        assert_eq!(objects(&connection), before);
    }
}

#[test]
fn a_half_applied_attempt_is_recognised() {
    let loose = "CREATE TABLE migrations (id INTEGER PRIMARY KEY, name, applied_at, checksum, success, error_message); \
                 INSERT INTO migrations (name, success) VALUES ('002', 0); \
                 ALTER TABLE old ADD COLUMN \"State\" text DEFAULT 'open';";
    let mut connection = database(&format!("{OLD} {loose}"));
    let done = run(&mut connection, &two_groups()).unwrap();
    let expected = ["skip column old.state: it is there", "add column old.archived", "create index idx_state"];
    assert_eq!(done.groups[1].actions, expected);
    assert_eq!(migrations(&connection), "002 0, 001_first 1, 002_second 1");
    let mut connection = database(&format!("{OLD} ALTER TABLE old ADD COLUMN state TEXT DEFAULT 'closed';"));
    let error = run(&mut connection, &two_groups()).unwrap_err();
    assert!(error.to_string().contains("it lacks column state text default 'open'"), "{error}");
}

#[test]
fn a_new_table_may_get_its_later_columns_before() {
    let grown = with_groups(&[("001", "CREATE TABLE n (a INTEGER);"), ("002", "ALTER TABLE n ADD COLUMN b TEXT;")]);
    for existing in ["CREATE TABLE n (a INTEGER);", "CREATE TABLE n (a INTEGER, b TEXT);", ""] {
        let mut connection = database(&format!("{OLD} {existing}"));
        for _ in 0..2 {
            run(&mut connection, &grown).unwrap();
        }
    }
}

#[test]
fn a_statement_cannot_leave_its_transaction() {
    for trick in ["CREATE TABLE n (a); COMMIT; CREATE TABLE m (a)", "CREATE TABLE n (a); CREATE TABLE m (a)"] {
        let mut definition = two_groups();
        definition.groups[1].parsed[0].statements[0].text = trick.to_owned();
        let mut connection = database(OLD);
        let error = run(&mut connection, &definition).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(!objects(&connection).contains(" n "), "{}", objects(&connection));
    }
    for refused in ["DROP TABLE old", "INSERT INTO old VALUES (9, 'x')", "PRAGMA user_version = 3", "COMMIT"] {
        let definition = with_groups(&[("001", refused)]);
        let mut connection = database(OLD);
        let error = run(&mut connection, &definition).unwrap_err();
        assert!(error.to_string().contains("001.sql line 1: a script may not hold this statement"), "{error}");
    }
}

#[test]
fn a_full_database_ends_the_group_and_not_the_transaction_twice() {
    let directory = tempfile::tempdir().unwrap();
    let mut connection = Connection::open(directory.path().join("a.db")).unwrap();
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {OLD}")).unwrap();
    let many: String = (0..200).map(|n| format!("CREATE TABLE n{n} (a);\n")).collect();
    connection.pragma_update(None, "max_page_count", 40).unwrap();
    let error = run(&mut connection, &with_groups(&[("001", &many)])).unwrap_err();
    assert_eq!(error.exit_code(), 75, "{error}");
    assert!(connection.is_autocommit());
    assert_eq!(migrations(&connection), "001 0");
    connection.pragma_update(None, "max_page_count", 4000).unwrap();
    run(&mut connection, &with_groups(&[("001", &many)])).unwrap();
}

#[test]
fn groups_reach_the_files_that_they_name_alone() {
    let mut every = script("all.sql", "ALTER TABLE old ADD COLUMN state TEXT;");
    (every.files, every.table) = (Files::All, Some("old".into()));
    let mut absent = script("absent.sql", "ALTER TABLE gone ADD COLUMN state TEXT;");
    absent.table = Some("gone".into());
    let group = |name: &str, script| Group { name: name.into(), scripts: Vec::new(), parsed: vec![script] };
    let groups = vec![group("all", every), group("primary", script("p.sql", FIRST)), group("absent", absent)];
    let definition = Definition { groups, ..definition() };
    let names = |is_primary: bool, tier: &str| {
        let mut member = member();
        (member.is_primary, member.tier) = (is_primary, tier.into());
        let steps = step_states(&database(OLD), &definition, &member).unwrap();
        steps.into_iter().map(|step| step.name).collect::<Vec<_>>()
    };
    assert_eq!(names(true, "t"), ["all", "primary"]);
    assert_eq!(names(false, "t"), ["all"]);
    assert!(names(true, "other").is_empty());
}

#[test]
fn a_stop_is_looked_at_between_groups() {
    let (mut connection, stop) = (database(OLD), StopToken::new());
    stop.request();
    let error = apply(&mut connection, &two_groups(), &member(), &[], &stop).unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }));
    assert!(tracking::applied(&connection).unwrap().is_empty());
    assert_eq!(
        objects(&connection),
        "child haul_progress haul_steps migrations old sqlite_autoindex_haul_progress_1 sqlite_autoindex_haul_steps_1 sqlite_sequence"
    );
}

#[test]
fn other_encodings_and_small_pages_make_no_difference() {
    for pragma in ["encoding = 'UTF-16le'", "encoding = 'UTF-16be'", "page_size = 1024", "auto_vacuum = FULL"] {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = Connection::open(directory.path().join("a.db")).unwrap();
        connection.execute_batch(&format!("PRAGMA {pragma}; PRAGMA foreign_keys = OFF; {OLD}")).unwrap();
        run(&mut connection, &two_groups()).unwrap();
        assert_eq!(migrations(&connection), "001_first 1, 002_second 1", "{pragma}");
        assert_eq!(text(&connection, "PRAGMA integrity_check"), "ok");
        assert!(run(&mut connection, &two_groups()).unwrap().groups.iter().all(|group| !group.is_new));
    }
}

#[test]
fn full_text_indexes_views_and_triggers_are_made() {
    let text = "CREATE VIRTUAL TABLE f USING fts5(name, content='old', content_rowid='id');\n\
                CREATE VIEW v AS SELECT name FROM old;\n\
                CREATE TRIGGER r AFTER INSERT ON old BEGIN INSERT INTO f(rowid, name) VALUES (new.id, new.name); END;";
    let mut connection = database(OLD);
    let definition = with_groups(&[("001", text)]);
    run(&mut connection, &definition).unwrap();
    connection.execute_batch("INSERT INTO old VALUES (9, 'word')").unwrap();
    let done = run(&mut connection, &definition).unwrap();
    assert!(done.groups[0].actions.iter().all(|action| action.starts_with("skip ")), "{done:?}");
}
