INSERT INTO conversation_actions (session_id, turn_number, action_type, description, metadata_json, created_at)
SELECT r.session_id, r.turn_number, 'generation', r.description, r.metadata_json, r.created_at
FROM temp.haul_rows AS r
WHERE r.n > ?1 AND r.n <= ?2
    AND NOT EXISTS (
        SELECT 1
        FROM conversation_actions AS a
        WHERE a.session_id = r.session_id
            AND a.turn_number = r.turn_number
            AND CASE WHEN json_valid(a.metadata_json) THEN json_extract(a.metadata_json, '$.synthetic') = 1 END
    )
ORDER BY r.n
