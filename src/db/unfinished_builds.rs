//! What a concurrent statement of PostgreSQL leaves when it is cancelled or fails: an index that is not valid, or a
//! partition that is half detached. The server takes the name for used, so nothing else tells that it is not done.

use std::collections::BTreeSet;

use serde::Serialize;

use super::database::{ReadDatabase, Value};
use super::dialect::Dialect;
use super::engine_error::EngineError;
use super::script::classify::Build;

/// Reads the indexes that are not valid, and the partitions that are not yet detached. An index on a partitioned table
/// is left out, because it is not valid until each partition has one.
const QUERY: &str = "SELECT i.indexrelid::bigint, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname::text, \
     n.nspname::text, pg_catalog.pg_table_is_visible(c.oid)::int::bigint, NULL::text, t.relname::text FROM pg_catalog.pg_index i JOIN \
     pg_catalog.pg_class t ON t.oid = i.indrelid JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE \
     c.relkind = 'i' AND NOT (i.indisvalid AND i.indisready) UNION ALL SELECT -h.inhrelid::bigint, \
     pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname::text, n.nspname::text, \
     pg_catalog.pg_table_is_visible(c.oid)::int::bigint, pg_catalog.format('%I.%I', m.nspname, p.relname), \
     p.relname::text FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = \
     c.relnamespace JOIN pg_catalog.pg_class p ON p.oid = h.inhparent JOIN pg_catalog.pg_namespace m ON m.oid = \
     p.relnamespace WHERE (pg_catalog.to_jsonb(h) ->> 'inhdetachpending')::bool";

/// An index that is not valid, or a partition that is not yet detached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnfinishedBuild {
    /// The name with its schema, quoted where needed.
    pub name: String,
    /// The statement that removes the index, or that completes the detachment.
    pub remedy: String,
    #[serde(skip)]
    number: i64,
    #[serde(skip)]
    bare: (String, String),
    #[serde(skip)]
    table: String,
    #[serde(skip)]
    is_visible: bool,
}

impl UnfinishedBuild {
    /// Returns what it is, with its name.
    pub fn what(&self) -> String {
        if self.number > 0 {
            format!("the index {} is not valid: it is not used, and a unique one does not hold", self.name)
        } else {
            format!("the partition {} is not yet detached", self.name)
        }
    }

    /// Returns true if a statement is about this. `paths` are names that statements around it have for their search path.
    fn is_named_in(&self, statement: &Build, paths: &BTreeSet<String>) -> bool {
        let (schema, name) = &self.bare;
        let rebuilt = rebuilt_name(name);
        let is_named = statement.names(name)
            || rebuilt.is_some_and(|rebuilt| statement.names(rebuilt))
            || (statement.is_of_tables && statement.names(&self.table) && (rebuilt.is_some() || !statement.rebuilds()));
        let is_in_schema = self.is_visible || statement.names(schema) || paths.contains(schema);
        let is_in_all = rebuilt.is_some() && statement.rebuilds_all_of(schema);
        (is_named && is_in_schema) || is_in_all
    }
}

/// Returns the name of the index that `REINDEX CONCURRENTLY` was to replace by this one, or has replaced.
fn rebuilt_name(name: &str) -> Option<&str> {
    let bare = name.trim_end_matches(|found: char| found.is_ascii_digit());
    bare.strip_suffix("_ccnew").or_else(|| bare.strip_suffix("_ccold"))
}

/// Everything of the kind that is in a database.
#[derive(Debug, Clone, Default)]
pub struct UnfinishedBuilds(Vec<UnfinishedBuild>);

impl UnfinishedBuilds {
    /// Reads what is in the database. SQLite has nothing of the kind.
    pub fn read(database: &mut dyn ReadDatabase) -> Result<Self, EngineError> {
        if database.dialect() == Dialect::Sqlite {
            return Ok(Self::default());
        }
        Ok(Self(database.query(QUERY, &[])?.into_iter().filter_map(build).collect()))
    }

    /// Returns what a statement names, or what was not there before it.
    pub fn of_statement(&self, statement: &Build, before: Option<&Self>) -> Option<&UnfinishedBuild> {
        let is_new = |build: &UnfinishedBuild| {
            before.is_some_and(|before| !before.0.iter().any(|other| other.number == build.number))
        };
        // A new one elsewhere is being built by another session. What is rebuilt may belong to the large values of a table.
        let is_near = |build: &UnfinishedBuild| {
            let (schema, name) = &build.bare;
            build.is_visible || statement.names(schema) || (statement.rebuilds() && rebuilt_name(name).is_some())
        };
        let paths = BTreeSet::new();
        self.0.iter().find(|build| (is_new(build) && is_near(build)) || build.is_named_in(statement, &paths))
    }

    /// Returns those that one of the statements of a section names.
    pub fn named_in<'a>(&self, statements: impl Iterator<Item = &'a str>) -> Vec<UnfinishedBuild> {
        let (mut builds, mut paths) = (Vec::new(), BTreeSet::new());
        for text in statements {
            builds.extend(Build::of(Dialect::Postgres, text));
            paths.extend(names_in_search_path(text));
        }
        let is_named = |found: &&UnfinishedBuild| builds.iter().any(|build| found.is_named_in(build, &paths));
        self.0.iter().filter(is_named).cloned().collect()
    }
}

/// Returns the words of a statement that sets the search path.
fn names_in_search_path(text: &str) -> Vec<String> {
    if !text.to_ascii_lowercase().contains("search_path") {
        return Vec::new();
    }
    let is_part_of_name = |found: char| found.is_alphanumeric() || found == '_';
    text.split(|found| !is_part_of_name(found)).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn build(row: Vec<Value>) -> Option<UnfinishedBuild> {
    let mut values = row.into_iter();
    let number = values.next()?.integer()?;
    let name = values.next()?.into_text();
    let (bare, schema) = (values.next()?.into_text(), values.next()?.into_text());
    let is_visible = values.next()?.integer() == Some(1);
    let remedy = match values.next()?.into_optional_text() {
        Some(parent) => format!("ALTER TABLE {parent} DETACH PARTITION {name} FINALIZE"),
        None => format!("DROP INDEX CONCURRENTLY {name}"),
    };
    let table = values.next()?.into_text();
    Some(UnfinishedBuild { name, remedy, number, bare: (schema, bare), table, is_visible })
}
