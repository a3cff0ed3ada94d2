INSERT INTO retention_policy_snapshots (
    created_at, tier, policy_json, violations_count, age_violations, count_violations, actions_taken
)
SELECT created_at, tier, policy_json, violations_count, age_violations, count_violations, 'counted by the migration'
FROM temp.haul_rows AS r
WHERE r.n > ?1 AND r.n <= ?2
    AND NOT EXISTS (
        SELECT 1
        FROM retention_policy_snapshots AS s
        WHERE s.tier = r.tier AND s.actions_taken = 'counted by the migration'
    )
ORDER BY r.n
