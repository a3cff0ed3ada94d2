-- Shape D to B. D's texts stay behind the columns of B. Its times are text, and stay so, as a column of type TIMESTAMP
-- would turn digits into numbers.
CREATE TABLE haul_new_conversations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT UNIQUE NOT NULL,
    title TEXT NOT NULL,
    created_at TEXT DEFAULT CURRENT_TIMESTAMP,
    updated_at TEXT DEFAULT CURRENT_TIMESTAMP,
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
    user_message TEXT,
    assistant_response TEXT,
    context TEXT,
    metadata TEXT
);

INSERT INTO haul_new_conversations (
    id, conversation_id, title, created_at, updated_at, last_activity, task_status, archived, last_action_at,
    user_message, assistant_response, context, metadata
)
SELECT
    id, conversation_id, COALESCE(NULLIF(substr(trim(user_message), 1, 80), ''), conversation_id), timestamp, timestamp,
    last_action_at, task_status, archived, last_action_at, user_message, assistant_response, context, metadata
FROM conversations
ORDER BY id;

DROP TABLE conversations;
ALTER TABLE haul_new_conversations RENAME TO conversations;
CREATE INDEX idx_conversations_active ON conversations(is_active);
