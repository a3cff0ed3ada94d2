//! What a concurrent statement of PostgreSQL leaves when it is cancelled or fails: an index that is not valid, or a
//! partition that is half detached. The server takes the name for used, so nothing else tells that it is not done.

use std::collections::BTreeSet;

use serde::Serialize;

use super::database::{ReadDatabase, Value};
use super::dialect::Dialect;
use super::engine_error::EngineError;
use super::script::classify::names_of_concurrent;

/// Reads the indexes that are not valid, and the partitions that are not yet detached. An index on a partitioned table
/// is left out, because it is not valid until each partition has one.
const QUERY: &str = "SELECT i.indexrelid::bigint, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname::text, \
     n.nspname::text, pg_catalog.pg_table_is_visible(c.oid)::int::bigint, NULL::text FROM pg_catalog.pg_index i JOIN \
     pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE \
     c.relkind = 'i' AND NOT (i.indisvalid AND i.indisready) UNION ALL SELECT -h.inhrelid::bigint, \
     pg_catalog.format('%I.%I', n.nspname, c.relname), c.relname::text, n.nspname::text, \
     pg_catalog.pg_table_is_visible(c.oid)::int::bigint, pg_catalog.format('%I.%I', m.nspname, p.relname) FROM \
     pg_catalog.pg_inherits h JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid JOIN pg_catalog.pg_namespace n ON n.oid = \
     c.relnamespace JOIN pg_catalog.pg_class p ON p.oid = h.inhparent JOIN pg_catalog.pg_namespace m ON m.oid = \
     p.relnamespace WHERE (pg_catalog.to_jsonb(h) ->> 'inhdetachpending')::bool";

/// An index that is not valid, or a partition that is not yet detached.
#[derive(Debug, Clone, Serialize)]
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

    /// Returns true if these names of a statement are those of this.
    fn is_named_in(&self, names: &BTreeSet<String>) -> bool {
        let (schema, name) = &self.bare;
        names.contains(name) && (self.is_visible || names.contains(schema))
    }
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

    /// Returns those that a concurrent statement names or that were not there before it.
    pub fn of_statement(&self, statement: &str, before: &Self) -> Option<&UnfinishedBuild> {
        let names = names_of_concurrent(Dialect::Postgres, statement)?;
        let is_new = |build: &UnfinishedBuild| !before.0.iter().any(|other| other.number == build.number);
        // A new one elsewhere is being built by another session.
        let is_near =
            |build: &UnfinishedBuild| build.is_visible || names.contains(&build.bare.0) || is_everywhere(&names);
        self.0.iter().find(|build| (is_new(build) && is_near(build)) || build.is_named_in(&names))
    }

    /// Returns those that one of the statements names.
    pub fn named_in<'a>(self, statements: impl Iterator<Item = &'a str>) -> Vec<UnfinishedBuild> {
        let names: Vec<_> = statements.filter_map(|text| names_of_concurrent(Dialect::Postgres, text)).collect();
        self.0.into_iter().filter(|build| names.iter().any(|names| build.is_named_in(names))).collect()
    }
}

/// Returns true for the words of `REINDEX DATABASE` and `REINDEX SYSTEM`.
fn is_everywhere(names: &BTreeSet<String>) -> bool {
    names.contains("reindex") && (names.contains("database") || names.contains("system"))
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
    Some(UnfinishedBuild { name, remedy, number, bare: (schema, bare), is_visible })
}
