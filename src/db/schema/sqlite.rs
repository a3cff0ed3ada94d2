//! Reads the schema of a SQLite database, which stores the SQL of its objects.

use super::object::Object;
use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::EngineError;
use crate::db::state::Tables;

/// Orders tables before the objects that refer to them. Shadow tables are left out: their virtual table creates them.
const OBJECTS: &str = "SELECT type, name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' \
                       ESCAPE '\\' AND name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = \
                       'shadow') AND tbl_name NOT IN (SELECT value FROM json_each(?1)) ORDER BY CASE type WHEN 'table' THEN \
                       1 WHEN 'index' THEN 2 WHEN 'view' THEN 3 ELSE 4 END, name";

/// Numbers in the head of the file that belong to the application, which often keeps the version of its schema there.
const SETTINGS: &str = "SELECT 'setting', 'application_id', 'PRAGMA application_id = ' || application_id FROM \
                        pragma_application_id WHERE application_id <> 0 UNION ALL SELECT 'setting', 'user_version', 'PRAGMA \
                        user_version = ' || user_version FROM pragma_user_version WHERE user_version <> 0";

pub fn objects(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<Object>, EngineError> {
    let own = serde_json::to_string(&tables.all()).expect("a list of texts");
    let object = |row: Vec<Value>| {
        let mut values = row.into_iter();
        let mut next = || values.next().unwrap_or(Value::Text(None)).into_text();
        let (kind, name) = (next(), next());
        Object { title: format!("{kind} {name}"), address: String::new(), sql: next() }
    };
    let mut rows = database.query(SETTINGS, &[])?;
    rows.extend(database.query(OBJECTS, &[own.into()])?);
    Ok(rows.into_iter().map(object).collect())
}
