//! Which rows a backup leaves out: those of tables that a run does not touch.
//!
//! A backup always has the whole schema, so that it can be restored by itself. Of the rows it has those of the tables that
//! the run names, their partitions and children, what their keys refer to, and what refers to them with an action that
//! changes rows.

use postgres::Client;

use super::query::{flag, query};
use crate::db::backup::BackupScope;
use crate::db::database::Value;
use crate::db::engine_error::EngineError;

/// The maximum length of all names on the command line of pg_dump. With more, everything is dumped.
const NAMES_BYTES_MAX: usize = 512 << 10;

/// Finds the tables with these names. A name that no table has yet is one that the run makes. The last field says whether
/// only the server knows what a change of it changes elsewhere: a view, a trigger, a rule.
const NAMED: &str = "SELECT c.oid::bigint, (c.relkind NOT IN ('r', 'p') OR EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE \
                     t.tgrelid = c.oid AND NOT t.tgisinternal) OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class \
                     = c.oid))::int::bigint FROM pg_catalog.json_array_elements_text($1::json) name JOIN pg_catalog.pg_class c \
                     ON c.oid = pg_catalog.to_regclass(name)";

/// Selects the tables whose rows are left out, in the form of a pattern of pg_dump.
const OTHERS: &str = "WITH RECURSIVE wanted (oid) AS (SELECT value::bigint::oid FROM \
                      pg_catalog.json_array_elements_text($1::json) UNION SELECT linked.oid FROM wanted w, LATERAL (SELECT \
                      k.confrelid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.conrelid = w.oid UNION ALL SELECT \
                      k.conrelid FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = w.oid AND \
                      (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')) UNION ALL SELECT i.inhrelid FROM \
                      pg_catalog.pg_inherits i WHERE i.inhparent = w.oid) linked (oid)) SELECT pg_catalog.format('\"%s\".\"%s\"', \
                      pg_catalog.replace(n.nspname, '\"', '\"\"'), pg_catalog.replace(c.relname, '\"', '\"\"')) FROM \
                      pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND \
                      c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema' AND \
                      c.oid NOT IN (SELECT oid FROM wanted) ORDER BY 1";

/// Returns the tables whose rows a backup of `scope` leaves out, in the form of patterns of pg_dump.
pub fn tables_without_rows(client: &mut Client, scope: &BackupScope) -> Result<Vec<String>, EngineError> {
    let BackupScope::Tables(names) = scope else { return Ok(Vec::new()) };
    let json = |texts: &[String]| Value::from(serde_json::to_string(texts).expect("a list of texts"));
    let named = query(client, NAMED, &[json(names)])?;
    if named.iter().any(|row| row.get(1).is_some_and(flag)) {
        return Ok(Vec::new());
    }
    let oids: Vec<_> = named.into_iter().filter_map(|row| row.into_iter().next()).map(Value::into_text).collect();
    let others: Vec<_> = query(client, OTHERS, &[json(&oids)])?.into_iter().flatten().map(Value::into_text).collect();
    let is_too_long = others.iter().map(String::len).sum::<usize>() > NAMES_BYTES_MAX;
    Ok(if is_too_long { Vec::new() } else { others })
}
