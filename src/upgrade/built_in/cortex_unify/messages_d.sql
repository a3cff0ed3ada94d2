-- Shape D to B: messages name the text of their conversation, not its number. One without a conversation keeps its number.
CREATE TABLE haul_new_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation_id TEXT NOT NULL,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    timestamp TEXT DEFAULT CURRENT_TIMESTAMP,
    metadata TEXT,
    FOREIGN KEY (conversation_id) REFERENCES conversations(conversation_id)
);

INSERT INTO haul_new_messages (id, conversation_id, role, content, timestamp, metadata)
SELECT m.id, COALESCE(c.conversation_id, m.conversation_id), m.role, m.content, m.timestamp, m.metadata
FROM messages AS m LEFT JOIN conversations AS c ON c.id = m.conversation_id
ORDER BY m.id;

DROP TABLE messages;
ALTER TABLE haul_new_messages RENAME TO messages;
CREATE INDEX idx_messages_conversation ON messages(conversation_id);

UPDATE conversations
SET message_count = (SELECT count(*) FROM messages AS m WHERE m.conversation_id = conversations.conversation_id);
