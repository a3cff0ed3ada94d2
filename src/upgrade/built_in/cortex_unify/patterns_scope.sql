-- The scope `generic` of 1.0 is `cortex`, which the condition of the old table refuses.
CREATE TABLE haul_new_patterns (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pattern_id TEXT UNIQUE NOT NULL,
    title TEXT NOT NULL,
    content TEXT NOT NULL,
    pattern_type TEXT NOT NULL,
    confidence REAL DEFAULT 1.0,
    created_at TIMESTAMP NOT NULL,
    last_accessed TIMESTAMP NOT NULL,
    access_count INTEGER DEFAULT 0,
    source TEXT,
    metadata TEXT,
    is_pinned INTEGER DEFAULT 0,
    scope TEXT DEFAULT 'cortex' CHECK (scope IN ('cortex', 'application')),
    namespaces TEXT DEFAULT '["CORTEX-core"]',
    CHECK (confidence BETWEEN 0.0 AND 1.0),
    CHECK (pattern_type IN ('workflow', 'principle', 'anti_pattern', 'solution', 'context'))
);

INSERT INTO haul_new_patterns (
    id, pattern_id, title, content, pattern_type, confidence, created_at, last_accessed, access_count, source, metadata,
    is_pinned, scope, namespaces
)
SELECT
    id, pattern_id, title, content, pattern_type, confidence, created_at, last_accessed, access_count, source, metadata,
    is_pinned, CASE scope WHEN 'generic' THEN 'cortex' ELSE scope END, namespaces
FROM patterns
ORDER BY id;

DROP TABLE patterns;
ALTER TABLE haul_new_patterns RENAME TO patterns;
