-- The last turns of each session that is active. All messages of its active conversations are counted, from 1.
SELECT
    session_id,
    turn_number,
    description,
    json_object(
        'synthetic', 1, 'message_id', message_key, 'role', role, 'source_timestamp', source_timestamp
    ) AS metadata_json,
    COALESCE(instant, haul_now()) AS created_at
FROM (
    SELECT
        c.session_id,
        m.message_key,
        m.role,
        m.description,
        m.source_timestamp,
        m.instant,
        row_number() OVER turns AS turn_number,
        count(*) OVER (PARTITION BY c.session_id) AS turn_count
    FROM cortex_messages AS m
    JOIN cortex_conversations AS c ON c.conversation = m.conversation
    WHERE c.is_active
    WINDOW turns AS (PARTITION BY c.session_id ORDER BY m.instant, c.conversation_key, m.message_key)
)
WHERE turn_number > turn_count - haul_setting('turn-limit')
ORDER BY session_id, turn_number
