-- Shape C to B. Columns that B does not have stay behind those that it has.
CREATE TABLE haul_new_conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT UNIQUE NOT NULL,
    title TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    message_count INTEGER DEFAULT 0,
    is_active BOOLEAN DEFAULT 0,
    summary TEXT,
    tags TEXT,
    session_id TEXT,
    last_activity TIMESTAMP,
    workflow_state TEXT,
    task_status TEXT DEFAULT 'open',
    archived INTEGER DEFAULT 0,
    last_action_at TIMESTAMP,
    started TIMESTAMP,
    ended TIMESTAMP,
    intent TEXT,
    outcome TEXT,
    note TEXT,
    source TEXT,
    import_date TIMESTAMP
);

INSERT INTO haul_new_conversations (
    id, conversation_id, title, created_at, updated_at, message_count, is_active, session_id, last_activity,
    task_status, archived, last_action_at, started, ended, intent, outcome, note, source, import_date
)
SELECT
    rowid, conversation_id, title, COALESCE(created_at, started), COALESCE(updated_at, created_at, started),
    message_count, active, session_id, last_action_at,
    task_status, archived, last_action_at, started, ended, intent, outcome, note, source, import_date
FROM conversations
ORDER BY rowid;

DROP TABLE conversations;
ALTER TABLE haul_new_conversations RENAME TO conversations;

-- C has an index of this name on `active`.
CREATE INDEX idx_conversations_active ON conversations(is_active);
