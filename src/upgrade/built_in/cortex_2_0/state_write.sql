-- Values that are not NULL and not the default stay.
UPDATE conversations
SET
    task_status = CASE
        WHEN conversations.task_status IS NULL OR conversations.task_status = 'open' THEN r.task_status
        ELSE conversations.task_status
    END,
    archived = COALESCE(conversations.archived, 0),
    last_action_at = COALESCE(conversations.last_action_at, r.last_action_at)
FROM temp.haul_rows AS r
WHERE r.n > ?1 AND r.n <= ?2
    AND conversations.rowid = r.conversation
    AND (
        conversations.task_status IS NULL
        OR (conversations.task_status = 'open' AND r.task_status <> 'open')
        OR conversations.archived IS NULL
        OR (conversations.last_action_at IS NULL AND r.last_action_at IS NOT NULL)
    )
