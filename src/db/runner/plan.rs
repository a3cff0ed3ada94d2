//! What is applied, what is pending, and what does not fit: the one planner, for every verb.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::db::Version;
use crate::db::database::ReadDatabase;
use crate::db::engine_error::EngineError;
use crate::db::script::classify::{Destruction, Words};
use crate::db::script::{Direction, Migration, Migrations};
use crate::db::state::{AppliedRow, Cursor, CursorRow, LogRow, Outcome, StateReader, Tables};
use crate::migration::Error;

/// How the migrations stand to the ledger.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// What is applied, in the order of application.
    pub applied: Vec<AppliedRow>,
    /// What is not, lowest version first.
    pub pending: Vec<PendingMigration>,
    /// Applied, and its text is not what it was.
    pub changed: Vec<ChangedMigration>,
    /// Applied, and its file is not there.
    pub missing: Vec<AppliedRow>,
    /// Neighbours between which counted versions are missing.
    pub gaps: Vec<(Version, Version)>,
    /// What the log says last of each version that an attempt was made at.
    #[serde(skip)]
    pub newest: BTreeMap<String, LogRow>,
    /// Batches that are not at their end.
    #[serde(skip)]
    pub cursors: Vec<CursorRow>,
}

/// A migration that is not applied.
#[derive(Debug, Clone, Serialize)]
pub struct PendingMigration {
    /// Its version.
    pub version: Version,
    /// Its label.
    pub name: String,
    /// The checksum of its text.
    pub checksum: String,
    /// The file with its Up section.
    pub file: String,
    /// Statements of its Up section.
    pub statements: usize,
    /// True if it runs without a transaction.
    pub no_transaction: bool,
    /// Batches of its Up section.
    pub batches: usize,
    /// True if it can be taken back.
    pub reversible: bool,
    /// True if a higher version is applied.
    pub out_of_order: bool,
    /// The comments on top of its file.
    pub header: Vec<String>,
    /// Statements that destroy data.
    pub destructive: Vec<DestructiveStatement>,
    /// How an earlier attempt ended, if it did not succeed.
    pub earlier_attempt: Option<String>,
}

/// A statement that destroys data.
#[derive(Debug, Clone, Serialize)]
pub struct DestructiveStatement {
    /// Its line in the file.
    pub line: u64,
    /// What it does.
    pub what: Destruction,
}

/// An applied migration whose text has another checksum now.
#[derive(Debug, Clone, Serialize)]
pub struct ChangedMigration {
    /// Its version.
    pub version: Version,
    /// Its label now.
    pub name: String,
    /// The file with its Up section.
    pub file: String,
    /// The checksum in the ledger.
    pub applied_checksum: String,
    /// The checksum now.
    pub checksum: String,
}

impl Plan {
    /// Compares the migrations with the state of a database. Reads only.
    pub fn make(
        database: &mut dyn ReadDatabase,
        tables: &Tables,
        migrations: &Migrations,
    ) -> Result<Self, EngineError> {
        let mut state = StateReader::new(database, tables);
        let applied = state.applied()?;
        let newest = state.newest()?.into_iter().map(|row| (row.version.clone(), row)).collect();
        let cursors = state.cursors()?;
        Ok(Self::compare(applied, newest, cursors, migrations))
    }

    fn compare(
        applied: Vec<AppliedRow>,
        newest: BTreeMap<String, LogRow>,
        cursors: Vec<CursorRow>,
        migrations: &Migrations,
    ) -> Self {
        let highest = applied.iter().map(|row| &row.version).max();
        let versions: BTreeSet<_> = applied.iter().map(|row| &row.version).collect();
        let is_pending = |migration: &&Migration| !versions.contains(&migration.version);
        let pending = migrations
            .iter()
            .filter(is_pending)
            .map(|migration| {
                let is_late = highest.is_some_and(|highest| migration.version < *highest);
                let mut pending =
                    PendingMigration::of(migration, is_late, newest.get(migration.version.digits()), migrations);
                if let Some(cursor) = cursor(&cursors, &migration.version, Direction::Up) {
                    pending.earlier_attempt = Some(half_done(cursor));
                }
                pending
            })
            .collect();
        let changed =
            applied.iter().filter_map(|row| ChangedMigration::of(row, migrations.get(&row.version)?)).collect();
        let missing = applied.iter().filter(|row| migrations.get(&row.version).is_none()).cloned().collect();
        Self { pending, changed, missing, gaps: migrations.gaps(), newest, cursors, applied }
    }

