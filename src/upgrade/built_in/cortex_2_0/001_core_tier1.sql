-- What conversations did and when, and which paths were touched.
-- tiers: tier1
-- files: primary

-- action_type: retrieval, generation, write, maintenance, self_review
CREATE TABLE conversation_actions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    turn_number INTEGER NOT NULL,
    action_type TEXT NOT NULL,
    description TEXT NOT NULL,
    metadata_json TEXT,
    success INTEGER NOT NULL DEFAULT 1,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_conversation_actions_session_turn ON conversation_actions(session_id, turn_number);

CREATE TABLE conversation_state_snapshots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    turn_number INTEGER NOT NULL,
    state_json TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    UNIQUE (session_id, turn_number)
);
CREATE INDEX idx_state_snapshots_session ON conversation_state_snapshots(session_id, turn_number DESC);

-- event_type: read, write, scan, delete, plugin
CREATE TABLE boundary_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    occurred_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    event_type TEXT NOT NULL,
    path TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    reason TEXT,
    rule_reference TEXT,
    plugin_id TEXT,
    session_id TEXT
);
CREATE INDEX idx_boundary_events_time ON boundary_events(occurred_at DESC);
CREATE INDEX idx_boundary_events_path ON boundary_events(path);
