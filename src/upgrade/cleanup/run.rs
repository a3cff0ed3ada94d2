//! Removes the rows of one table after the other.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde::Serialize;

use super::archive::{Archive, ArchiveWriter, check};
use crate::db::sqlite::connect;
use crate::db::sqlite::errors::engine_error;
use crate::durable::{Disk, create_directory_durable};
use crate::migration::Error;
use crate::pipeline::Control;
use crate::upgrade::definition::{Definition, Retention};
use crate::upgrade::set::Member;
use crate::upgrade::values::{self, Values};
use crate::upgrade::{json_lines, questions};

/// Rows that one transaction removes at most.
const BATCH_ROWS: u64 = 1_000;
/// The tables of haul in every database, which are dropped on request.
const OWN_TABLES: [&str; 2] = ["haul_progress", "haul_steps"];

/// What a clean-up works with.
pub struct CleanupRequest<'a> {
    /// The disk of the archives.
    pub disk: &'a dyn Disk,
    /// The directory of the archives.
    pub archives: PathBuf,
    /// The upgrade.
    pub definition: &'a Definition,
    /// The databases.
    pub members: &'a [Member],
    /// What SQL may ask for.
    pub values: &'a Values,
    /// True if the tables `haul_steps` and `haul_progress` are dropped as well.
    pub drop_own_tables: bool,
    /// True if nothing is changed.
    pub dry_run: bool,
}

/// What was removed from a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TableCleaned {
    /// The table.
    pub table: String,
    /// The database.
    pub file: String,
    /// Rows that are over their time.
    pub expired: u64,
    /// Rows that were removed; rows that went with them by a cascade are not counted.
    pub deleted: u64,
    /// Where they were written to before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
}

/// What a clean-up did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CleanupEnd {
    /// Every table with a time limit.
    pub tables: Vec<TableCleaned>,
    /// Tables of haul that were dropped, as `file: table`.
    pub dropped: Vec<String>,
    /// True if nothing was changed because it was not asked for.
    pub dry_run: bool,
}

/// Removes what is over its time, after an archive of it was read again.
pub fn clean(request: &CleanupRequest<'_>, control: &Control<'_>) -> Result<CleanupEnd, Error> {
    let mut tables = Vec::new();
    for rule in &request.definition.retention {
        if let Some(member) = questions::primary(request.members, &rule.tier) {
            tables.push(request.clean_table(rule, member, control)?);
        }
    }
    let dropped = if request.drop_own_tables && !request.dry_run { request.drop_own()? } else { Vec::new() };
    if !request.dry_run {
        request.members.iter().try_for_each(|member| check_integrity(&member.path))?;
    }
    Ok(CleanupEnd { tables, dropped, dry_run: request.dry_run })
}

impl CleanupRequest<'_> {
    fn clean_table(&self, rule: &Retention, member: &Member, control: &Control<'_>) -> Result<TableCleaned, Error> {
        let connection = connect::open_for_write(&member.path)?;
        values::register(&connection, self.values)?;
        let cleaning = Cleaning { connection, path: &member.path, rule };
        let expired = cleaning.collect_expired()?;
        let (mut archive, mut deleted) = (None, 0);
        if expired > 0 && !self.dry_run {
            if !rule.archive.is_empty() || !rule.summary.is_empty() {
                archive = Some(self.archive(&cleaning)?);
            }
            deleted = cleaning.delete(expired, control)?;
        }
        Ok(TableCleaned { table: rule.table.clone(), file: member.key.clone(), expired, deleted, archive })
    }

    /// Writes the rows that go and their summary into a new file, and reads it again.
    fn archive(&self, cleaning: &Cleaning<'_>) -> Result<Archive, Error> {
        create_directory_durable(self.disk, &self.archives)?;
        let at = self.values.run_clock.strftime("%Y%m%dT%H%M%S%.6fZ");
        let path = self.archives.join(format!("{}-{at}.jsonl", cleaning.rule.table));
        let secret = self.secret_columns(&cleaning.rule.table);
        let archive =
            ArchiveWriter::write(self.disk, &path, cleaning.path, |writer| cleaning.write_to(writer, &secret))?;
        check(self.disk, &archive)?;
        json_lines::append(self.disk, &self.archives.join("manifest.jsonl"), &archive)?;
        Ok(archive)
    }

    fn secret_columns(&self, table: &str) -> Vec<String> {
        let columns = self.definition.secret_columns.iter().filter_map(|name| name.split_once('.'));
        columns.filter(|(of, _)| *of == table).map(|(_, column)| column.to_owned()).collect()
    }

    /// Drops the tables of haul in every database.
    fn drop_own(&self) -> Result<Vec<String>, Error> {
        let mut dropped = Vec::new();
        for member in self.members {
            let connection = connect::open_for_write(&member.path)?;
            for table in OWN_TABLES {
                let sql = format!("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '{table}'");
                if questions::number(&connection, &member.path, &sql)?.value == Some(1.0) {
                    let done = connection.execute_batch(&format!("DROP TABLE {table}"));
                    done.map_err(|error| engine_error(error).at(&connect::place(&member.path)))?;
                    dropped.push(format!("{}: {table}", member.key));
                }
            }
        }
        Ok(dropped)
    }
}

