//! CORTEX 2.0 in one layout, on databases that the upgrade to 2.0 has been through.

use rusqlite::Connection;

use super::runner::{Database, upgrade, values};
use crate::pipeline::StopToken;
use crate::upgrade::built_in::{CORTEX, UNIFY};
use crate::upgrade::definition::Definition;
use crate::upgrade::facts::{ForeignKeyState, FtsState, foreign_key_state, fts_state};
use crate::upgrade::rebuild::{apply, changes, digests, pending, step_states};
use crate::upgrade::schema;
use crate::upgrade::set::{Member, Recognised, classify};

const A: &str = "
    CREATE TABLE conversations (conversation_id TEXT PRIMARY KEY, agent_id TEXT NOT NULL, start_time TEXT NOT NULL,
        end_time TEXT, goal TEXT, outcome TEXT, status TEXT DEFAULT 'active', message_count INTEGER DEFAULT 0, context TEXT);
    CREATE TABLE messages (message_id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL, role TEXT NOT NULL,
        content TEXT NOT NULL, timestamp TEXT NOT NULL,
        FOREIGN KEY (conversation_id) REFERENCES conversations(conversation_id));
    CREATE TABLE entities (entity_id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT NOT NULL,
        entity_type TEXT NOT NULL, entity_value TEXT NOT NULL, timestamp TEXT NOT NULL);
    CREATE TABLE conversation_entities (conversation_id TEXT NOT NULL, entity_id INTEGER NOT NULL,
        relevance_score REAL DEFAULT 1.0, PRIMARY KEY (conversation_id, entity_id),
        FOREIGN KEY (conversation_id) REFERENCES conversations(conversation_id),
        FOREIGN KEY (entity_id) REFERENCES entities(id));
    INSERT INTO conversations (conversation_id, agent_id, start_time) VALUES ('a1', 'x', '2026-01-01T10:00:00');
    INSERT INTO entities VALUES (5, 'a1', 'file', 'f', '2026-01-01T10:00:00');
    INSERT INTO conversation_entities VALUES ('a1', 5, 0.5);";
const C: &str = "
    CREATE TABLE conversations (conversation_id TEXT PRIMARY KEY, title TEXT NOT NULL, started TIMESTAMP NOT NULL,
        ended TIMESTAMP, message_count INTEGER DEFAULT 0, active BOOLEAN DEFAULT 1, intent TEXT, outcome TEXT, note TEXT,
        source TEXT, session_id TEXT, import_date TIMESTAMP, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
    CREATE INDEX idx_conversations_active ON conversations(active);
    CREATE INDEX idx_conversations_started ON conversations(started DESC);
    CREATE TABLE messages (id TEXT PRIMARY KEY, conversation_id TEXT NOT NULL, timestamp TIMESTAMP NOT NULL, role TEXT,
        user TEXT, intent TEXT, content TEXT, context_ref TEXT, session_id TEXT,
        created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        FOREIGN KEY (conversation_id) REFERENCES conversations(conversation_id) ON DELETE CASCADE);
    INSERT INTO conversations (conversation_id, title, started, note, created_at) VALUES
        ('c1', 'One', '2026-01-01T10:00:00', 'n', NULL), ('c2', 'Two', '2026-01-02T10:00:00', NULL, '2026-01-03 00:00:00');
    INSERT INTO messages (id, conversation_id, timestamp, role, content) VALUES
        ('m9', 'c2', 1760000000, 'user', 'hello'), ('m1', 'c1', '2026-01-01T10:01:00', NULL, NULL),
        ('m0', 'lost', '2026-01-01T10:02:00', 'user', 'orphan');";
const D: &str = "
    CREATE TABLE conversations (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT UNIQUE NOT NULL,
        timestamp TEXT NOT NULL, user_message TEXT, assistant_response TEXT, context TEXT, metadata TEXT);
    CREATE INDEX idx_conversation_id ON conversations(conversation_id);
    INSERT INTO conversations VALUES (3, 'd3', '1760000000', 'What?', 'That.', NULL, '{}'),
        (8, 'd8', '2026-01-01T10:00:00', NULL, NULL, 'k', NULL);
    DELETE FROM conversations WHERE id = 8;
    INSERT INTO conversations VALUES (4, 'd4', '2026-01-01T10:00:00', NULL, NULL, 'k', NULL);";
const D_MESSAGES: &str = "
    CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id TEXT NOT NULL, role TEXT NOT NULL,
        content TEXT NOT NULL, timestamp TEXT NOT NULL, metadata TEXT,
        FOREIGN KEY (conversation_id) REFERENCES conversations(id));
    INSERT INTO messages VALUES (2, '3', 'user', 'What?', '1760000000', NULL), (7, '99', 'user', 'orphan', 'x', 'm');";
