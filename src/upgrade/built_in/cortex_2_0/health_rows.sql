-- The report about the set before the upgrade. What cannot be measured has the score 1, and an issue says so.
WITH
    facts AS (
        SELECT
            total(
                CASE
                    WHEN free_pages > 0.30 * pages THEN 0.15
                    WHEN free_pages > 0.20 * pages THEN 0.05
                    ELSE 0
                END
            ) AS fragmented,
            max(foreign_key_findings > 0) AS has_key_findings,
            max(fts_inconsistent > 0) AS has_fts_findings,
            min(integrity_ok) AS is_sound,
            total(free_pages) / max(total(pages), 1) AS free_share
        FROM temp.haul_files
    ),
    scores AS (
        SELECT
            CASE
                WHEN is_sound THEN max(0.0, 1.0 - fragmented - 0.20 * has_key_findings - 0.20 * has_fts_findings)
                ELSE 0.0
            END AS database_score,
            1.0 - free_share AS storage_score
        FROM facts
    ),
    overall AS (
        SELECT
            database_score,
            storage_score,
            0.25 * database_score + 0.20 + 0.25 + 0.20 + 0.10 * storage_score AS overall_score
        FROM scores
    )
SELECT
    haul_now() AS created_at,
    CASE
        WHEN overall_score >= 0.90 THEN 'excellent'
        WHEN overall_score >= 0.70 THEN 'good'
        WHEN overall_score >= 0.50 THEN 'fair'
        WHEN overall_score >= 0.30 THEN 'poor'
        ELSE 'critical'
    END AS overall_status,
    overall_score,
    database_score,
    storage_score
FROM overall
