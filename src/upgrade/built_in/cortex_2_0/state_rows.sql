-- What the new columns of each conversation are.
SELECT
    c.conversation,
    CASE WHEN c.is_done THEN 'done' ELSE 'open' END AS task_status,
    COALESCE(m.latest, c.fallback_at) AS last_action_at
FROM cortex_conversations AS c
LEFT JOIN (
    SELECT conversation, max(instant) AS latest
    FROM cortex_messages
    GROUP BY conversation
) AS m ON m.conversation = c.conversation
