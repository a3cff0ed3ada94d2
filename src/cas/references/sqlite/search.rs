//! Finds the references in the values of a database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Error};

use super::super::counts::ReferenceCounts;
use super::super::failure::RewriteFailure;
use super::super::resolve::{Resolution, Resolver};
use super::super::scan::{Reference, Scanner, Spelling};
use super::connect::{VALUE_BYTES_MAX, failure};
use super::tables::{Table, quoted, tables};
use crate::cas::format::key::Key;
use crate::migration;
use crate::pipeline::StopToken;

/// Bytes of a value between two looks at the stop.
const PIECE_BYTES: usize = 1 << 20;
/// Length of a digest that is not written as text.
pub(super) const DIGEST_BYTES: usize = 32;

/// Handles a reference that was found.
pub(super) type OnReference<'a> = &'a mut dyn FnMut(&Place<'_>, &Reference, Resolution) -> Result<(), migration::Error>;

/// Where a reference was found.
pub(crate) enum Place<'a> {
    /// In a column of a table.
    Column(&'a str, &'a str),
    /// In the statement that defines an object of this type and name.
    Definition(&'a str, &'a str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(table, column) => write!(f, "in column {column} of table {table}"),
            Self::Definition(kind, name) => write!(f, "in the definition of {kind} {name}"),
        }
    }
}

/// What was found in a database.
#[derive(Default)]
pub(crate) struct Found {
    /// All references.
    pub(super) counts: ReferenceCounts,
    /// Tables with references to rewrite, and their columns that have them.
    pub(super) tables: Vec<(Table, Vec<String>)>,
    /// What keeps the references from being rewritten, if there are any to rewrite.
    pub(crate) obstacle: Option<String>,
    /// The virtual tables.
    pub(crate) virtual_tables: Vec<String>,
}

impl Found {
    /// Returns the counts after all references to rewrite were rewritten.
    pub(super) fn rewritten(&self) -> ReferenceCounts {
        let mut counts = self.counts;
        counts.current += std::mem::take(&mut counts.replaced);
        counts
    }

    fn hinder(&mut self, why: impl FnOnce() -> String) {
        self.obstacle.get_or_insert_with(why);
    }
}

/// Passes all references to `on_reference`.
pub(super) fn search(
    connection: &mut Connection,
    path: &Path,
    resolver: &mut Resolver<'_>,
    stop: &StopToken,
    on_reference: OnReference<'_>,
) -> Result<Found, RewriteFailure> {
    let wrap = |error| failure(path, error);
    let mut search = Search { path, resolver, stop, on_reference, found: Found::default() };
    search.definitions(connection)?;
    for table in tables(connection).map_err(wrap)? {
        let (columns, name) = (search.table(connection, &table)?, &table.name);
        if table.is_virtual {
            search.found.virtual_tables.push(name.clone());
        }
        if columns.is_empty() {
            continue;
        }
        if table.is_virtual {
            search.found.hinder(|| format!("virtual table {name} has references to rewrite, and only its module may"));
        } else if table.key.is_empty() {
            search.found.hinder(|| format!("the rows of table {name} have no number that can be named"));
        } else if let Some(trigger) = trigger(connection, &table, &columns).map_err(wrap)? {
            search.found.hinder(|| {
                format!(
                    "trigger {trigger} would run when table {name} is changed; drop it, rewrite, and create it again"
                )
            });
        }
        search.found.tables.push((table, columns));
    }
    Ok(search.found)
}

/// Returns an expression for the value of a column, and for no value where that is a blob too large to be searched.
fn shown(column: &str) -> String {
    format!(
        "CASE WHEN typeof({column}) = 'blob' AND octet_length({column}) > {VALUE_BYTES_MAX} THEN NULL ELSE {column} END"
    )
}

/// Returns the trigger that would run if these columns were updated.
fn trigger(connection: &mut Connection, table: &Table, columns: &[String]) -> Result<Option<String>, Error> {
    let found = Arc::new(Mutex::new(None));
    let note = found.clone();
    connection.authorizer(Some(move |context: AuthContext<'_>| match context.accessor {
        Some(trigger) => {
            note.lock().get_or_insert_with(|| trigger.to_owned());
            Authorization::Deny
        }
        None => Authorization::Allow,
    }))?;
    let set: Vec<_> = columns.iter().map(|column| format!("{0} = {0}", quoted(column))).collect();
    let prepared = connection.prepare(&format!("UPDATE main.{} SET {}", quoted(&table.name), set.join(", ")));
    let error = prepared.map(drop).err();
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)?;
    let trigger = found.lock().take();
    match (trigger, error) {
        (None, Some(error)) => Err(error),
        (trigger, _) => Ok(trigger),
    }
}

