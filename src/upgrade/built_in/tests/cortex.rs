//! CORTEX 1.0 to 2.0 on small databases with known answers.

use rusqlite::Connection;

use super::runner::{Database, groups, shapes, upgrade, values};
use crate::upgrade::definition::{Definition, ShapeSql};

fn cortex() -> Definition {
    Definition::built_in("cortex-2.0").expect("the upgrade")
}

const MESSAGES: &str = "conversation_id TEXT NOT NULL, role TEXT, content TEXT, timestamp TIMESTAMP";
const TIER2: &str =
    "CREATE TABLE patterns (id INTEGER PRIMARY KEY, pattern_id TEXT, title TEXT, content TEXT, confidence REAL,
    created_at TIMESTAMP, last_accessed TIMESTAMP, scope TEXT);
    CREATE VIRTUAL TABLE pattern_fts USING fts5(pattern_id, title, content, content='patterns', content_rowid='id');
    INSERT INTO patterns VALUES (1, 'p1', 't', 'cache', 0.5, '2020-01-01 00:00:00', NULL, 'generic'),
        (2, 'p2', 't', 'test', 0.5, '2026-01-01 00:00:00', NULL, 'generic');
    INSERT INTO pattern_fts(pattern_fts) VALUES ('rebuild');";
const TIER3: &str = "CREATE TABLE context_git_metrics (id INTEGER PRIMARY KEY, metric_date DATE, contributor TEXT);
    INSERT INTO context_git_metrics (metric_date) VALUES ('2020-01-01'), ('2026-01-01');
    CREATE TABLE work_sessions (session_id TEXT, task_description TEXT, started_at TIMESTAMP);";

/// The columns of `conversations` and the key of `messages`, by shape.
const SHAPES: [(&str, &str, &str); 8] = [
    (
        "A",
        "conversation_id TEXT PRIMARY KEY, agent_id TEXT, start_time TEXT, end_time TEXT, goal TEXT, status TEXT",
        "message_id TEXT PRIMARY KEY",
    ),
    (
        "B",
        "id INTEGER PRIMARY KEY, conversation_id TEXT UNIQUE, title TEXT, created_at TIMESTAMP, updated_at TIMESTAMP, is_active \
         BOOLEAN, session_id TEXT, last_activity TIMESTAMP",
        "id INTEGER PRIMARY KEY",
    ),
    (
        "B-without-sessions",
        "id INTEGER PRIMARY KEY, conversation_id TEXT UNIQUE, title TEXT, created_at TIMESTAMP, updated_at TIMESTAMP, is_active \
         BOOLEAN",
        "id INTEGER PRIMARY KEY",
    ),
    (
        "C",
        "conversation_id TEXT PRIMARY KEY, title TEXT, started TIMESTAMP, ended TIMESTAMP, active BOOLEAN, session_id TEXT, \
         created_at TIMESTAMP, updated_at TIMESTAMP",
        "id TEXT PRIMARY KEY",
    ),
    (
        "D",
        "id INTEGER PRIMARY KEY, conversation_id TEXT UNIQUE, timestamp TEXT, user_message TEXT",
        "id INTEGER PRIMARY KEY",
    ),
    ("E", "id INTEGER PRIMARY KEY, timestamp TEXT, prompt TEXT", "id INTEGER PRIMARY KEY"),
    ("F", "", ""),
    (
        "G",
        "conversation_id TEXT PRIMARY KEY, agent_id TEXT, start_time TEXT, end_time TEXT, goal TEXT, status TEXT, created_at \
         TEXT, updated_at TEXT",
        "message_id TEXT PRIMARY KEY",
    ),
];

fn tier1(shape: &str) -> String {
    let (_, conversations, key) = SHAPES.iter().find(|(name, ..)| *name == shape).expect("a shape");
    let sessions = "CREATE TABLE work_sessions (session_id TEXT, task_description TEXT, started_at TIMESTAMP);";
    match shape {
        "F" => sessions.into(),
        // Some files have tables of other shapes too.
        "B" => format!(
            "CREATE TABLE conversations ({conversations}); CREATE TABLE messages ({key}, {MESSAGES}); {sessions}"
        ),
        _ => format!("CREATE TABLE conversations ({conversations}); CREATE TABLE messages ({key}, {MESSAGES});"),
    }
}

