//! What objects of a PostgreSQL database depend on, and what a dump of one leaves out.

use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::EngineError;

/// Pairs of addresses: an object, and one that it depends on. Columns, defaults, row types, array types and the rule
/// of a view count as the object that they belong to. That a sequence belongs to a column is no need: `ALTER SEQUENCE`
/// says so afterwards.
const NEEDS: &str = "WITH part AS ( SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass::oid AS class, oid, 'c' || adrelid::text AS \
     address FROM pg_catalog.pg_attrdef UNION ALL SELECT 'pg_catalog.pg_rewrite'::pg_catalog.regclass, oid, CASE WHEN \
     rulename = '_RETURN' THEN 'c' || ev_class::text ELSE 'r' || oid::text END FROM pg_catalog.pg_rewrite UNION ALL \
     SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, oid, CASE WHEN contypid <> 0 THEN 't' || contypid::text \
     ELSE 'k' || oid::text END FROM pg_catalog.pg_constraint UNION ALL SELECT \
     'pg_catalog.pg_proc'::pg_catalog.regclass, oid, 'p' || oid::text FROM pg_catalog.pg_proc UNION ALL SELECT \
     'pg_catalog.pg_class'::pg_catalog.regclass, c.oid, CASE WHEN c.relkind = 'c' THEN 't' || c.reltype::text ELSE \
     COALESCE('k' || k.oid::text, 'c' || c.oid::text) END FROM pg_catalog.pg_class c LEFT JOIN \
     pg_catalog.pg_constraint k ON k.conindid = c.oid AND k.contype IN ('p', 'u', 'x') UNION ALL SELECT \
     'pg_catalog.pg_type'::pg_catalog.regclass, t.oid, CASE WHEN r.relkind <> 'c' THEN 'c' || r.oid::text ELSE 't' || \
     COALESCE(e.oid, t.oid)::text END FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.typarray = t.oid \
     LEFT JOIN pg_catalog.pg_class r ON r.oid = COALESCE(e.typrelid, t.typrelid) ) SELECT DISTINCT f.address, \
     t.address FROM pg_catalog.pg_depend d JOIN part f ON f.class = d.classid AND f.oid = d.objid JOIN part t ON \
     t.class = d.refclassid AND t.oid = d.refobjid WHERE d.refobjid >= 16384 AND f.address <> t.address AND NOT \
     (d.deptype = 'a' AND EXISTS (SELECT FROM pg_catalog.pg_class s WHERE s.oid = d.objid AND s.relkind = 'S'))";

/// Kinds of objects that are not read, each with a query for their number. Not counted are those of extensions, of the
/// server and of other objects, such as the casts of a range type.
const UNREAD: [(&str, &str); 9] = [
    ("foreign tables", "pg_catalog.pg_foreign_table o WHERE true"),
    ("foreign servers", "pg_catalog.pg_foreign_server o WHERE NOT EXISTS (SELECT {extension})"),
    ("publications", "pg_catalog.pg_publication o WHERE true"),
    ("event triggers", "pg_catalog.pg_event_trigger o WHERE NOT EXISTS (SELECT {extension})"),
    (
        "range types",
        "pg_catalog.pg_type o WHERE o.typtype = 'r' AND o.oid >= 16384 AND NOT EXISTS (SELECT {extension})",
    ),
    ("operators", "pg_catalog.pg_operator o WHERE o.oid >= 16384 AND NOT EXISTS (SELECT {extension})"),
    ("casts", "pg_catalog.pg_cast o WHERE o.oid >= 16384 AND NOT EXISTS (SELECT {extension})"),
    ("extended statistics", "pg_catalog.pg_statistic_ext o WHERE NOT EXISTS (SELECT {extension})"),
    (
        "text search configurations",
        "pg_catalog.pg_ts_config o WHERE o.oid >= 16384 AND NOT EXISTS (SELECT {extension})",
    ),
];
const EXTENSION: &str = "FROM pg_catalog.pg_depend d WHERE d.deptype IN ('e', 'i') AND d.objid = o.oid";

/// Returns what the objects of the database depend on.
pub(super) fn needs(database: &mut dyn ReadDatabase) -> Result<Vec<(String, String)>, EngineError> {
    let pair = |row: Vec<Value>| {
        let mut values = row.into_iter().map(Value::into_text);
        (values.next().unwrap_or_default(), values.next().unwrap_or_default())
    };
    Ok(database.query(NEEDS, &[])?.into_iter().map(pair).collect())
}

/// Returns how many objects of which kinds are not read.
pub(super) fn unread(database: &mut dyn ReadDatabase) -> Result<Vec<String>, EngineError> {
    let count = |(kind, from): &(&str, &str)| {
        format!("SELECT '{kind}', count(*)::text FROM {}", from.replace("{extension}", EXTENSION))
    };
    let sql = UNREAD.iter().map(count).collect::<Vec<_>>().join(" UNION ALL ");
    let rows = database.query(&format!("SELECT * FROM ({sql}) found (kind, number) WHERE number <> '0'"), &[])?;
    let text = |row: Vec<Value>| {
        let mut values = row.into_iter().map(Value::into_text);
        let kind = values.next().unwrap_or_default();
        format!("{} {kind}", values.next().unwrap_or_default())
    };
    Ok(rows.into_iter().map(text).collect())
}
