INSERT INTO health_reports (
    created_at, overall_status, overall_score, database_score, performance_score, rule_compliance_score,
    test_coverage_score, storage_score, auto_fixable_count, fixed_count
)
SELECT created_at, overall_status, overall_score, database_score, 1.0, 1.0, 1.0, storage_score, 0, 0
FROM temp.haul_rows AS r
WHERE r.n > ?1 AND r.n <= ?2
    AND NOT EXISTS (SELECT 1 FROM health_reports AS h WHERE h.created_at = r.created_at)
    AND NOT EXISTS (SELECT 1 FROM health_issues AS i WHERE i.title = 'migration baseline')
