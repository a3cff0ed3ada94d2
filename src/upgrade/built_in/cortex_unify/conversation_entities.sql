-- In shapes A and G the key of entities is entity_id; this table refers to a column id, which they do not have.
CREATE TABLE haul_new_conversation_entities (
    conversation_id TEXT NOT NULL,
    entity_id INTEGER NOT NULL,
    relevance_score REAL DEFAULT 1.0,
    PRIMARY KEY (conversation_id, entity_id),
    FOREIGN KEY (conversation_id) REFERENCES conversations(conversation_id),
    FOREIGN KEY (entity_id) REFERENCES entities(entity_id)
);

INSERT INTO haul_new_conversation_entities (conversation_id, entity_id, relevance_score)
SELECT conversation_id, entity_id, relevance_score FROM conversation_entities ORDER BY rowid;

DROP TABLE conversation_entities;
ALTER TABLE haul_new_conversation_entities RENAME TO conversation_entities;
