-- The last turns of each session that is active. All messages of its active conversations are counted, from 1.
-- Only keys are sorted; texts are read for the turns that are left.
SELECT
    k.session_id,
    k.turn_number,
    m.description,
    json_object(
        'synthetic', 1, 'message_id', m.message_key, 'role', m.role, 'source_timestamp', m.source_timestamp
    ) AS metadata_json,
    COALESCE(k.instant, haul_now()) AS created_at
FROM (
    SELECT
        c.session_id,
        m.message,
        m.instant,
        row_number() OVER turns AS turn_number,
        count(*) OVER (PARTITION BY c.session_id) AS turn_count
    FROM cortex_messages AS m
    JOIN cortex_conversations AS c ON c.conversation = m.conversation
    WHERE c.is_active
    WINDOW turns AS (PARTITION BY c.session_id ORDER BY m.instant, c.conversation_key, m.message_key)
) AS k
CROSS JOIN cortex_messages AS m ON m.message = k.message
WHERE k.turn_number > k.turn_count - haul_setting('turn-limit')
ORDER BY k.session_id, k.turn_number
