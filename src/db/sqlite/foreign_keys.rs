//! Foreign keys of SQLite, checked at the end of a section.
//!
//! A section runs with enforcement off, because rebuilding a table needs that, and its effect is checked before the
//! commit. Rows that violated a key before do not count: each key is compared row by row with what it was before the
//! first statement that touches its table or the one it refers to. Other keys are not read.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, ErrorCode};

use super::errors::engine_error;
use super::watch::Changes;
use crate::db::engine_error::{EngineError, EngineErrorKind};

/// The maximum number of rows that violate one key and are remembered, so that memory is bounded.
const ROWS_MAX: usize = 4_000_000;

/// The keys that the statements of a transaction may have violated.
#[derive(Debug, Default)]
pub struct ForeignKeys {
    before: BTreeMap<Key, State>,
    /// The tables that were touched, in lower case.
    touched: BTreeSet<String>,
    /// The tables that were rebuilt, so that rows without a key of their own have new numbers.
    rebuilt: BTreeSet<String>,
    has_everything: bool,
    /// The keys of all tables, as they were when this was last looked at.
    known: Option<KnownKeys>,
    /// True if the transaction has looked at them.
    is_known_here: bool,
    /// The tables that were touched since then.
    changed: BTreeSet<String>,
    /// True if keys of other tables may have changed since then.
    is_redefined: bool,
}

/// All keys. Reading them takes as long as there are tables, which is long for each of many small migrations.
#[derive(Debug)]
struct KnownKeys {
    /// The number that SQLite gives to each state of the schema.
    schema_version: i64,
    keys: Vec<Key>,
}

/// A foreign key. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    table: String,
    from: Vec<String>,
    parent: String,
    /// The columns of the parent; `None` for its primary key.
    to: Vec<Option<String>>,
}

/// What a key is like.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// It does not fit its parent, so that SQLite cannot check it.
    Broken,
    /// The rows that violate it, in order.
    Violations(Vec<Row>),
}

/// A row, as digests of what identifies it and of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    identity: u64,
    values: u64,
}

impl ForeignKeys {
    /// Forgets the transaction before, which was committed.
    pub fn begin(&mut self) {
        *self = Self { known: self.known.take(), ..Self::default() };
    }

    /// Reads the keys that a prepared statement may violate, before it runs.
    pub fn prepare(&mut self, connection: &Connection, changes: &Changes) -> Result<(), EngineError> {
        // A table that was already read may be dropped now, to be rebuilt.
        self.rebuilt.extend(changes.dropped.iter().cloned());
        let is_new = changes.tables.iter().any(|table| !self.touched.contains(table));
        let is_everything = changes.is_of_everything() && !self.has_everything;
        if is_new || is_everything {
            self.touched.extend(changes.tables.iter().cloned());
            self.has_everything |= is_everything;
            for key in self.keys(connection).map_err(engine_error)? {
                if self.concerns(&key) && !self.before.contains_key(&key) {
                    let state = state(connection, &key)?;
                    self.before.insert(key, state);
                }
            }
        }
        // The statement runs after this.
        self.changed.extend(changes.tables.iter().cloned());
        self.is_redefined |= changes.alters || changes.is_of_everything();
        Ok(())
    }

    /// Returns the keys of all tables. Reads only those that may have changed since the last time.
    fn keys(&mut self, connection: &Connection) -> rusqlite::Result<Vec<Key>> {
        let schema_version = connection.pragma_query_value(None, "schema_version", |row| row.get(0))?;
        let keys = match self.known.take() {
            // An edit of the definitions as rows gives no new number.
            _ if self.is_redefined => keys_of(connection, None)?,
            Some(known) if known.schema_version == schema_version => known.keys,
            Some(KnownKeys { mut keys, .. }) if self.is_known_here => {
                keys.retain(|key| !self.changed.contains(&key.table));
                for table in &self.changed {
                    keys.extend(keys_of(connection, Some(table))?);
                }
                keys
            }
            _ => keys_of(connection, None)?,
        };
        self.changed.clear();
        (self.is_known_here, self.is_redefined) = (true, false);
        self.known = Some(KnownKeys { schema_version, keys: keys.clone() });
        Ok(keys)
    }

    /// Follows a table to its new name, from the names of all tables before and after a statement. The old name is kept
    /// too, because a new table may get it.
    pub fn rename(&mut self, before: &BTreeSet<String>, after: &BTreeSet<String>) {
        let (Some(old), Some(new)) = (before.difference(after).next(), after.difference(before).next()) else { return };
        let renamed = |name: &String| if name == old { new.clone() } else { name.clone() };
        let renamed = |key: &Key| Key { table: renamed(&key.table), parent: renamed(&key.parent), ..key.clone() };
        let states: Vec<_> = self.before.iter().map(|(key, state)| (renamed(key), state.clone())).collect();
        for (key, state) in states {
            self.before.entry(key).or_insert(state);
        }
        self.touched.insert(new.clone());
        self.rebuilt.insert(old.clone());
    }