const TIER2: &str = "
    CREATE TABLE patterns (id INTEGER PRIMARY KEY AUTOINCREMENT, pattern_id TEXT UNIQUE NOT NULL, title TEXT NOT NULL,
        content TEXT NOT NULL, pattern_type TEXT NOT NULL, confidence REAL DEFAULT 1.0, created_at TIMESTAMP NOT NULL,
        last_accessed TIMESTAMP NOT NULL, access_count INTEGER DEFAULT 0, source TEXT, metadata TEXT,
        is_pinned INTEGER DEFAULT 0, scope TEXT DEFAULT 'generic' CHECK (scope IN ('generic', 'application')),
        namespaces TEXT DEFAULT '[\"CORTEX-core\"]');
    CREATE TABLE pattern_tags (id INTEGER PRIMARY KEY AUTOINCREMENT, pattern_id TEXT NOT NULL, tag TEXT NOT NULL,
        FOREIGN KEY (pattern_id) REFERENCES patterns(pattern_id) ON DELETE CASCADE);
    CREATE INDEX idx_scope ON patterns(scope);
    CREATE VIRTUAL TABLE pattern_fts USING fts5(pattern_id UNINDEXED, title, content, content='patterns',
        content_rowid='id');
    CREATE TRIGGER patterns_ai AFTER INSERT ON patterns BEGIN
        INSERT INTO pattern_fts(rowid, pattern_id, title, content)
        VALUES (new.id, new.pattern_id, new.title, new.content); END;
    CREATE TRIGGER patterns_ad AFTER DELETE ON patterns BEGIN DELETE FROM pattern_fts WHERE rowid = old.id; END;
    CREATE TRIGGER patterns_au AFTER UPDATE OF title, content ON patterns BEGIN
        UPDATE pattern_fts SET title = new.title, content = new.content WHERE rowid = new.id; END;
    INSERT INTO patterns (pattern_id, title, content, pattern_type, created_at, last_accessed, scope) VALUES
        ('p1', 'apple', 'one', 'workflow', '2026-01-01', '2026-01-01', 'generic'),
        ('p2', 'berry', 'two', 'context', '2026-01-01', '2026-01-01', 'application'),
        ('p3', 'cherry', 'three', 'context', '2026-01-01', '2026-01-01', NULL);
    INSERT INTO pattern_tags (pattern_id, tag) VALUES ('p1', 't');
    UPDATE patterns SET title = 'damson' WHERE id = 2;
    DELETE FROM patterns WHERE id = 3;";
const TIER3: &str = "CREATE TABLE context_git_metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, metric_date DATE NOT NULL,
    commits_count INTEGER, contributor TEXT, created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);";

/// A set of 2.0.
fn set() -> Vec<Database> {
    let cortex = Definition::built_in(CORTEX).expect("a definition");
    let values = values(&cortex, "UTC", None);
    let database = |tier: &str, is_primary: bool, sql: &str| {
        let connection = Connection::open_in_memory().expect("a database");
        connection.pragma_update(None, "foreign_keys", false).expect("keys off");
        connection.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        Database::new(connection, &cortex, tier, is_primary, &values)
    };
    let set = vec![
        database("tier1", true, A),
        database("tier1", false, C),
        database("tier1", false, D),
        database("tier1", false, &format!("{D}{D_MESSAGES}")),
        database("tier2", true, TIER2),
        database("tier3", true, TIER3),
    ];
    upgrade(&cortex, &set);
    set
}

/// Unifies a database. Its shape is found by its columns, as in a plan, and again afterwards.
fn unify(database: &mut Database, definition: &Definition) -> String {
    let key = database.member.key.clone();
    let shape = |connection: &Connection| match classify(connection, definition, None).expect(&key) {
        Recognised::As { shape, .. } => shape,
        other => panic!("{key}: {other:?}"),
    };
    let connection = &mut database.connection;
    let member = Member { shape: shape(connection), ..database.member.clone() };
    let steps = step_states(connection, definition, &member, &[]).expect(&key);
    let rebuilds = pending(connection, definition, &member, &steps).expect(&key);
    let before = digests(connection, &rebuilds).expect(&key);
    schema::apply(connection, definition, &member, &steps, &StopToken::default()).expect(&key);
    for is_new in [true, false] {
        let done = apply(connection, definition, &member, &steps, &StopToken::default()).expect(&key);
        assert_eq!(done.len(), steps.len());
        assert!(done.iter().all(|done| done.is_new == is_new));
        assert_eq!(changes(connection, &rebuilds, &before).expect(&key), Vec::<String>::new());
    }
    assert_eq!(database.text("SELECT integrity_check FROM pragma_integrity_check"), "ok");
    shape(&database.connection)
}