fn database(sql: &str, tier: &str, zone: &str, plugins: Option<&str>) -> Database {
    let connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch(sql).expect(sql);
    let definition = cortex();
    Database::new(connection, &definition, tier, true, &values(&definition, zone, plugins))
}

fn set(shape: &str, rows: &str, plugins: Option<&str>) -> Vec<Database> {
    vec![
        database(&(tier1(shape) + rows), "tier1", "-05:00", plugins),
        database(TIER2, "tier2", "-05:00", plugins),
        database(TIER3, "tier3", "-05:00", plugins),
    ]
}

#[test]
fn each_shape_is_recognised_and_no_other() {
    for (shape, ..) in SHAPES {
        assert_eq!(database(&tier1(shape), "tier1", "UTC", None).member.shape, shape);
    }
    assert_eq!(database(TIER2, "tier2", "UTC", None).member.shape, "scoped");
    let without = TIER2.replace(", scope TEXT", "").replace(", 'generic'", "");
    assert_eq!(database(&without, "tier2", "UTC", None).member.shape, "unscoped");
    assert_eq!(database(TIER3, "tier3", "UTC", None).member.shape, "metrics");
    for other in ["CREATE TABLE conversations (id, title)", "CREATE TABLE patterns (id, pattern)", "CREATE TABLE t (a)"]
    {
        let connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch(other).expect(other);
        assert_eq!(shapes(&connection, &cortex()), [], "{other}");
    }
}

#[test]
fn every_shape_gets_16_tables_and_their_indexes_and_every_query_runs() {
    let definition = cortex();
    for (shape, ..) in SHAPES {
        let set = set(shape, "", Some("[]"));
        let written = upgrade(&definition, &set);
        assert_eq!((written["retention_policy_snapshots"], written["provenance_links"]), (3, 1), "{shape}");
        let count = |of: &str| -> i64 {
            let sql = format!("SELECT count(*) FROM main.sqlite_schema WHERE {of}");
            set.iter().map(|database| database.text(&sql).parse::<i64>().expect("a number")).sum()
        };
        let names: Vec<_> = definition.groups.iter().flat_map(|group| &group.parsed).collect();
        let statements = |begin: &str| {
            let all = names.iter().flat_map(|script| &script.statements);
            all.filter(|statement| statement.text.starts_with(begin)).count() as i64
        };
        assert_eq!(statements("CREATE TABLE"), 16);
        let has_conversations = i64::from(shape != "F");
        assert_eq!(count("type = 'index' AND name LIKE 'idx!_%' ESCAPE '!'"), 22 + has_conversations, "{shape}");
        assert_eq!(count("type = 'index' AND name LIKE 'uq!_%' ESCAPE '!'"), 2);
        for database in &set {
            run_queries(&definition, database);
        }
    }
}

/// Runs what later phases ask, to see that it is SQL for these tables.
fn run_queries(definition: &Definition, database: &Database) {
    let of_tier = |tier: &str| tier == database.member.tier;
    for expectation in definition.expectations.iter().filter(|of| of_tier(&of.tier)) {
        let value: i64 = database.text(&expectation.sql).parse().expect("a number");
        let (min, max) = (expectation.min.unwrap_or(i64::MIN), expectation.max.unwrap_or(i64::MAX));
        assert!((min..=max).contains(&value), "{}: {value}", expectation.name);
    }
    for query in definition.queries.iter().filter(|of| of_tier(&of.tier)) {
        if let Some(sql) = ShapeSql::of_shape(&query.selects, &database.member.shape) {
            database.run(sql);
        }
    }
    let metrics = definition.flags.iter().filter_map(|flag| flag.metric.as_ref());
    for metric in metrics.filter(|of| of_tier(&of.tier)) {
        assert!(database.text(&metric.sql).parse::<f64>().expect("a number") <= metric.max.unwrap_or(0) as f64);
    }
    for monitor in definition.monitors.iter().filter(|of| of_tier(&of.tier)) {
        let value: f64 = database.connection.query_row(&monitor.sql, [], |row| row.get(0)).expect(&monitor.sql);
        assert!(value <= monitor.max || monitor.sample_min > 0, "{}: {value}", monitor.name);
    }
    for retention in definition.retention.iter().filter(|of| of_tier(&of.tier)) {
        let (table, expired) = (&retention.table, &retention.expired);
        let archive = if retention.archive.is_empty() { "false" } else { &retention.archive };
        let sql = format!("SELECT count(*) FROM {table} WHERE ({expired}) AND ({archive})");
        assert_eq!(database.text(&sql), "0", "{table}");
        if !retention.summary.is_empty() {
            database.run(&retention.summary.replace("{expired}", expired));
        }
    }
}

