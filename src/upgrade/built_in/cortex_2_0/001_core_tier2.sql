-- Where things come from.
-- tiers: tier2
-- files: primary

-- relation: generated, updated, referenced, archived_from
CREATE TABLE provenance_links (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source_type TEXT NOT NULL,
    source_ref TEXT NOT NULL,
    target_type TEXT NOT NULL,
    target_ref TEXT NOT NULL,
    relation TEXT NOT NULL,
    confidence REAL,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_provenance_source ON provenance_links(source_type, source_ref);
CREATE INDEX idx_provenance_target ON provenance_links(target_type, target_ref);
