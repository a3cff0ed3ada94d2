//! The table of cursors: the progress of sections with batches. A row exists from the first page of a section to its
//! end, and changes in the transaction of each page.
//!
//! | column | |
//! |---|---|
//! | `version`, `direction` | the section |
//! | `batch` | the current batch, from 1 |
//! | `key` | the last finished key, as a JSON list of literals; NULL before the first |
//! | `row_count` | the number of finished keys, in all batches |
//! | `page_count` | the number of transactions for them |
//! | `checksum` | of everything up to the end of that batch |
//! | `updated_at` | RFC 3339, UTC |

use super::entries::direction_text;
use super::tables::{OnDemand, Tables, mark};
use super::writer::StateWriter;
use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::Direction;
use crate::db::version::Version;
use crate::migration::now_text;

/// The progress of the batches of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The index of the current batch.
    pub batch: usize,
    /// The last finished key, as literals of the engine; `None` before the first.
    pub key: Option<Vec<String>>,
    /// The number of finished keys, in all batches.
    pub rows: u64,
    /// The number of transactions for them.
    pub pages: u64,
    /// The checksum of everything up to the end of that batch. It shows whether the file was changed since.
    pub checksum: String,
}

/// A cursor and its section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorRow {
    /// The digits of the migration's version.
    pub version: String,
    /// The section: `up` or `down`.
    pub direction: String,
    /// The cursor.
    pub cursor: Cursor,
}

impl CursorRow {
    /// Returns true if the cursor is that of this section.
    pub fn is_of(&self, direction: Direction) -> bool {
        self.direction == direction_text(Some(direction))
    }
}

/// Returns all cursors.
pub(super) fn read(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<CursorRow>, EngineError> {
    if !tables.have(database, OnDemand::Cursors)? {
        return Ok(Vec::new());
    }
    let table = database.table_reference(tables.cursors());
    database.query(&format!("SELECT * FROM {table}"), &[])?.into_iter().map(row).collect()
}

fn row(values: Vec<Value>) -> Result<CursorRow, EngineError> {
    let mut values = values.into_iter();
    let mut next = || values.next().unwrap_or(Value::Text(None));
    let (version, direction) = (next().into_text(), next().into_text());
    let count = |value: Value| value.integer().and_then(|number| u64::try_from(number).ok());
    let batch = count(next()).and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
    let key = next().into_optional_text();
    let (rows, pages, checksum) = (count(next()), count(next()), next().into_text());
    let key = key.map(|key| serde_json::from_str(&key)).transpose().ok();
    match (batch, key, rows, pages) {
        (Some(batch), Some(key), Some(rows), Some(pages)) => {
            Ok(CursorRow { version, direction, cursor: Cursor { batch, key, rows, pages, checksum } })
        }
        _ => Err(EngineError::new(EngineErrorKind::Unusable, "the cursor of a batch cannot be read")
            .with_hint("restore that row of the table of cursors, or use `haul db resolve` for the version")),
    }
}

impl StateWriter<'_> {
    /// Creates the table of cursors if it does not exist.
    pub fn create_cursors(&mut self) -> Result<(), EngineError> {
        self.tables.create_on_demand(self.database, OnDemand::Cursors)
    }

    /// Inserts or replaces the cursor of a section.
    pub fn set_cursor(&mut self, version: &Version, direction: Direction, cursor: &Cursor) -> Result<(), EngineError> {
        let table = self.database.table_reference(self.tables.cursors());
        let marks: Vec<_> = (1..=8).map(|number| mark(self.database.dialect(), number)).collect();
        let sql = format!(
            "INSERT INTO {table} VALUES ({}) ON CONFLICT (version, direction) DO UPDATE SET batch = excluded.batch, key = \
             excluded.key, row_count = excluded.row_count, page_count = excluded.page_count, checksum = \
             excluded.checksum, updated_at = excluded.updated_at",
            marks.join(", ")
        );
        let number = |count: u64| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
        let key = cursor.key.as_ref().map(|key| serde_json::to_string(key).expect("a list of texts"));
        let values = [
            version.digits().into(),
            direction_text(Some(direction)).into(),
            number(cursor.batch as u64 + 1),
            Value::Text(key),
            number(cursor.rows),
            number(cursor.pages),
            cursor.checksum.as_str().into(),
            now_text().into(),
        ];
        self.database.query(&sql, &values).map(drop)
    }

    /// Removes the cursor of a section, if there is one.
    pub fn delete_cursor(&mut self, version: &Version, direction: Direction) -> Result<(), EngineError> {
        if !self.tables.have(self.database, OnDemand::Cursors)? {
            return Ok(());
        }
        let table = self.database.table_reference(self.tables.cursors());
        let [one, two] = [1, 2].map(|number| mark(self.database.dialect(), number));
        let sql = format!("DELETE FROM {table} WHERE version = {one} AND direction = {two}");
        self.database.query(&sql, &[version.digits().into(), direction_text(Some(direction)).into()]).map(drop)
    }
}