    /// Fails if a row violates a key that it did not violate before, or if a key no longer fits.
    pub fn compare(&mut self, connection: &Connection) -> Result<(), EngineError> {
        let mut now = self.keys(connection).map_err(engine_error)?;
        now.retain(|key| self.concerns(key));
        for key in &now {
            let before = self.before.get(key).or_else(|| self.renamed(key, &now));
            match (before, state(connection, key)?) {
                (Some(State::Broken), _) => {}
                (_, State::Broken) => return Err(broken(key)),
                (before, State::Violations(now)) => {
                    let before = match before {
                        Some(State::Violations(before)) => before.as_slice(),
                        _ => &[],
                    };
                    let count = count_new(before, &now, self.rebuilt.contains(&key.table));
                    if count > 0 {
                        return Err(violated(key, count));
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns true if a statement so far may have violated the key.
    fn concerns(&self, key: &Key) -> bool {
        self.has_everything || self.touched.contains(&key.table) || self.touched.contains(&key.parent)
    }

    /// Returns the state of the key when its columns had other names: the only key of its table that is gone, if it is
    /// the only one that is new.
    fn renamed(&self, key: &Key, now: &[Key]) -> Option<&State> {
        let is_pair = |other: &Key| other.table == key.table && other.parent == key.parent;
        let mut new = now.iter().filter(|other| is_pair(other) && !self.before.contains_key(*other));
        let mut gone = self.before.iter().filter(|(other, _)| is_pair(other) && !now.contains(other));
        match (new.next(), new.next(), gone.next(), gone.next()) {
            (Some(_), None, Some((_, state)), None) => Some(state),
            _ => None,
        }
    }
}

/// Returns the names of the tables of the main database, in lower case.
pub fn table_names(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = connection.prepare("SELECT lower(name) FROM main.sqlite_schema WHERE type = 'table'")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// Returns the keys of one table of the main database, or of all.
fn keys_of(connection: &Connection, table: Option<&String>) -> rusqlite::Result<Vec<Key>> {
    let columns = "f.id, lower(f.\"table\"), lower(f.\"from\"), lower(f.\"to\")";
    let sql = match table {
        Some(_) => format!("SELECT ?1, {columns} FROM pragma_foreign_key_list(?1, 'main') f ORDER BY f.id, f.seq"),
        // Only a table whose definition has the word can have a key. Looking first is much faster than asking each table.
        None => format!(
            "SELECT lower(m.name), {columns} FROM main.sqlite_schema m, pragma_foreign_key_list(m.name, 'main') f WHERE \
             m.type = 'table' AND instr(upper(m.sql), 'REFERENCES') ORDER BY m.name, f.id, f.seq"
        ),
    };
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(table))?;
    let mut found: Vec<Key> = Vec::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        let (table, id): (String, i64) = (row.get(0)?, row.get(1)?);
        let this = Some((table.clone(), id));
        if last != this {
            found.push(Key { table, from: Vec::new(), parent: row.get(2)?, to: Vec::new() });
            last = this;
        }
        if let Some(key) = found.last_mut() {
            key.from.push(row.get(3)?);
            key.to.push(row.get(4)?);
        }
    }
    Ok(found)
}

/// Reads what the key is like now.
fn state(connection: &Connection, key: &Key) -> Result<State, EngineError> {
    let read = || -> rusqlite::Result<_> {
        match condition(connection, key)? {
            Some(condition) => violations(connection, key, &condition).map(Some),
            None => Ok(Some(State::Broken)),
        }
    };
    match read() {
        Ok(Some(State::Violations(rows))) if rows.len() > ROWS_MAX => Err(too_many(key)),
        Ok(state) => Ok(state.unwrap_or(State::Broken)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Err(too_slow(key)),
        Err(error) => Err(engine_error(error)),
    }
}

/// Returns the condition for a row `c` that violates the key, or `None` if the key does not fit its parent.
fn condition(connection: &Connection, key: &Key) -> rusqlite::Result<Option<String>> {
    let filled: Vec<_> = key.from.iter().map(|column| format!("c.{} IS NOT NULL", quoted(column))).collect();
    let filled = filled.join(" AND ");
    let columns = columns(connection, &key.parent)?;
    if columns.is_empty() {
        // SQLite takes each row for a violation while there is no such table.
        return Ok(Some(filled));
    }
    let primary: Vec<_> = primary_key(&columns);
    let to: Vec<String> = match key.to.iter().cloned().collect::<Option<Vec<_>>>() {
        Some(to) => to,
        None => primary.clone(),
    };
    let is_known = |name: &String| columns.iter().any(|(column, _)| column == name);
    let is_key = is_same(&to, &primary) || unique_keys(connection, &key.parent)?.iter().any(|own| is_same(&to, own));
    if to.len() != key.from.len() || !to.iter().all(is_known) || !is_key {
        return Ok(None);
    }
    // Without its affinity, the value is converted and compared as the column of the parent is.
    let pairs = to.iter().zip(&key.from).map(|(to, from)| format!("p.{} = +c.{}", quoted(to), quoted(from)));
    let pairs = pairs.collect::<Vec<_>>().join(" AND ");
    Ok(Some(format!("{filled} AND NOT EXISTS (SELECT 1 FROM main.{} p WHERE {pairs})", quoted(&key.parent))))
}

/// Reads the rows that violate the key.
fn violations(connection: &Connection, key: &Key, condition: &str) -> rusqlite::Result<State> {
    let columns = columns(connection, &key.table)?;
    let mut own = primary_key(&columns);
    if own.is_empty() {
        let is_free = |name: &&str| !columns.iter().any(|(column, _)| column == name);
        own.extend(["rowid", "_rowid_", "oid"].into_iter().find(is_free).map(str::to_owned));
    }
    let text = |names: &[String]| {
        let parts: Vec<_> = names.iter().map(|name| format!("quote(c.{})", quoted(name))).collect();
        parts.join(" || ',' || ")
    };
    let (identity, values) = (text(&own), text(&key.from));
    let sql = format!("SELECT {identity}, {values} FROM main.{} c WHERE {condition}", quoted(&key.table));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Row { identity: digest(row.get_ref(0)?.as_bytes()?), values: digest(row.get_ref(1)?.as_bytes()?) });
        if found.len() > ROWS_MAX {
            break;
        }
    }
    found.sort_unstable();
    Ok(State::Violations(found))
}

/// Returns the number of rows that violate the key now and did not before. A row that refers to something else than before
/// is a new one, and so is a row that has got the number of one that is gone. Rows of a table that was rebuilt are known by
/// their values only.
fn count_new(before: &[Row], now: &[Row], is_rebuilt: bool) -> usize {
    let counted = |rows: &[Row]| {
        let mut counts = BTreeMap::new();
        for row in rows {
            *counts.entry((if is_rebuilt { 0 } else { row.identity }, row.values)).or_insert(0_usize) += 1;
        }
        counts
    };
    let before = counted(before);
    let more = |(row, count): (&(u64, u64), &usize)| count.saturating_sub(before.get(row).copied().unwrap_or(0));
    counted(now).iter().map(more).sum()
}

/// Returns the columns of a table, in lower case, with their places in its primary key.
fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement = connection.prepare_cached("SELECT lower(name), pk FROM pragma_table_xinfo(?1, 'main')")?;
    statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn primary_key(columns: &[(String, i64)]) -> Vec<String> {
    let mut key: Vec<_> = columns.iter().filter(|(_, place)| *place > 0).collect();
    key.sort_by_key(|(_, place)| *place);
    key.into_iter().map(|(name, _)| name.clone()).collect()
}

/// Returns the columns of each unique index of the table that covers all rows.
fn unique_keys(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    let sql = "SELECT i.name, lower(c.name) FROM pragma_index_list(?1, 'main') i, pragma_index_info(i.name, 'main') c \
               WHERE i.\"unique\" AND NOT i.partial ORDER BY i.name, c.seqno";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([table])?;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        // An expression has no name.
        let column: Option<String> = row.get(1)?;
        found.entry(row.get(0)?).or_default().push(column.unwrap_or_default());
    }
    Ok(found.into_values().collect())
}

fn is_same(one: &[String], other: &[String]) -> bool {
    one.len() == other.len() && one.iter().all(|column| other.contains(column))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn digest(bytes: &[u8]) -> u64 {
    let digest = blake3::hash(bytes);
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("eight of 32 bytes"))
}

fn violated(key: &Key, count: usize) -> EngineError {
    let Key { table, parent, .. } = key;
    let rows = if count == 1 { "1 row of".to_owned() } else { format!("{count} rows of") };
    let refer = if count == 1 { "refers" } else { "refer" };
    error(format!(
        "foreign key violated: {rows} {table} {refer} to rows of {parent} that do not exist, and did not before"
    ))
    .with_hint(format!(
        "correct the rows in the migration; `PRAGMA foreign_key_check({table})` lists them; `-- haul: foreign-keys=on` enforces \
         keys at once, with their ON DELETE and ON UPDATE"
    ))
}

fn broken(key: &Key) -> EngineError {
    let (columns, parent) = (key.from.join(", "), &key.parent);
    error(format!(
        "the foreign key of {} ({columns}) refers to columns of {parent} that do not exist or are not unique",
        key.table
    ))
    .with_hint(format!("keep the columns of {parent} that it refers to, with a PRIMARY KEY or a UNIQUE index on them"))
}

fn too_many(key: &Key) -> EngineError {
    error(format!("more than {ROWS_MAX} rows of {} violate a foreign key: new ones cannot be recognized", key.table))
        .with_hint("correct these rows first, in a migration of its own with `-- haul: no-transaction`")
}

fn too_slow(key: &Key) -> EngineError {
    let what = format!("the check of the foreign key from {} to {}", key.table, key.parent);
    EngineError::new(EngineErrorKind::Cancelled, what).with_hint(
        "the statements were not slow, the check was, which reads the whole table: allow it more time with `-- haul: \
         timeout=…` or --timeout",
    )
}

fn error(what: String) -> EngineError {
    EngineError::new(EngineErrorKind::Statement, what)
}
