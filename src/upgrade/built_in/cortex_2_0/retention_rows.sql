-- What each tier keeps, and how much of it is over that.
WITH
    policies (tier, keep_days, keep_records, prune_below) AS (
        VALUES
            ('tier1', haul_setting('tier1-days'), haul_setting('tier1-records'), NULL),
            ('tier2', haul_setting('tier2-days'), haul_setting('tier2-records'), haul_setting('tier2-prune-below')),
            ('tier3', haul_setting('tier3-days'), haul_setting('tier3-records'), NULL)
    ),
    found AS (
        SELECT
            tier,
            total(value) FILTER (WHERE name LIKE '%-records') AS records,
            total(value) FILTER (WHERE name LIKE '%-too-old') AS too_old
        FROM temp.haul_measures
        GROUP BY tier
    ),
    counted AS (
        SELECT
            p.tier,
            json_object(
                'retention_days', CAST(p.keep_days AS INTEGER),
                'max_records', CAST(NULLIF(p.keep_records, 0) AS INTEGER),
                'prune_below', p.prune_below
            ) AS policy_json,
            CAST(COALESCE(f.too_old, 0) AS INTEGER) AS age_violations,
            CASE
                WHEN p.keep_records > 0 AND f.records > p.keep_records THEN CAST(f.records - p.keep_records AS INTEGER)
                ELSE 0
            END AS count_violations
        FROM policies AS p
        LEFT JOIN found AS f ON f.tier = p.tier
    )
SELECT
    haul_now() AS created_at,
    tier,
    policy_json,
    age_violations + count_violations AS violations_count,
    age_violations,
    count_violations
FROM counted
ORDER BY tier
