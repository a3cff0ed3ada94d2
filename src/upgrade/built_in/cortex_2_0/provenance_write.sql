INSERT INTO provenance_links (source_type, source_ref, target_type, target_ref, relation, confidence, created_at)
SELECT source_type, source_ref, 'system', 'schema_v2', 'generated', 1.0, created_at
FROM temp.haul_rows AS r
WHERE r.n > ?1 AND r.n <= ?2
    AND NOT EXISTS (
        SELECT 1 FROM provenance_links AS p WHERE p.source_type = r.source_type AND p.source_ref = r.source_ref
    )
