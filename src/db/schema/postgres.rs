//! Reads the schema of a PostgreSQL database from its catalogs.

use super::dependencies::{needs, unread};
use super::object::Object;
use super::order::{Ordered, ordered};
use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::EngineError;
use crate::db::state::Tables;

pub fn objects(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<Object>, EngineError> {
    database.begin_reading()?;
    let found = all(database, tables);
    // This is ended after an error too, because the connection is used further.
    let end = database.end_reading();
    found.and_then(|found| end.map(|()| found))
}

fn all(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<Object>, EngineError> {
    let own: Vec<_> = tables.all().iter().map(|name| format!("'{name}'")).collect();
    let mut objects = Vec::new();
    let (schemas, extensions) = match tables.tenant() {
        Some(tenant) => {
            let is_tenants = format!("n.nspname = '{}'", tenant.replace('\'', "''"));
            (is_tenants.clone(), is_tenants)
        }
        None => (SCHEMAS.to_owned(), "extname <> 'plpgsql'".to_owned()),
    };
    for (kind, sql) in KINDS {
        let sql = sql
            .replace("{own}", &own.join(", "))
            .replace("{schemas}", &schemas)
            .replace("{commented}", &schemas.replace("n.nspname", "o.schema"))
            .replace("{extensions}", &extensions)
            .replace("{extension}", EXTENSION)
            .replace("{identity}", IDENTITY);
        let object = |row: Vec<Value>| {
            let mut values = row.into_iter();
            let mut next = || values.next().unwrap_or(Value::Text(None)).into_text();
            let (title, sql, address) = (format!("{kind} {}", next()), next(), next());
            Object { title, address, sql }
        };
        objects.extend(database.query(&sql, &[])?.into_iter().map(object));
    }
    // Nothing loads the text of a tenant, and what depends on what is known for the whole database only: each of many
    // tenants would read it all.
    let needs = if tables.tenant().is_some() { Vec::new() } else { needs(database)? };
    let Ordered { mut objects, earlier } = ordered(objects, &needs);
    if earlier.iter().any(|title| title.starts_with("function ")) {
        // Such a function may name a table that comes after it.
        let sql = "SET check_function_bodies = off".to_owned();
        objects.insert(0, Object { title: "setting check_function_bodies".into(), address: String::new(), sql });
    }
    // These are counted in the whole database.
    let unread = if tables.tenant().is_some() { Vec::new() } else { unread(database)? };
    let unread: Vec<_> = unread.iter().map(|text| format!("-- {text}")).collect();
    if !unread.is_empty() {
        objects.push(Object { title: "left out".into(), address: String::new(), sql: unread.join("\n") });
    }
    Ok(objects)
}

/// The condition that a namespace `n` is not one of the server's own.
const SCHEMAS: &str = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";
/// Selects the dependency of an object on an extension; an object id follows.
const EXTENSION: &str = "FROM pg_catalog.pg_depend d WHERE d.deptype = 'e' AND d.objid =";

/// The options of the sequence of an identity column `a`, unless they are the default ones.
const IDENTITY: &str = "COALESCE((SELECT pg_catalog.format(' (START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s)', \
                        s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' \
                        END) FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_sequence s ON s.seqrelid = d.objid WHERE d.refobjid = \
                        a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i' AND d.classid = \
                        'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid AND (s.seqstart, s.seqincrement, \
                        s.seqmin, s.seqcache, s.seqcycle, s.seqmax) <> (1, 1, 1, 1, false, CASE s.seqtypid WHEN \
                        'pg_catalog.int2'::pg_catalog.regtype THEN 32767 WHEN 'pg_catalog.int4'::pg_catalog.regtype THEN \
                        2147483647 ELSE 9223372036854775807 END)), '')";

/// The kinds of objects, each with a query for name, SQL and address. Functions come late, because the
/// body of one that is not checked by its dependencies may name any table. Texts are sorted by bytes, so that the locale of the
/// server does not matter.
const KINDS: [(&str, &str); 19] = [
    (
        "extension",
        "SELECT extname::text COLLATE \"C\", pg_catalog.format('CREATE EXTENSION %I WITH SCHEMA %I', extname, n.nspname) FROM \
         pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE {extensions} ORDER \
             BY 1",
    ),
    (
        "schema",
        "SELECT n.nspname::text COLLATE \"C\", pg_catalog.format('CREATE SCHEMA IF NOT EXISTS %I', n.nspname) FROM \
         pg_catalog.pg_namespace n WHERE {schemas} AND n.nspname <> 'public' AND NOT EXISTS (SELECT {extension} n.oid) ORDER BY 1",
    ),
    (
        "enum",
        "SELECT pg_catalog.format_type(t.oid, NULL) COLLATE \"C\", pg_catalog.format('CREATE TYPE %s AS ENUM (%s)', \
         pg_catalog.format_type(t.oid, NULL), (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(enumlabel), ', ' ORDER BY \
         enumsortorder) FROM pg_catalog.pg_enum WHERE enumtypid = t.oid)), 't' || t.oid::text FROM pg_catalog.pg_type t JOIN \
         pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'e' AND {schemas} AND NOT EXISTS (SELECT \
         {extension} t.oid) ORDER BY 1",
    ),
    (
        "domain",
        "SELECT pg_catalog.format_type(t.oid, NULL) COLLATE \"C\", pg_catalog.format('CREATE DOMAIN %s AS %s%s%s%s', \
         pg_catalog.format_type(t.oid, NULL), pg_catalog.format_type(t.typbasetype, t.typtypmod), CASE WHEN t.typdefault IS NOT \
         NULL THEN ' DEFAULT ' || t.typdefault ELSE '' END, CASE WHEN t.typnotnull THEN ' NOT NULL' ELSE '' END, (SELECT \
         pg_catalog.string_agg(pg_catalog.format(' CONSTRAINT %I %s', conname, pg_catalog.pg_get_constraintdef(c.oid)), '' ORDER \
         BY conname) FROM pg_catalog.pg_constraint c WHERE contypid = t.oid AND contype = 'c')), 't' || t.oid::text FROM pg_catalog.pg_type t JOIN \
         pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'd' AND {schemas} AND NOT EXISTS (SELECT \
         {extension} t.oid) ORDER BY 1",
    ),
    (
        "type",
        "SELECT pg_catalog.format_type(t.oid, NULL) COLLATE \"C\", pg_catalog.format('CREATE TYPE %s AS (%s)', \
         pg_catalog.format_type(t.oid, NULL), (SELECT pg_catalog.string_agg(pg_catalog.format('%I %s', attname, \
         pg_catalog.format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) FROM pg_catalog.pg_attribute WHERE attrelid = \
         t.typrelid AND attnum > 0 AND NOT attisdropped)), 't' || t.oid::text FROM pg_catalog.pg_type t JOIN pg_catalog.pg_class c ON c.oid = \
         t.typrelid AND c.relkind = 'c' JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.typtype = 'c' AND \
         {schemas} AND NOT EXISTS (SELECT {extension} c.oid) ORDER BY 1",
    ),
    (
        "sequence",
        "SELECT c.oid::pg_catalog.regclass::text COLLATE \"C\", pg_catalog.format('CREATE SEQUENCE %s AS %s INCREMENT BY %s \
         MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s', c.oid::pg_catalog.regclass, pg_catalog.format_type(s.seqtypid, \
         NULL), s.seqincrement, s.seqmin, s.seqmax, s.seqstart, s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END), 'c' || c.oid::text FROM \
         pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = \
         c.relnamespace WHERE {schemas} AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype \
         IN ('e', 'i')) ORDER BY 1",
    ),
    (
        "table",
        "SELECT c.oid::pg_catalog.regclass::text COLLATE \"C\", pg_catalog.format(E'CREATE %sTABLE %s (%s\\n)%s%s%s', CASE \
         c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, c.oid::pg_catalog.regclass, (SELECT \
         pg_catalog.string_agg(pg_catalog.format(E'\\n    %I %s%s%s%s%s', a.attname, pg_catalog.format_type(a.atttypid, \
         a.atttypmod), CASE WHEN a.attcollation <> t.typcollation THEN (SELECT pg_catalog.format(' COLLATE %I.%I', cn.nspname, \
         l.collname) FROM pg_catalog.pg_collation l JOIN pg_catalog.pg_namespace cn ON cn.oid = l.collnamespace WHERE l.oid = \
         a.attcollation) ELSE '' END, CASE WHEN a.attgenerated <> '' THEN ' GENERATED ALWAYS AS (' || \
         pg_catalog.pg_get_expr(f.adbin, f.adrelid) || CASE a.attgenerated WHEN 's' THEN ') STORED' ELSE ') VIRTUAL' END WHEN f.oid IS NOT NULL THEN ' DEFAULT ' || \
         pg_catalog.pg_get_expr(f.adbin, f.adrelid) ELSE '' END, CASE a.attidentity WHEN 'a' THEN ' GENERATED ALWAYS AS \
         IDENTITY' WHEN 'd' THEN ' GENERATED BY DEFAULT AS IDENTITY' ELSE '' END || {identity}, CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' \
         END), ',' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid LEFT JOIN \
         pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum WHERE a.attrelid = c.oid AND a.attnum > 0 AND \
         NOT a.attisdropped AND (a.attislocal OR c.relispartition)), CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid) AND NOT \
         c.relispartition THEN (SELECT ' INHERITS (' || pg_catalog.string_agg(inhparent::pg_catalog.regclass::text, ', ' ORDER BY \
         inhseqno) || ')' FROM pg_catalog.pg_inherits WHERE inhrelid = c.oid) ELSE '' END, CASE WHEN c.relkind = 'p' THEN ' \
         PARTITION BY ' || pg_catalog.pg_get_partkeydef(c.oid) ELSE '' END, ' WITH (' || \
         pg_catalog.array_to_string(c.reloptions, ', ') || ')'), 'c' || c.oid::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON \
         n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND {schemas} AND c.relname NOT IN ({own}) AND NOT EXISTS (SELECT \
         {extension} c.oid) ORDER BY 1",
    ),
    (
        "owned sequence",
        "SELECT c.oid::pg_catalog.regclass::text COLLATE \"C\", pg_catalog.format('ALTER SEQUENCE %s OWNED BY %s.%I', \
         c.oid::pg_catalog.regclass, d.refobjid::pg_catalog.regclass, a.attname) FROM pg_catalog.pg_class c JOIN \
         pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_depend d ON d.objid = c.oid AND d.classid = \
         'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid AND d.deptype = 'a' JOIN pg_catalog.pg_attribute a ON \
         a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE c.relkind = 'S' AND {schemas} ORDER BY 1",
    ),
    (
        "partition",
        "SELECT c.oid::pg_catalog.regclass::text COLLATE \"C\", pg_catalog.format('ALTER TABLE %s ATTACH PARTITION %s %s', \
         i.inhparent::pg_catalog.regclass, c.oid::pg_catalog.regclass, pg_catalog.pg_get_expr(c.relpartbound, c.oid)) FROM \
         pg_catalog.pg_class c JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid JOIN pg_catalog.pg_namespace n ON n.oid = \
         c.relnamespace WHERE c.relispartition AND c.relkind IN ('r', 'p') AND {schemas} ORDER BY 1",
    ),
    (
        "constraint",
        "SELECT k.conrelid::pg_catalog.regclass::text COLLATE \"C\" || '.' || k.conname::text COLLATE \"C\", \
         pg_catalog.format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::pg_catalog.regclass, k.conname, \
         pg_catalog.pg_get_constraintdef(k.oid)), 'k' || k.oid::text FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conislocal \
         AND k.conparentid = 0 AND {schemas} AND c.relname NOT IN ({own}) AND NOT EXISTS (SELECT {extension} c.oid) ORDER BY \
         k.contype = 'f', 1",
    ),
    (
        "index",
        "SELECT i.indexrelid::pg_catalog.regclass::text COLLATE \"C\", CASE x.relkind WHEN 'I' THEN \
         pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') ELSE \
         pg_catalog.pg_get_indexdef(i.indexrelid) END || CASE WHEN i.indisvalid THEN '' ELSE ' -- not valid' END, 'c' || i.indexrelid::text FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = \
         i.indrelid JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE {schemas} AND c.relkind <> 't' AND c.relname NOT IN ({own}) AND NOT x.relispartition AND NOT EXISTS (SELECT FROM \
         pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) AND NOT EXISTS (SELECT \
         {extension} c.oid) ORDER BY 1",
    ),
    (
        "view",
        "SELECT c.oid::pg_catalog.regclass::text COLLATE \"C\", pg_catalog.format(E'CREATE %sVIEW %s%s AS\\n%s', CASE c.relkind \
         WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END, c.oid::pg_catalog.regclass, ' WITH (' || \
         pg_catalog.array_to_string(c.reloptions, ', ') || ')', pg_catalog.pg_get_viewdef(c.oid)), 'c' || c.oid::text FROM \
         pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') AND \
         {schemas} AND NOT EXISTS (SELECT {extension} c.oid) ORDER BY 1",
    ),
    (
        "function",
        "SELECT p.oid::pg_catalog.regprocedure::text COLLATE \"C\", pg_catalog.pg_get_functiondef(p.oid), 'p' || p.oid::text FROM pg_catalog.pg_proc \
         p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind IN ('f', 'p', 'w') AND {schemas} AND NOT \
         EXISTS (SELECT {extension} p.oid) AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend i WHERE i.classid = \
         'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objid = p.oid AND i.deptype = 'i') ORDER BY 1",
    ),
    (
        "aggregate",
        "SELECT p.oid::pg_catalog.regprocedure::text COLLATE \"C\", pg_catalog.format('CREATE AGGREGATE %s (SFUNC = %s, STYPE = \
         %s%s%s)', p.oid::pg_catalog.regprocedure, a.aggtransfn, pg_catalog.format_type(a.aggtranstype, NULL), CASE WHEN \
         a.aggfinalfn::oid <> 0 THEN ', FINALFUNC = ' || a.aggfinalfn::text ELSE '' END, ', INITCOND = ' || \
         pg_catalog.quote_literal(a.agginitval)), 'p' || p.oid::text FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc p ON p.oid = a.aggfnoid \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE {schemas} AND NOT EXISTS (SELECT {extension} p.oid) \
         ORDER BY 1",
    ),
    (
        "rule",
        "SELECT r.ev_class::pg_catalog.regclass::text COLLATE \"C\" || '.' || r.rulename::text COLLATE \"C\", \
         pg_catalog.pg_get_ruledef(r.oid), 'r' || r.oid::text FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class JOIN \
         pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE r.rulename <> '_RETURN' AND {schemas} AND NOT EXISTS (SELECT \
         {extension} c.oid) ORDER BY 1",
    ),
    (
        "trigger",
        "SELECT t.tgrelid::pg_catalog.regclass::text COLLATE \"C\" || '.' || t.tgname::text COLLATE \"C\", \
         pg_catalog.pg_get_triggerdef(t.oid) || CASE t.tgenabled WHEN 'O' THEN '' ELSE ' -- enabled: ' || t.tgenabled::text END \
         FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = \
         c.relnamespace WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND {schemas} AND NOT EXISTS (SELECT {extension} c.oid) \
         ORDER BY 1",
    ),
    (
        "policy",
        "SELECT p.polrelid::pg_catalog.regclass::text COLLATE \"C\" || '.' || p.polname::text COLLATE \"C\", \
         pg_catalog.format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', p.polname, p.polrelid::pg_catalog.regclass, CASE WHEN \
         p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END, CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' \
         WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END, (SELECT pg_catalog.string_agg(CASE WHEN role = 0 THEN \
         'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(role)) END, ', ' ORDER BY role) FROM \
         pg_catalog.unnest(p.polroles) role), ' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', ' WITH CHECK (' \
         || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')') FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON \
         c.oid = p.polrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {schemas} ORDER BY 1",
    ),
    (
        "security",
        "SELECT c.oid::pg_catalog.regclass::text COLLATE \"C\", pg_catalog.format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY%s', \
         c.oid::pg_catalog.regclass, CASE WHEN c.relforcerowsecurity THEN pg_catalog.format('; ALTER TABLE %s FORCE ROW LEVEL \
         SECURITY', c.oid::pg_catalog.regclass) ELSE '' END) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = \
         c.relnamespace WHERE c.relrowsecurity AND {schemas} ORDER BY 1",
    ),
    (
        "comment",
        "SELECT o.type || ' ' || o.identity COLLATE \"C\", pg_catalog.format('COMMENT ON %s %s IS %L', CASE WHEN o.type LIKE '% \
         column' THEN 'COLUMN' ELSE pg_catalog.upper(o.type) END, o.identity, d.description) FROM pg_catalog.pg_description d, \
         pg_catalog.pg_identify_object(d.classoid, d.objoid, d.objsubid) o WHERE d.objoid >= 16384 AND {commented} AND NOT \
         EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.deptype = 'e' AND e.objid = d.objoid) \
         ORDER BY 1",
    ),
];