/// A table whose old rows are removed.
struct Cleaning<'a> {
    connection: Connection,
    path: &'a Path,
    rule: &'a Retention,
}

impl Cleaning<'_> {
    fn wrap<T>(&self, result: rusqlite::Result<T>) -> Result<T, Error> {
        result.map_err(|error| engine_error(error).at(&connect::place(self.path)))
    }

    /// Keeps the numbers of the rows that go, so that archive and removal are about the same rows. Returns their count.
    fn collect_expired(&self) -> Result<u64, Error> {
        let Retention { table, expired, .. } = self.rule;
        let sql = format!(
            "PRAGMA foreign_keys = ON; PRAGMA temp_store = FILE;
             CREATE TEMP TABLE haul_expired(id INTEGER PRIMARY KEY);
             INSERT INTO haul_expired SELECT rowid FROM {table} WHERE {expired}"
        );
        self.wrap(self.connection.execute_batch(&sql))?;
        let count = "SELECT count(*) FROM haul_expired";
        Ok(self.wrap(self.connection.query_row(count, [], |row| row.get::<_, i64>(0)))?.unsigned_abs())
    }

    fn write_to(&self, writer: &mut ArchiveWriter<'_>, secret: &[String]) -> Result<(), Error> {
        let Retention { table, archive, summary, .. } = self.rule;
        let expired = "rowid IN (SELECT id FROM haul_expired)";
        if !archive.is_empty() {
            self.write_rows(writer, "row", &format!("SELECT * FROM {table} WHERE {expired} AND ({archive})"), secret)?;
        }
        if !summary.is_empty() {
            self.write_rows(writer, "summary", &summary.replace("{expired}", expired), secret)?;
        }
        Ok(())
    }

    fn write_rows(
        &self,
        writer: &mut ArchiveWriter<'_>,
        kind: &str,
        sql: &str,
        secret: &[String],
    ) -> Result<(), Error> {
        let mut statement = self.wrap(self.connection.prepare(sql))?;
        let columns: Vec<_> = statement.column_names().map(str::to_owned).collect();
        let mut rows = self.wrap(statement.query([]))?;
        while let Some(row) = self.wrap(rows.next())? {
            writer.row(kind, row, &columns, secret)?;
        }
        Ok(())
    }

    /// Removes the rows, so many in a transaction. Returns how many there were.
    fn delete(&self, expired: u64, control: &Control<'_>) -> Result<u64, Error> {
        let table = &self.rule.table;
        let batch = format!("SELECT id FROM haul_expired ORDER BY id LIMIT {BATCH_ROWS}");
        let delete = format!("DELETE FROM {table} WHERE rowid IN ({batch})");
        let forget = format!("DELETE FROM haul_expired WHERE id IN ({batch})");
        let mut deleted = 0;
        while deleted < expired {
            if control.stop.is_requested() {
                return Err(Error::stopped());
            }
            let rows = self.wrap(self.connection.execute(&delete, []))? as u64;
            self.wrap(self.connection.execute(&forget, []))?;
            if rows == 0 {
                break;
            }
            deleted += rows;
        }
        if deleted == expired {
            return Ok(deleted);
        }
        Err(Error::Accounting { what: format!("{table}: {expired} rows were to be removed, {deleted} were") })
    }
}

