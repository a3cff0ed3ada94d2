//! Compares the migrations with the ledger. Every command uses this one planner.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::db::database::ReadDatabase;
use crate::db::engine_error::EngineError;
use crate::db::script::classify::{Destruction, Keywords, names_of_concurrent};
use crate::db::script::{Direction, Migration, Migrations};
use crate::db::state::{AppliedRow, Cursor, CursorRow, LogRow, Outcome, StateReader, Tables};
use crate::db::unfinished_builds::{UnfinishedBuild, UnfinishedBuilds};
use crate::db::version::Version;
use crate::migration::Error;

/// The state of the migrations in a database.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The applied migrations, in the order of application.
    pub applied: Vec<AppliedRow>,
    /// The pending migrations, lowest version first.
    pub pending: Vec<PendingMigration>,
    /// The applied migrations whose files were changed.
    pub changed: Vec<ChangedMigration>,
    /// The applied migrations whose files are missing.
    pub missing: Vec<AppliedRow>,
    /// Pairs of neighbours between which counted versions are missing.
    pub gaps: Vec<(Version, Version)>,
    /// The indexes and partitions that concurrent statements of the migrations have left half done.
    pub unfinished_builds: Vec<UnfinishedBuild>,
    /// The newest log row about each version.
    #[serde(skip)]
    pub newest: BTreeMap<String, LogRow>,
    /// The cursors of batches that are not finished.
    #[serde(skip)]
    pub cursors: Vec<CursorRow>,
}

/// A migration that is not applied.
#[derive(Debug, Clone, Serialize)]
pub struct PendingMigration {
    /// The version.
    pub version: Version,
    /// The label.
    pub name: String,
    /// The checksum of the text.
    pub checksum: String,
    /// The file with the Up section.
    pub file: String,
    /// The number of statements in the Up section.
    pub statements: usize,
    /// True if it runs without a transaction.
    pub no_transaction: bool,
    /// The number of batches in the Up section.
    pub batches: usize,
    /// True if it can be rolled back.
    pub reversible: bool,
    /// True if a higher version is applied.
    pub out_of_order: bool,
    /// The comments at the top of the file.
    pub header: Vec<String>,
    /// The statements that destroy data.
    pub destructive: Vec<DestructiveStatement>,
    /// How an earlier attempt ended, if it did not succeed.
    pub earlier_attempt: Option<String>,
}

/// A statement that destroys data.
#[derive(Debug, Clone, Serialize)]
pub struct DestructiveStatement {
    /// The line in the file.
    pub line: u64,
    /// What the statement destroys.
    pub what: Destruction,
}

/// An applied migration whose file has another checksum now.
#[derive(Debug, Clone, Serialize)]
pub struct ChangedMigration {
    /// The version.
    pub version: Version,
    /// The current label.
    pub name: String,
    /// The file with the Up section.
    pub file: String,
    /// The checksum in the ledger.
    pub applied_checksum: String,
    /// The checksum of the file.
    pub checksum: String,
}

impl Plan {
    /// Compares the migrations with the state of a database. Only reads.
    pub fn make(
        database: &mut dyn ReadDatabase,
        tables: &Tables,
        migrations: &Migrations,
    ) -> Result<Self, EngineError> {
        let mut state = StateReader::new(database, tables);
        let applied = state.applied()?;
        let newest = state.newest()?.into_iter().map(|row| (row.version.clone(), row)).collect();
        let cursors = state.cursors()?;
        let plan = Self::compare(applied, newest, cursors, migrations);
        let texts = || migrations.iter().flat_map(|migration| migration.up.statements()).map(|(_, text)| text);
        if !texts().any(|text| names_of_concurrent(migrations.dialect(), text).is_some()) {
            return Ok(plan);
        }
        Ok(Self { unfinished_builds: UnfinishedBuilds::read(database)?.named_in(texts()), ..plan })
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
                    pending.earlier_attempt = Some(batches_under_way(cursor));
                }
                pending
            })
            .collect();
        let changed =
            applied.iter().filter_map(|row| ChangedMigration::of(row, migrations.get(&row.version)?)).collect();
        let missing = applied.iter().filter(|row| migrations.get(&row.version).is_none()).cloned().collect();
        Self {
            pending,
            changed,
            missing,
            gaps: migrations.gaps(),
            unfinished_builds: Vec::new(),
            newest,
            cursors,
            applied,
        }
    }

    /// Fails if the file of an applied migration was changed or is missing (docs/source-sql.md, "Checksum").
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
        let next = "restore the file; if the new text is right, `haul db repair` stores its checksum";
        Err(Error::Verification { what, next: next.into(), source: None })
    }

    /// Fails if a pending version is below an applied one.
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

    /// Returns the cursor of the batches of a section, if they are not finished.
    pub fn cursor(&self, version: &Version, direction: Direction) -> Option<&Cursor> {
        cursor(&self.cursors, version, direction)
    }

    /// Returns the ledger row of this version.
    pub fn applied_row(&self, version: &Version) -> Option<&AppliedRow> {
        self.applied.iter().find(|row| row.version == *version)
    }
}

impl PendingMigration {
    fn of(migration: &Migration, out_of_order: bool, newest: Option<&LogRow>, migrations: &Migrations) -> Self {
        let destruction = |(line, statement): (u64, &str)| {
            let what = Keywords::of(migrations.dialect(), statement).destruction()?;
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

fn batches_under_way(cursor: &Cursor) -> String {
    format!("batch {} is under way, {} rows are done; the next run continues there", cursor.batch + 1, cursor.rows)
}

/// Describes an attempt that did not succeed.
fn earlier_attempt(row: &LogRow) -> Option<String> {
    let (at, owner) = (&row.started_at, &row.owner);
    match row.known_outcome()? {
        Outcome::Failed => Some(format!("failed at {at}: {}", row.error.as_deref().unwrap_or("no reason is known"))),
        Outcome::Stopped => row.error.clone(),
        Outcome::Started => Some(format!("an attempt of {owner} at {at} did not end; it was rolled back")),
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
