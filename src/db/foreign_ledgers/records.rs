//! What the ledger of another runner says is applied.

use super::ForeignLedger;
use super::checksums::is_of;
use super::forms::{HAUL, Rows, Sum};
use crate::db::database::{ReadDatabase, Value};
use crate::db::dialect::Dialect;
use crate::db::script::Migration;
use crate::db::version::Version;
use crate::migration::Error;

/// A version that another runner has applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The version.
    pub version: Version,
    /// The name there; empty if there is none.
    pub name: String,
    /// The checksum there.
    checksum: Option<String>,
}

/// What another runner has applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// The versions that have a row.
    pub versions: Vec<Recorded>,
    /// The version up to which all count as applied.
    pub up_to: Option<Version>,
    /// True if there are rows, whether or not they name versions.
    has_rows: bool,
    /// False for a baseline, which is a version without a file.
    up_to_has_file: bool,
    sum: Sum,
}

impl Records {
    /// Returns true if nothing is recorded.
    pub fn is_empty(&self) -> bool {
        !self.has_rows
    }

    /// Returns true if this version counts as applied there.
    pub fn names(&self, version: &Version) -> bool {
        self.up_to.as_ref().is_some_and(|up_to| version <= up_to)
            || self.versions.iter().any(|row| row.version == *version)
    }

    /// Returns the versions that must have a file.
    pub fn named(&self) -> impl Iterator<Item = &Version> {
        let up_to = self.up_to.as_ref().filter(|_| self.up_to_has_file);
        self.versions.iter().map(|row| &row.version).chain(up_to)
    }

    /// Returns true if the file of this version can be compared.
    pub fn has_checksum(&self, version: &Version) -> bool {
        self.sum != Sum::None && self.versions.iter().any(|row| row.version == *version && row.checksum.is_some())
    }

    /// Returns true unless the checksum there shows that the file was another one.
    pub fn agrees(&self, migration: &Migration) -> bool {
        let recorded = self.versions.iter().find(|row| row.version == migration.version);
        let sum = recorded.and_then(|row| row.checksum.as_deref());
        if self.sum == Sum::Haul {
            return sum == Some(migration.checksum.to_string().as_str());
        }
        sum.is_none_or(|recorded| is_of(self.sum, recorded, migration.up.file_text()))
    }
}

impl ForeignLedger {
    /// Returns true if it is one of haul, with another name.
    pub fn is_of_haul(&self) -> bool {
        self.runner == HAUL
    }

    /// Returns true if its rows name versions.
    pub fn has_versions(&self) -> bool {
        matches!(self.form.rows, Rows::Query(..))
    }

    /// Reads what is applied. Rows that failed or that name no version are errors.
    pub fn records(&self, database: &mut dyn ReadDatabase) -> Result<Records, Error> {
        let place = database.place();
        let (sql, sum) = match self.form.rows {
            Rows::Foreign => ("SELECT '', '', NULL, 'foreign' FROM {t} LIMIT 1", Sum::None),
            Rows::Query(sql, sum) => (sql, sum),
        };
        let hex = match database.dialect() {
            Dialect::Sqlite => "hex(checksum)",
            Dialect::Postgres => "pg_catalog.encode(checksum, 'hex')",
        };
        let sql = sql.replace("{hex(checksum)}", hex).replace("{t}", &self.reference);
        let rows = database.query(&sql, &[]).map_err(|error| error.at(&place))?;
        let up_to_has_file = sum == Sum::None;
        let mut records =
            Records { versions: Vec::new(), up_to: None, has_rows: !rows.is_empty(), up_to_has_file, sum };
        rows.into_iter().try_for_each(|row| self.add(&mut records, row))?;
        Ok(records)
    }

    fn add(&self, records: &mut Records, row: Vec<Value>) -> Result<(), Error> {
        let mut values = row.into_iter();
        let mut next = || values.next().unwrap_or(Value::Text(None));
        let (text, name, checksum, state) =
            (next().into_text(), next().into_text(), next().into_optional_text(), next().into_text());
        match state.as_str() {
            "foreign" => return Ok(()),
            "failed" => return Err(self.failed(if text.is_empty() { &name } else { &text })),
            _ => {}
        }
        let version = version(&text).ok_or_else(|| self.not_a_version(&text))?;
        records.versions.retain(|row| row.version != version);
        match state.as_str() {
            "undone" => {}
            "up_to" => records.up_to = records.up_to.take().max(Some(version)),
            _ => records.versions.push(Recorded { version, name, checksum }),
        }
        Ok(())
    }

    fn failed(&self, what: &str) -> Error {
        Error::Usage {
            what: format!("{}: {} says that {what} failed or did not end", self.table, self.runner),
            next: format!("settle it with {} first, then run the same command again", self.runner),
        }
    }

    fn not_a_version(&self, text: &str) -> Error {
        Error::Usage {
            what: format!("{}: `{text}` is not a whole number or a name that begins with one", self.table),
            next: "find out which files the schema already has, and use `haul db baseline VERSION`".into(),
        }
    }
}

/// Returns the version that a text is or begins with. A version of several parts, such as
/// `1.2`, is none.
fn version(text: &str) -> Option<Version> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let rest = &text.as_bytes()[end..];
    // `2026-01-02` is a date, and no version 2026.
    let is_date = matches!(rest, [b'-', next, ..] if next.is_ascii_digit());
    let is_end = matches!(rest, [] | [b'_' | b'-', ..]) && !is_date;
    if is_end { text[..end].parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_whole_number_or_the_start_of_a_name() {
        for (text, expected) in [
            ("7", Some("7")),
            ("0012", Some("12")),
            ("1700000000000_create-users", Some("1700000000000")),
            ("1_initial.sql", Some("1")),
            ("1.2", None),
            ("2026-01-02-x", None),
            ("20260101000000_2fa", Some("20260101000000")),
            ("20260101-x", Some("20260101")),
            ("ae1027a6acf", None),
            ("12ab", None),
            ("", None),
        ] {
            assert_eq!(version(text).as_ref().map(Version::digits), expected, "{text}");
        }
    }
}
