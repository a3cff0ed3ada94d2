-- Reports about the state of the system, and what they found.
-- tiers: tier1
-- files: primary

-- overall_status: excellent, good, fair, poor, critical
CREATE TABLE health_reports (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    overall_status TEXT NOT NULL,
    overall_score REAL NOT NULL,
    database_score REAL NOT NULL,
    performance_score REAL NOT NULL,
    rule_compliance_score REAL NOT NULL,
    test_coverage_score REAL NOT NULL,
    storage_score REAL NOT NULL,
    auto_fixable_count INTEGER NOT NULL,
    fixed_count INTEGER NOT NULL
);
CREATE INDEX idx_health_reports_created_at ON health_reports(created_at DESC);

-- category: database, performance, rule_compliance, tests, storage
-- severity: critical, high, medium, low, info
CREATE TABLE health_issues (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    report_id INTEGER NOT NULL REFERENCES health_reports(id) ON DELETE CASCADE,
    category TEXT NOT NULL,
    severity TEXT NOT NULL,
    title TEXT NOT NULL,
    description TEXT,
    auto_fixable INTEGER NOT NULL DEFAULT 0,
    fix_applied INTEGER NOT NULL DEFAULT 0,
    fix_description TEXT,
    impact TEXT,
    recommendation TEXT,
    detected_at TIMESTAMP NOT NULL,
    UNIQUE (report_id, title)
);
CREATE INDEX idx_health_issues_report ON health_issues(report_id);
CREATE INDEX idx_health_issues_severity ON health_issues(severity);