#[test]
fn every_shape_is_brought_to_one_layout() {
    let definition = Definition::built_in(UNIFY).expect("a definition");
    let mut set = set();
    assert!(matches!(foreign_key_state(&set[0].connection), Ok(ForeignKeyState::Mismatch(_))));
    assert!(matches!(fts_state(&set[4].connection).expect("fts")["pattern_fts"], FtsState::Inconsistent(_)));
    let shapes: Vec<_> = set.iter_mut().map(|database| unify(database, &definition)).collect();
    assert_eq!(shapes, ["A", "B", "B", "B", "scoped", "metrics"]);
    let violations = |database: &Database| match foreign_key_state(&database.connection).expect("keys") {
        ForeignKeyState::Violations(violations) => violations.values().sum::<u64>(),
        ForeignKeyState::Mismatch(what) => panic!("{what}"),
    };
    assert_eq!(set.iter().map(violations).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 0], "orphans stay");

    let [a, c, d, d_messages, tier2, _] = &set[..] else { panic!("six files") };
    assert_eq!(a.text("SELECT conversation_id || entity_id || relevance_score FROM conversation_entities"), "a150.5");
    let conversations = "SELECT group_concat(id || conversation_id || is_active || created_at) FROM conversations";
    assert_eq!(c.text(conversations), "1c112026-01-01T10:00:00,2c212026-01-03 00:00:00");
    let messages = "SELECT group_concat(id || message_key || role || content || timestamp, ' ') FROM messages";
    assert_eq!(
        c.text(messages),
        "1m9userhello1760000000 2m1unknown2026-01-01T10:01:00 3m0userorphan2026-01-01T10:02:00"
    );
    let indexes = "SELECT group_concat(name, ' ' ORDER BY name) FROM sqlite_schema WHERE type = 'index' \
                   AND tbl_name = 'conversations' AND sql IS NOT NULL";
    assert_eq!(c.text(indexes), "idx_conversations_active idx_conversations_archived_recent idx_conversations_started");
    for database in [d, d_messages] {
        assert_eq!(
            database.text("SELECT group_concat(id || title || created_at) FROM conversations"),
            "3What?1760000000,4d42026-01-01T10:00:00"
        );
        assert_eq!(database.text("SELECT typeof(created_at) FROM conversations WHERE id = 3"), "text");
        assert_eq!(database.text("SELECT seq FROM sqlite_sequence WHERE name = 'conversations'"), "8");
    }
    assert!(!d.has_table("messages"));
    assert_eq!(
        d_messages.text("SELECT group_concat(id || conversation_id || timestamp) FROM messages"),
        "2d31760000000,799x"
    );
    assert_eq!(d_messages.text("SELECT group_concat(message_count) FROM conversations"), "1,0");
    assert_eq!(tier2.text("SELECT group_concat(id || scope, ' ' ORDER BY id) FROM patterns"), "1cortex 2application");
    assert_eq!(tier2.text("SELECT seq FROM sqlite_sequence WHERE name = 'patterns'"), "3");
}

#[test]
fn the_new_triggers_keep_the_index_right() {
    let definition = Definition::built_in(UNIFY).expect("a definition");
    let mut tier2 = set().remove(4);
    unify(&mut tier2, &definition);
    let hits = |word: &str| tier2.text(&format!("SELECT count(*) FROM pattern_fts('{word}')"));
    for (change, word, expected) in [
        ("SELECT 1", "damson", "1"),
        ("UPDATE patterns SET title = 'elder', access_count = 3 WHERE id = 2", "damson", "0"),
        ("UPDATE patterns SET id = 20 WHERE id = 2", "elder", "1"),
        ("DELETE FROM patterns WHERE id = 20", "elder", "0"),
        (
            "INSERT INTO patterns (pattern_id, title, content, pattern_type, created_at, last_accessed) \
          VALUES ('p9', 'fig', 'nine', 'workflow', '2026-01-01', '2026-01-01')",
            "fig",
            "1",
        ),
    ] {
        tier2.run(change);
        assert_eq!(hits(word), expected, "{change}");
        assert_eq!(fts_state(&tier2.connection).expect("fts")["pattern_fts"], FtsState::Consistent, "{change}");
    }
    assert_eq!(tier2.text("SELECT scope FROM patterns WHERE pattern_id = 'p9'"), "cortex");
}

#[test]
fn databases_of_1_0_are_not_known_to_it() {
    let definition = Definition::built_in(UNIFY).expect("a definition");
    for sql in [A, C, D] {
        let connection = Connection::open_in_memory().expect("a database");
        connection.pragma_update(None, "foreign_keys", false).expect("keys off");
        connection.execute_batch(sql).expect(sql);
        assert!(matches!(classify(&connection, &definition, None), Ok(Recognised::Unknown(_))));
    }
}
