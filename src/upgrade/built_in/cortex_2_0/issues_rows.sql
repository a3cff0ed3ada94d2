-- What the report about the set before the upgrade found.
SELECT
    haul_now() AS detected_at,
    'performance' AS category,
    'info' AS severity,
    'migration baseline' AS title,
    'scores for performance, rules and tests are 1.0 because 1.0 databases hold no figures for them' AS description
UNION ALL
SELECT haul_now(), 'rule_compliance', 'info', 'no plugin list', 'no list was given with --plugins: plugins is empty'
WHERE haul_input('plugins') IS NULL
UNION ALL
SELECT haul_now(), 'database', 'critical', 'integrity: ' || file, 'integrity_check failed before the upgrade'
FROM temp.haul_files
WHERE NOT integrity_ok
UNION ALL
SELECT
    haul_now(), 'database', 'high', 'foreign keys: ' || file,
    foreign_key_findings || ' findings of foreign_key_check before the upgrade'
FROM temp.haul_files
WHERE foreign_key_findings > 0
UNION ALL
SELECT
    haul_now(), 'database', 'medium', 'full-text index: ' || file,
    fts_inconsistent || ' full-text indexes disagreed with their tables before the upgrade'
FROM temp.haul_files
WHERE fts_inconsistent > 0
UNION ALL
SELECT
    haul_now(), 'storage', 'low', 'fragmentation: ' || file,
    free_pages || ' of ' || pages || ' pages were free before the upgrade'
FROM temp.haul_files
WHERE free_pages > 0.20 * pages