fn check_integrity(path: &Path) -> Result<(), Error> {
    let connection = connect::open_for_read(path)?;
    let answer = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get::<_, String>(0));
    match answer.map_err(|error| engine_error(error).at(&connect::place(path)))?.as_str() {
        "ok" => Ok(()),
        found => Err(Error::Verification {
            what: format!("cleanup: {}: {found}", path.display()),
            next: "restore the database from the backup of the upgrade".into(),
            source: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::durable::{Attributes, RealDisk, replace_file_with};
    use crate::pipeline::{Silent, StopToken};
    use crate::upgrade::values::AssumedZone;

    const RULES: &str = r#"
        name = "t"
        from = "1"
        to = "2"
        group = []
        secret-columns = ["logs.token"]

        [[tier]]
        name = "main"
        [[tier.shape]]
        name = "only"
        table = "reports"

        [[retention]]
        table = "reports"
        tier = "main"
        expired = "haul_before(made, 30)"

        [[retention]]
        table = "logs"
        tier = "main"
        expired = "haul_before(made, 30)"
        archive = "denied = 1"
        summary = "SELECT count(*) AS rows FROM logs WHERE {expired}"
    "#;

    struct Place {
        directory: tempfile::TempDir,
        members: Vec<Member>,
        values: Values,
    }

    impl Place {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("main.db");
            replace_file_with(&RealDisk, &path, Attributes::Mode(0o600), |_| Ok::<_, Error>(())).unwrap();
            let connection = Connection::open(&path).unwrap();
            connection
                .execute_batch(
                    "CREATE TABLE reports(id INTEGER PRIMARY KEY, made TEXT);
                     CREATE TABLE issues(id INTEGER PRIMARY KEY, report INTEGER REFERENCES reports(id) ON DELETE CASCADE);
                     CREATE TABLE logs(id INTEGER PRIMARY KEY, made TEXT, denied INTEGER, token TEXT);
                     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
                     INSERT INTO reports SELECT i, iif(i <= 2400, '2020-01-01 00:00:00', '2026-11-01 00:00:00') FROM n;
                     INSERT INTO issues SELECT id, id FROM reports;
                     INSERT INTO logs SELECT id, made, id <= 3, 'secret' FROM reports;
                     CREATE TABLE haul_steps(name TEXT)",
                )
                .unwrap();
            let member =
                Member { key: "main.db".into(), path, tier: "main".into(), shape: "only".into(), is_primary: true };
            let values = Values {
                run_clock: "2026-11-20T00:00:00Z".parse().unwrap(),
                zone: AssumedZone::default(),
                inputs: BTreeMap::new(),
                settings: BTreeMap::new(),
            };
            Self { directory, members: vec![member], values }
        }

        fn clean(&self, dry_run: bool, stop: &StopToken) -> Result<CleanupEnd, Error> {
            let request = CleanupRequest {
                disk: &RealDisk,
                archives: self.directory.path().join("archives"),
                definition: &toml::from_str(RULES).unwrap(),
                members: &self.members,
                values: &self.values,
                drop_own_tables: true,
                dry_run,
            };
            clean(&request, &Control { stop, observer: &Silent })
        }

        fn count(&self, table: &str) -> i64 {
            let connection = Connection::open(&self.members[0].path).unwrap();
            connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        }
    }

    #[test]
    fn what_is_over_its_time_goes_in_batches_with_what_hangs_on_it() {
        let place = Place::new();
        let end = place.clean(false, &StopToken::new()).unwrap();
        assert_eq!((end.tables[0].expired, end.tables[0].deleted), (2400, 2400));
        assert_eq!((place.count("reports"), place.count("issues"), place.count("logs")), (100, 100, 100));
        assert_eq!(end.dropped, ["main.db: haul_steps"]);
        let again = place.clean(false, &StopToken::new()).unwrap();
        assert_eq!((again.tables[0].expired, again.tables[1].archive.clone()), (0, None));
    }

    #[test]
    fn rows_are_archived_before_they_go_and_without_secrets() {
        let place = Place::new();
        let end = place.clean(false, &StopToken::new()).unwrap();
        let archive = end.tables[1].archive.clone().unwrap();
        let text = std::fs::read_to_string(&archive.path).unwrap();
        assert_eq!(RealDisk.mode(&archive.path).unwrap(), 0o600, "nobody may read more than before");
        assert_eq!((archive.rows, text.lines().count()), (4, 4));
        assert!(text.contains(r#"{"summary":{"rows":2400}}"#) && !text.contains("secret"), "{text}");
        check(&RealDisk, &archive).unwrap();
        let damaged = Archive { bytes: archive.bytes + 1, ..archive };
        assert!(check(&RealDisk, &damaged).unwrap_err().to_string().contains("is not what was written"));
    }

    #[test]
    fn a_dry_run_changes_nothing_and_a_stop_leaves_whole_batches() {
        let place = Place::new();
        let before = std::fs::read(&place.members[0].path).unwrap();
        assert_eq!(place.clean(true, &StopToken::new()).unwrap().tables[0].expired, 2400);
        assert_eq!(std::fs::read(&place.members[0].path).unwrap(), before);
        let stop = StopToken::new();
        stop.request();
        assert_eq!(place.clean(false, &stop).unwrap_err().exit_code(), crate::migration::exit::TEMPORARY);
        assert_eq!(place.count("reports"), 2500);
    }
}