    /// An error if what is applied is not what the files say (requiem.md B4).
    pub fn require_unchanged(&self) -> Result<(), Error> {
        let what = match (self.changed.first(), self.missing.first()) {
            (Some(changed), _) => format!(
                "{} was changed after it was applied: its checksum is {}, in the ledger it is {}",
                changed.file, changed.checksum, changed.applied_checksum
            ),
            (None, Some(missing)) => format!("{} is applied, and its file is missing", missing.name),
            (None, None) => return Ok(()),
        };
        let more = self.changed.len() + self.missing.len() - 1;
        let what = if more > 0 { format!("{what} (and {more} more: `haul db verify` lists them)") } else { what };
        let next =
            "put the file back as it was; if its text is right as it is, `haul db repair` takes its checksum over";
        Err(Error::Verification { what, next: next.into(), source: None })
    }

    /// An error if a pending version is below an applied one.
    pub fn require_order(&self, upto: Option<&Version>) -> Result<(), Error> {
        let mut wanted = self.pending.iter().filter(|pending| upto.is_none_or(|upto| pending.version <= *upto));
        match wanted.find(|pending| pending.out_of_order) {
            Some(late) => Err(Error::Usage {
                what: format!("{} is pending, and a higher version is applied", late.name),
                next: "give it a version above all that are applied, or add --allow-out-of-order".into(),
            }),
            None => Ok(()),
        }
    }

    /// How far the batches of a section have come that are not at their end.
    pub fn cursor(&self, version: &Version, direction: Direction) -> Option<&Cursor> {
        cursor(&self.cursors, version, direction)
    }

    /// The row of the ledger with this version.
    pub fn applied_row(&self, version: &Version) -> Option<&AppliedRow> {
        self.applied.iter().find(|row| row.version == *version)
    }
}

impl PendingMigration {
    fn of(migration: &Migration, out_of_order: bool, newest: Option<&LogRow>, migrations: &Migrations) -> Self {
        let destruction = |(line, statement): (u64, &str)| {
            let what = Words::of(migrations.dialect(), statement).destruction()?;
            Some(DestructiveStatement { line, what })
        };
        Self {
            version: migration.version.clone(),
            name: migration.label(),
            checksum: migration.checksum.to_string(),
            file: migration.up.file.display().to_string(),
            statements: migration.up.len(),
            no_transaction: migration.up.settings.no_transaction,
            batches: migration.up.batches().len(),
            reversible: migration.down.is_some(),
            out_of_order,
            header: migration.header.clone(),
            destructive: migration.up.statements().filter_map(destruction).collect(),
            earlier_attempt: newest.and_then(earlier_attempt),
        }
    }
}

fn cursor<'a>(cursors: &'a [CursorRow], version: &Version, direction: Direction) -> Option<&'a Cursor> {
    let is_meant = |row: &&CursorRow| row.version == version.digits() && row.is_of(direction);
    cursors.iter().find(is_meant).map(|row| &row.cursor)
}

fn half_done(cursor: &Cursor) -> String {
    format!("batch {} is under way, {} rows are done; the next run goes on there", cursor.batch + 1, cursor.rows)
}

/// How an attempt ended that did not succeed.
fn earlier_attempt(row: &LogRow) -> Option<String> {
    let (at, owner) = (&row.started_at, &row.owner);
    match row.known_outcome()? {
        Outcome::Failed => Some(format!("failed at {at}: {}", row.error.as_deref().unwrap_or("no reason is known"))),
        Outcome::Stopped => row.error.clone(),
        Outcome::Started => Some(format!("an attempt of {owner} at {at} did not end; nothing of it stayed")),
        Outcome::Running => {
            let statement = row.statement.unwrap_or_default();
            Some(format!(
                "an attempt of {owner} did not end; it is not known whether statement {statement} took effect"
            ))
        }
        _ => None,
    }
}

impl ChangedMigration {
    fn of(row: &AppliedRow, migration: &Migration) -> Option<Self> {
        let checksum = migration.checksum.to_string();
        (checksum != row.checksum).then(|| Self {
            version: row.version.clone(),
            name: migration.label(),
            file: migration.up.file.display().to_string(),
            applied_checksum: row.checksum.clone(),
            checksum,
        })
    }
}
