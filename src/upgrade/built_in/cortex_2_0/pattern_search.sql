-- Not ordered by rank: where the index disagrees with its table, the rank cannot be computed.
SELECT p.pattern_id, p.title, p.confidence
FROM pattern_fts AS f
JOIN patterns AS p ON p.id = f.rowid
WHERE f.pattern_fts MATCH 'index OR cache OR test'
ORDER BY p.confidence DESC
LIMIT 20
