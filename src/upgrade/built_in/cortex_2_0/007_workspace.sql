-- What crawlers find in a workspace. discovered_at and last_verified are seconds since 1970.
-- tiers: tier2
-- files: primary

-- connection_string may hold secrets.
CREATE TABLE workspace_databases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    database_type TEXT NOT NULL,
    connection_string TEXT NOT NULL,
    host TEXT,
    port INTEGER,
    database_name TEXT,
    discovered_at REAL NOT NULL,
    last_verified REAL,
    schemas TEXT,
    table_count INTEGER DEFAULT 0,
    metadata TEXT,
    UNIQUE (database_type, host, port, database_name)
);
CREATE INDEX idx_workspace_databases_type ON workspace_databases(database_type);
CREATE INDEX idx_workspace_databases_verified ON workspace_databases(last_verified DESC);
-- A key with NULL in it equals no other: the same database could be there twice.
CREATE UNIQUE INDEX uq_workspace_databases_identity ON workspace_databases(
    database_type, COALESCE(host, ''), COALESCE(port, -1), COALESCE(database_name, '')
);

CREATE TABLE workspace_apis (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    api_type TEXT NOT NULL,
    base_url TEXT NOT NULL,
    spec_location TEXT,
    endpoints TEXT,
    discovered_at REAL NOT NULL,
    last_verified REAL,
    authentication_type TEXT,
    metadata TEXT,
    UNIQUE (api_type, base_url)
);
CREATE INDEX idx_workspace_apis_type ON workspace_apis(api_type);
CREATE INDEX idx_workspace_apis_verified ON workspace_apis(last_verified DESC);

CREATE TABLE workspace_frameworks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    framework_type TEXT NOT NULL,
    version TEXT,
    config_location TEXT,
    components_count INTEGER DEFAULT 0,
    routes_count INTEGER DEFAULT 0,
    discovered_at REAL NOT NULL,
    last_verified REAL,
    metadata TEXT,
    UNIQUE (framework_type, config_location)
);
CREATE INDEX idx_workspace_frameworks_type ON workspace_frameworks(framework_type);
CREATE INDEX idx_workspace_frameworks_verified ON workspace_frameworks(last_verified DESC);
CREATE UNIQUE INDEX uq_workspace_frameworks_identity ON workspace_frameworks(
    framework_type, COALESCE(config_location, '')
);