#[test]
fn the_last_turns_of_active_sessions_are_taken_in_the_order_of_instants() {
    let rows = "INSERT INTO conversations (id, conversation_id, title, is_active, session_id, created_at) VALUES
            (1, 'c1', '', 1, 's', '2025-01-01 00:00:00'), (2, 'c2', '', 1, 's', '2025-01-02T00:00:00'),
            (3, 'c3', '', 0, 's', NULL), (4, 'c4', '', 1, '', 1750000000), (5, 'c5', '', 1, 'only', 'soon');
        INSERT INTO messages (id, conversation_id, role, content, timestamp) VALUES
            (1, 'c1', 'user', 'third', '2025-03-01 10:00:00'), (2, 'c2', NULL, 'second', '2025-03-01T04:59:59.5'),
            (3, 'c2', 'user', 'first', 'unknown'), (4, 'c3', 'user', 'of one that is not active', '2025-03-01 10:00:00'),
            (5, 'c4', 'user', printf('%.200c', 'x'), '2025-03-01 10:00:00'), (6, 'gone', 'user', 'lost', '2025-03-01 10:00:00');
        WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 60)
        INSERT INTO messages SELECT 100 + i, 'c5', 'user', i, printf('2025-03-01 10:%02d:00', i % 60) FROM k;";
    let set = set("B", rows, None);
    let written = upgrade(&cortex(), &set);
    assert_eq!((written["conversation_actions"], written["plugins"]), (3 + 1 + 50, 0));
    let list =
        "SELECT group_concat(turn_number || ' ' || description || ' ' || created_at, '; ') FROM conversation_actions";
    assert_eq!(
        set[0].text(&format!("{list} WHERE session_id = 's'")),
        "1 first 2026-02-01 00:00:00; 2 second 2025-03-01 09:59:59.500000; 3 third 2025-03-01 10:00:00"
    );
    assert_eq!(set[0].text("SELECT length(description) FROM conversation_actions WHERE session_id = 'c4'"), "120");
    let turns =
        "SELECT min(turn_number) || '-' || max(turn_number) FROM conversation_actions WHERE session_id = 'only'";
    assert_eq!(set[0].text(turns), "11-60");
    assert_eq!(
        set[0].text("SELECT metadata_json FROM conversation_actions WHERE description = 'second'"),
        r#"{"synthetic":1,"message_id":2,"role":null,"source_timestamp":"2025-03-01T04:59:59.5"}"#
    );
    let state =
        "SELECT group_concat(id || ' ' || task_status || archived || ' ' || COALESCE(last_action_at, '-'), '; ')
                 FROM (SELECT * FROM conversations ORDER BY id)";
    assert_eq!(
        set[0].text(state),
        "1 open0 2025-03-01 10:00:00; 2 open0 2025-03-01 09:59:59.500000; 3 open0 2025-03-01 10:00:00; \
         4 open0 2025-03-01 10:00:00; 5 open0 2025-03-01 10:59:00"
    );
}

