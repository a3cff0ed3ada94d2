-- The plugins of the list. Of several with one id, the last counts.
SELECT
    plugin ->> '$.plugin_id' AS plugin_id,
    plugin ->> '$.name' AS name,
    plugin ->> '$.version' AS version,
    plugin ->> '$.category' AS category,
    plugin ->> '$.priority' AS priority,
    plugin ->> '$.description' AS description,
    plugin ->> '$.author' AS author,
    plugin ->> '$.dependencies' AS dependencies,
    plugin ->> '$.hooks' AS hooks,
    COALESCE(plugin ->> '$.enabled', 1) AS enabled,
    haul_now() AS registered_at
FROM (
    SELECT value AS plugin, max(key) AS position
    FROM json_each(haul_input('plugins'))
    GROUP BY value ->> '$.plugin_id'
)
ORDER BY position
