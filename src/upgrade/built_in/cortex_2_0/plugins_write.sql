INSERT INTO plugins (
    plugin_id, name, version, category, priority, description, author, dependencies, hooks, enabled, registered_at
)
SELECT
    plugin_id, name, version, category, priority, description, author, dependencies, hooks, enabled, registered_at
FROM temp.haul_rows
WHERE n > ?1 AND n <= ?2
ORDER BY n
ON CONFLICT (plugin_id) DO UPDATE
SET
    name = excluded.name,
    version = excluded.version,
    category = excluded.category,
    priority = excluded.priority,
    description = excluded.description,
    author = excluded.author,
    dependencies = excluded.dependencies,
    hooks = excluded.hooks,
    enabled = excluded.enabled
WHERE (
    plugins.name, plugins.version, plugins.category, plugins.priority, plugins.description, plugins.author,
    plugins.dependencies, plugins.hooks, plugins.enabled
) IS NOT (
    excluded.name, excluded.version, excluded.category, excluded.priority, excluded.description, excluded.author,
    excluded.dependencies, excluded.hooks, excluded.enabled
)
