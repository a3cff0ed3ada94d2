//! The table of cursors: how far the batches of a section have come. A row is there from the first page of a section to
//! its end, and changes in the transaction of each page.
//!
//! | column | |
//! |---|---|
//! | `version`, `direction` | the section |
//! | `batch` | the batch that is under way, from 1 |
//! | `key` | the last key that is done, as a JSON list of literals; NULL before the first |
//! | `row_count` | keys that are done, in all batches |
//! | `page_count` | transactions that took |
//! | `checksum` | of everything up to that batch |
//! | `updated_at` | RFC 3339, UTC |

use super::entries::direction_text;
use super::tables::{Tables, mark};
use super::writer::StateWriter;
use crate::db::database::{ReadDatabase, Value};
use crate::db::engine_error::{EngineError, EngineErrorKind};
use crate::db::script::Direction;
use crate::db::version::Version;
use crate::migration::now_text;

/// How far the batches of a section have come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The batch under way, by its index.
    pub batch: usize,
    /// The last key that is done, as literals of the engine; `None` before the first.
    pub key: Option<Vec<String>>,
    /// Keys that are done, in all batches.
    pub rows: u64,
    /// Transactions that took.
    pub pages: u64,
    /// Of everything up to that batch.
    pub checksum: String,
}

/// A cursor, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorRow {
    /// The migration's version, as its digits.
    pub version: String,
    /// Which section: `up` or `down`.
    pub direction: String,
    /// How far it has come.
    pub cursor: Cursor,
}

impl CursorRow {
    /// True if it is that of this section.
    pub fn is_of(&self, direction: Direction) -> bool {
        self.direction == direction_text(Some(direction))
    }
}

/// The cursors that are there.
pub(super) fn read(database: &mut dyn ReadDatabase, tables: &Tables) -> Result<Vec<CursorRow>, EngineError> {
    if !tables.have_cursors(database)? {
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
            .with_hint("restore that row of the table of cursors, or settle the version with `haul db resolve`")),
    }
}

impl StateWriter<'_> {
    /// Creates the table of cursors, unless it is there.
    pub fn create_cursors(&mut self) -> Result<(), EngineError> {
        self.tables.create_cursors(self.database)
    }

    /// Puts the cursor of a section in place of the one that was there.
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

    /// Removes the cursor of a section, if it has one.
    pub fn delete_cursor(&mut self, version: &Version, direction: Direction) -> Result<(), EngineError> {
        if !self.tables.have_cursors(self.database)? {
            return Ok(());
        }
        let table = self.database.table_reference(self.tables.cursors());
        let [one, two] = [1, 2].map(|number| mark(self.database.dialect(), number));
        let sql = format!("DELETE FROM {table} WHERE version = {one} AND direction = {two}");
        self.database.query(&sql, &[version.digits().into(), direction_text(Some(direction)).into()]).map(drop)
    }
}
