-- Shape C to B. Messages get numbers; the texts that were their keys stay in message_key.
CREATE TABLE haul_new_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT NOT NULL,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    message_key TEXT,
    user TEXT,
    intent TEXT,
    context_ref TEXT,
    session_id TEXT,
    created_at TIMESTAMP,
    FOREIGN KEY (conversation_id) REFERENCES conversations(conversation_id)
);

INSERT INTO haul_new_messages (
    id, conversation_id, role, content, timestamp, message_key, user, intent, context_ref, session_id, created_at
)
SELECT
    rowid, conversation_id, COALESCE(role, 'unknown'), COALESCE(content, ''), timestamp,
    id, user, intent, context_ref, session_id, created_at
FROM messages
ORDER BY rowid;

DROP TABLE messages;
ALTER TABLE haul_new_messages RENAME TO messages;
