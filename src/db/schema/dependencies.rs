//! What objects of a PostgreSQL database depend on, and what a dump of one leaves out.

use std::collections::{HashMap, VecDeque};

use super::object::Object;
use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::EngineError;
use crate::migration::escaped;

/// Pairs of addresses: an object, and one that it depends on. Columns, defaults, row types, array types, multiranges and
/// the rule of a view count as the object that they belong to. That a sequence belongs to a column is no need:
/// `ALTER SEQUENCE` says so afterwards.
const NEEDS: &str = "WITH part AS (SELECT 'pg_attrdef'::regclass::oid AS class, oid, 'c' || adrelid::text AS address
    FROM pg_attrdef
UNION ALL SELECT 'pg_rewrite'::regclass, oid, CASE WHEN rulename = '_RETURN' THEN 'c' || ev_class::text
    ELSE 'r' || oid::text END FROM pg_rewrite
UNION ALL SELECT 'pg_constraint'::regclass, oid, CASE WHEN contypid <> 0 THEN 't' || contypid::text
    ELSE 'k' || oid::text END FROM pg_constraint
UNION ALL SELECT 'pg_proc'::regclass, oid, 'p' || oid::text FROM pg_proc
UNION ALL SELECT 'pg_class'::regclass, c.oid, CASE WHEN c.relkind = 'c' THEN 't' || c.reltype::text
    ELSE COALESCE('k' || k.oid::text, 'c' || c.oid::text) END
    FROM pg_class c LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
UNION ALL SELECT 'pg_type'::regclass, t.oid, CASE WHEN r.relkind <> 'c' THEN 'c' || r.oid::text
    ELSE 't' || COALESCE(m.rngtypid, e.oid, t.oid)::text END
    FROM pg_type t LEFT JOIN pg_type e ON e.typarray = t.oid LEFT JOIN pg_class r ON r.oid = COALESCE(e.typrelid, t.typrelid)
        LEFT JOIN pg_range m ON (to_jsonb(m)->>'rngmultitypid')::oid = COALESCE(e.oid, t.oid))
SELECT DISTINCT COALESCE(f.address, format('x%s.%s', d.classid, d.objid)) AS object,
    COALESCE(t.address, format('x%s.%s', d.refclassid, d.refobjid)) AS needed
FROM pg_depend d LEFT JOIN part f ON f.class = d.classid AND f.oid = d.objid
    LEFT JOIN part t ON t.class = d.refclassid AND t.oid = d.refobjid
WHERE d.refobjid >= 16384
    AND NOT (d.deptype = 'a' AND EXISTS (SELECT FROM pg_class s WHERE s.oid = d.objid AND s.relkind = 'S'))";

/// Catalogs of which no object is read.
const UNREAD_CATALOGS: [&str; 11] = [
    "pg_foreign_data_wrapper",
    "pg_foreign_server",
    "pg_publication",
    "pg_opclass",
    "pg_opfamily",
    "pg_conversion",
    "pg_language",
    "pg_am",
    "pg_ts_parser",
    "pg_ts_template",
    "pg_transform",
];

/// Titles and addresses of the objects that are not read, those of extensions, of the server and of other objects aside:
/// those of `{catalogs}`, foreign tables, indexes that are not valid, base types, types that are only declared, ranges
/// with a canonical function, which needs such a type, and subscriptions.
const UNREAD: &str = r#"WITH found (class, oid, address) AS ({catalogs}
UNION ALL SELECT tableoid, oid, 'c' || oid::text FROM pg_class WHERE relkind = 'f'
UNION ALL SELECT x.tableoid, x.oid, 'c' || x.oid::text FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
    JOIN pg_class c ON c.oid = i.indrelid WHERE x.relkind = 'i' AND NOT i.indisvalid AND c.relkind <> 't'
UNION ALL SELECT t.tableoid, t.oid, 't' || t.oid::text FROM pg_type t WHERE t.typtype = 'b' OR NOT t.typisdefined
    OR EXISTS (SELECT FROM pg_range r WHERE r.rngtypid = t.oid AND r.rngcanonical::oid <> 0))
SELECT CASE WHEN f.class = 'pg_class'::regclass AND o.type = 'index' THEN 'not valid: ' ELSE '' END || o.type || ' ' ||
    o.identity COLLATE "C", f.address
FROM found f CROSS JOIN pg_identify_object(f.class, f.oid, 0) o
WHERE f.oid >= 16384 AND o.type IS NOT NULL AND o.schema IS DISTINCT FROM 'pg_toast' AND NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.deptype IN ('e', 'i') AND d.classid = f.class AND d.objid = f.oid)
UNION ALL SELECT 'subscription ' || quote_ident(subname), '' FROM pg_subscription
    WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1"#;

/// Returns what the objects of the database depend on.
pub(super) fn needs(database: &mut dyn ReadDatabase) -> Result<Vec<(String, String)>, EngineError> {
    Ok(database.query(NEEDS, &[])?.into_iter().map(pair).collect())
}

/// Returns the titles and addresses of the objects that are not read.
pub(super) fn unread(database: &mut dyn ReadDatabase) -> Result<Vec<(String, String)>, EngineError> {
    let of_catalog = |catalog: &&str| format!("SELECT tableoid, oid, format('x%s.%s', tableoid, oid) FROM {catalog}");
    let catalogs: Vec<_> = UNREAD_CATALOGS.iter().map(of_catalog).collect();
    let sql = UNREAD.replace("{catalogs}", &catalogs.join(" UNION ALL "));
    Ok(database.query(&sql, &[])?.into_iter().map(pair).collect())
}

fn pair(row: Vec<Value>) -> (String, String) {
    let mut values = row.into_iter().map(Value::into_text);
    (values.next().unwrap_or_default(), values.next().unwrap_or_default())
}

/// Makes comments of the objects that need one that is not read, so that the text of the others still runs.
pub(super) fn comment_out(objects: &mut [Object], unread: &[(String, String)], needs: &[(String, String)]) {
    let mut users: HashMap<&str, Vec<&str>> = HashMap::new();
    needs.iter().for_each(|(object, needed)| users.entry(needed).or_default().push(object));
    let roots = unread.iter().filter(|(_, address)| !address.is_empty());
    let mut lost: HashMap<&str, &str> = roots.map(|(title, address)| (address.as_str(), title.as_str())).collect();
    // The nearest one is named, so this goes on by distance.
    let mut found: VecDeque<_> = unread.iter().map(|(title, address)| (address.as_str(), title.as_str())).collect();
    while let Some((address, title)) = found.pop_front() {
        for user in users.get(address).into_iter().flatten() {
            if !lost.contains_key(user) {
                lost.insert(user, title);
                found.push_back((user, title));
            }
        }
    }
    for object in objects {
        if let Some(title) = lost.get(object.address.as_str()) {
            let lines = object.sql.lines().map(|line| format!("\n-- {line}"));
            object.sql = format!("-- needs {}, which is left out:{}", escaped(title), lines.collect::<String>());
        }
    }
}
