INSERT INTO health_issues (report_id, category, severity, title, description, detected_at)
SELECT h.id, r.category, r.severity, r.title, r.description, r.detected_at
FROM temp.haul_rows AS r
JOIN health_reports AS h ON h.created_at = r.detected_at
WHERE r.n > ?1 AND r.n <= ?2
    AND NOT EXISTS (SELECT 1 FROM health_issues AS i WHERE i.report_id = h.id AND i.title = r.title)