struct Search<'a, 'm> {
    path: &'a Path,
    resolver: &'a mut Resolver<'m>,
    stop: &'a StopToken,
    on_reference: OnReference<'a>,
    found: Found,
}

impl Search<'_, '_> {
    /// Searches the statements of the schema: a digest in a view or a default stays.
    fn definitions(&mut self, connection: &Connection) -> Result<(), RewriteFailure> {
        let wrap = |error| failure(self.path, error);
        let mut statement = connection
            .prepare("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")
            .map_err(wrap)?;
        let mut rows = statement.query([]).map_err(wrap)?;
        while let Some(row) = rows.next().map_err(wrap)? {
            let (kind, name, sql): (String, String, String) =
                (row.get(0).map_err(wrap)?, row.get(1).map_err(wrap)?, row.get(2).map_err(wrap)?);
            let place = Place::Definition(&kind, &name);
            if self.value(&place, ValueRef::Text(sql.as_bytes()))? > 0 {
                self.found
                    .hinder(|| format!("the definition of {kind} {name} has references to rewrite; change it first"));
            }
        }
        Ok(())
    }

    /// Searches a table, and returns its columns that have references to rewrite.
    fn table(&mut self, connection: &Connection, table: &Table) -> Result<Vec<String>, RewriteFailure> {
        if table.columns.is_empty() {
            return Ok(Vec::new());
        }
        let path = self.path;
        let wrap = |error| failure(path, error);
        let names: Vec<_> = table.columns.iter().map(|column| shown(&quoted(column))).collect();
        let query = format!("SELECT {} FROM main.{}", names.join(", "), quoted(&table.name));
        let mut statement = connection.prepare(&query).map_err(wrap)?;
        let mut rows = statement.query([]).map_err(wrap)?;
        let mut replaced = vec![0; names.len()];
        while let Some(row) = rows.next().map_err(wrap)? {
            for (index, column) in table.columns.iter().enumerate() {
                let value = row.get_ref(index).map_err(wrap)?;
                replaced[index] += self.value(&Place::Column(&table.name, column), value)?;
            }
        }
        let columns = table.columns.iter().zip(replaced).filter(|(_, replaced)| *replaced > 0);
        Ok(columns.map(|(column, _)| column.clone()).collect())
    }

    /// Searches a value, and returns how many of its references are to be rewritten.
    fn value(&mut self, place: &Place<'_>, value: ValueRef<'_>) -> Result<u64, RewriteFailure> {
        let Self { resolver, stop, on_reference, found, .. } = self;
        let before = found.counts.replaced;
        let mut look = |reference: Reference| {
            let resolution = resolver.resolve(reference.scheme, reference.key)?;
            // Any 32 bytes may be something else than a digest.
            if reference.len_bytes == DIGEST_BYTES as u64 && resolution == Resolution::Unknown {
                return Ok(());
            }
            found.counts.count(resolution);
            on_reference(place, &reference, resolution)
        };
        match Content::of(value) {
            Content::Other => {}
            Content::Digest(key) => look(digest_reference(key))?,
            Content::Text(text) => {
                let mut scanner = Scanner::new();
                for piece in text.chunks(PIECE_BYTES) {
                    if stop.is_requested() {
                        return Err(RewriteFailure::Stopped);
                    }
                    scanner.push(piece, &mut look)?;
                }
                scanner.finish().map_or(Ok(()), look)?;
            }
        }
        Ok(self.found.counts.replaced - before)
    }
}

/// What a value has.
pub(super) enum Content<'a> {
    /// A text in which references are looked for, in a column of whatever type.
    Text(&'a [u8]),
    /// The bytes of what may be a digest.
    Digest(Key),
    /// No references.
    Other,
}

impl<'a> Content<'a> {
    /// Returns what a value has.
    pub(super) fn of(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Text(text) => Self::Text(text),
            ValueRef::Blob(bytes) => match <[u8; DIGEST_BYTES]>::try_from(bytes) {
                Ok(digest) => Self::Digest(Key(digest)),
                // Other blobs have a structure of their own, which a changed text may not fit.
                Err(_) if bytes.contains(&0) || std::str::from_utf8(bytes).is_err() => Self::Other,
                Err(_) => Self::Text(bytes),
            },
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => Self::Other,
        }
    }
}

fn digest_reference(key: Key) -> Reference {
    let spelling = Spelling { is_upper: false, directories: None, is_kept: true };
    Reference { offset: 0, len_bytes: DIGEST_BYTES as u64, scheme: None, key, spelling }
}