#[test]
fn values_of_an_earlier_attempt_stay() {
    let rows = "INSERT INTO conversations (conversation_id, status, start_time, end_time) VALUES
            ('c1', 'completed', '2025-01-01T00:00:00', '2025-01-02T00:00:00'), ('c2', 'active', '2025-01-01T00:00:00', NULL);";
    let database = database(&(tier1("A") + rows), "tier1", "UTC", None);
    groups(&cortex(), &database);
    database.run(
        "UPDATE conversations SET task_status = 'blocked', last_action_at = '2024-01-01 00:00:00' WHERE rowid = 1",
    );
    let mut definition = cortex();
    definition.groups.clear();
    let written = upgrade(&definition, &[database]);
    assert_eq!(written["conversations"], 1);
}

#[test]
fn plugins_come_from_the_list_and_the_last_of_one_id_counts() {
    let list = r#"[
        {"plugin_id":"a","name":"A","version":"1","category":"testing","priority":1},
        {"plugin_id":"b","name":"B","version":"2","category":"workflow","priority":2,"hooks":["x"],"enabled":false},
        {"plugin_id":"a","name":"A2","version":"1","category":"testing","priority":1}
    ]"#;
    let set = set("A", "", Some(list));
    let written = upgrade(&cortex(), &set);
    assert_eq!(written["plugins"], 2);
    let all = "SELECT group_concat(plugin_id || name || COALESCE(hooks, '-') || enabled, ' ') FROM plugins";
    assert_eq!(set[0].text(all), "bB[\"x\"]0 aA2-1");
    assert_eq!(set[0].text("SELECT count(*) FROM health_issues WHERE title = 'no plugin list'"), "0");
}

#[test]
fn retention_counts_what_is_over_the_limits() {
    let rows = "WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 25)
        INSERT INTO conversations (conversation_id, status, start_time)
        SELECT 'c' || i, 'active', CASE WHEN i <= 4 THEN '2025-12-01T00:00:00' ELSE '2026-01-20T00:00:00' END FROM k;";
    let set = set("A", rows, None);
    upgrade(&cortex(), &set);
    let all =
        "SELECT group_concat(tier || ' ' || violations_count || ' ' || age_violations || ' ' || count_violations, '; ')
               FROM retention_policy_snapshots";
    assert_eq!(set[0].text(all), "tier1 9 4 5; tier2 1 1 0; tier3 1 1 0");
    assert_eq!(
        set[0].text("SELECT group_concat(policy_json, ' ') FROM retention_policy_snapshots WHERE tier <> 'tier1'"),
        r#"{"retention_days":180,"max_records":10000,"prune_below":0.3} {"retention_days":730,"max_records":null,"prune_below":null}"#
    );
}

#[test]
fn the_health_report_weighs_what_was_found() {
    let definition = cortex();
    let scored = |changes: &str| {
        let set = set("A", "", None);
        upgrade(&definition, &set);
        let database = &set[0];
        database.run("DELETE FROM health_issues; DELETE FROM health_reports; DROP TABLE temp.haul_rows;");
        database.run(&format!("UPDATE temp.haul_files SET {changes}"));
        let backfill =
            definition.backfills.iter().find(|backfill| backfill.name == "health_reports").expect("a backfill");
        let rows = backfill.rows_for("A").expect("rows");
        database.text(&format!(
            "SELECT printf('%s %.3f %.3f %.3f', overall_status, overall_score, database_score, storage_score) FROM ({rows})"
        ))
    };
    assert_eq!(scored("free_pages = 0"), "excellent 1.000 1.000 1.000");
    assert_eq!(scored("free_pages = 10"), "excellent 0.990 1.000 0.900");
    assert_eq!(scored("free_pages = 25"), "excellent 0.938 0.850 0.750");
    assert_eq!(scored("free_pages = 31"), "good 0.857 0.550 0.690");
    assert_eq!(scored("free_pages = 0, foreign_key_findings = 9, fts_inconsistent = 1"), "excellent 0.900 0.600 1.000");
    assert_eq!(scored("free_pages = 0, integrity_ok = 0"), "good 0.750 0.000 1.000");
}
