//! Sets of CORTEX 1.0 databases, made by this project from the column lists of docs/source-cortex.md.

use std::path::Path;

use rusqlite::Connection;

const TIER1: &str = "
    CREATE TABLE conversations(conversation_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, start_time TEXT NOT NULL, end_time TEXT,
        goal TEXT, outcome TEXT, status TEXT DEFAULT 'active', message_count INTEGER DEFAULT 0, context TEXT);
    CREATE TABLE messages(message_id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL,
        timestamp TEXT NOT NULL, FOREIGN KEY (conversation_id) REFERENCES conversations(conversation_id));
    CREATE TABLE entities(entity_id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT NOT NULL, entity_type TEXT NOT NULL,
        entity_value TEXT NOT NULL, timestamp TEXT NOT NULL,
        FOREIGN KEY (conversation_id) REFERENCES conversations(conversation_id));
    CREATE TABLE files_modified(file_id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT NOT NULL,
        file_path TEXT NOT NULL, operation TEXT NOT NULL, timestamp TEXT NOT NULL,
        FOREIGN KEY (conversation_id) REFERENCES conversations(conversation_id));
    CREATE INDEX idx_msg_conv ON messages(conversation_id);";
const TIER2: &str = "
    CREATE TABLE patterns(id INTEGER PRIMARY KEY AUTOINCREMENT, pattern_id TEXT UNIQUE NOT NULL, title TEXT NOT NULL,
        content TEXT NOT NULL, pattern_type TEXT NOT NULL, confidence REAL DEFAULT 1.0, created_at TIMESTAMP NOT NULL,
        last_accessed TIMESTAMP NOT NULL, access_count INTEGER DEFAULT 0, source TEXT, metadata TEXT, is_pinned INTEGER DEFAULT 0);
    CREATE TABLE pattern_tags(id INTEGER PRIMARY KEY AUTOINCREMENT, pattern_id TEXT NOT NULL, tag TEXT NOT NULL,
        FOREIGN KEY (pattern_id) REFERENCES patterns(pattern_id) ON DELETE CASCADE, UNIQUE (pattern_id, tag));
    CREATE TABLE pattern_relationships(id INTEGER PRIMARY KEY AUTOINCREMENT, from_pattern TEXT NOT NULL, to_pattern TEXT NOT NULL,
        relationship_type TEXT NOT NULL, strength REAL DEFAULT 1.0, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
    CREATE TABLE confidence_decay_log(id INTEGER PRIMARY KEY AUTOINCREMENT, pattern_id TEXT NOT NULL, old_confidence REAL,
        new_confidence REAL, decay_date TIMESTAMP DEFAULT CURRENT_TIMESTAMP, reason TEXT);";
const TIER3: &str = "
    CREATE TABLE context_git_metrics(id INTEGER PRIMARY KEY AUTOINCREMENT, metric_date DATE NOT NULL,
        commits_count INTEGER NOT NULL DEFAULT 0, lines_added INTEGER NOT NULL DEFAULT 0, lines_deleted INTEGER NOT NULL DEFAULT 0,
        net_growth INTEGER NOT NULL DEFAULT 0, files_changed INTEGER NOT NULL DEFAULT 0, contributor TEXT,
        created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, UNIQUE (metric_date, contributor));
    CREATE TABLE context_file_hotspots(id INTEGER PRIMARY KEY AUTOINCREMENT, file_path TEXT NOT NULL, period_start DATE NOT NULL,
        period_end DATE NOT NULL, total_commits INTEGER NOT NULL DEFAULT 0, file_edits INTEGER NOT NULL DEFAULT 0,
        churn_rate REAL NOT NULL, stability TEXT NOT NULL, last_modified TIMESTAMP, lines_changed INTEGER NOT NULL DEFAULT 0,
        created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
        UNIQUE (file_path, period_start, period_end));";

/// Names of the databases of a set.
pub const FILES: [&str; 3] = ["tier1.db", "tier2.db", "tier3.db"];

/// Makes a set with so many conversations, each of so many messages.
pub fn set(directory: &Path, conversations: u32, messages: u32) {
    let numbers =
        |last: u32| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last})");
    let tier1 = format!(
        "{TIER1} {} INSERT INTO conversations(conversation_id, agent_id, start_time, status)
             SELECT printf('c-%06d', i), 'agent', strftime('%Y-%m-%dT%H:%M:%S', 1759300000 + i * 60, 'unixepoch'),
                    iif(i % 3, 'active', 'completed') FROM n;
         {} INSERT INTO messages SELECT printf('m-%06d-%04d', substr(conversation_id, 3), i), conversation_id,
                iif(i % 2, 'user', 'assistant'), 'message ' || i || ' of ' || conversation_id,
                strftime('%Y-%m-%dT%H:%M:%S', start_time, i || ' seconds') FROM conversations, n;",
        numbers(conversations),
        numbers(messages)
    );
    let tier2 = format!(
        "{TIER2} {} INSERT INTO patterns(pattern_id, title, content, pattern_type, created_at, last_accessed)
             SELECT 'p-' || i, 'title ' || i, 'content ' || i, 'workflow', '2025-11-06T12:34:27', '2025-11-06T12:34:27' FROM n;",
        numbers(40)
    );
    let tier3 = format!(
        "{TIER3} {} INSERT INTO context_git_metrics(metric_date, contributor)
             SELECT date(1759300000 + i * 86400, 'unixepoch'), 'x' FROM n;",
        numbers(40)
    );
    for (name, sql) in FILES.iter().zip([tier1, tier2, tier3]) {
        let connection = Connection::open(directory.join(name)).expect("a database");
        connection.execute_batch(&format!("BEGIN; {sql} COMMIT")).expect("its tables");
    }
}

/// What a database is, whatever its pages look like: its tables with all rows of 1.0, and whether it is of 2.0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub old_rows: Vec<String>,
    pub is_new: bool,
}

/// Reads a database of a set.
pub fn content(path: &Path) -> Content {
    let connection = Connection::open(path).expect("a database");
    let old = [
        ("conversations", "conversation_id, agent_id, start_time, end_time, status, message_count"),
        ("messages", "message_id, conversation_id, role, content, timestamp"),
        ("patterns", "pattern_id, title, content, pattern_type, confidence, created_at"),
        ("context_git_metrics", "metric_date, contributor, commits_count"),
    ];
    let has = |name: &str| -> bool {
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = ?1";
        connection.query_row(sql, [name], |row| row.get::<_, i64>(0)).expect("a count") > 0
    };
    let mut old_rows = Vec::new();
    for (table, columns) in old.iter().filter(|(table, _)| has(table)) {
        let quoted: Vec<_> = columns.split(", ").map(|column| format!("quote({column})")).collect();
        let sql = format!("SELECT '{table}|' || {} FROM {table} ORDER BY 1", quoted.join(" || '|' || "));
        let mut statement = connection.prepare(&sql).expect("a query");
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
        old_rows.extend(rows.map(|row| row.expect("a row")));
    }
    let integrity: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
    assert_eq!(integrity, "ok", "{}", path.display());
    Content { old_rows, is_new: has("haul_steps") }
}

/// Reads every database of a set.
pub fn contents(directory: &Path) -> Vec<Content> {
    FILES.iter().map(|name| content(&directory.join(name))).collect()
}
