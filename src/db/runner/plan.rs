//! Compares the migrations with the ledger. Every command uses this one planner.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::file_state::{DestructiveStatement, FileState, destructive_statements};
use super::squashed::{HalfSquashed, SquashedFiles, SquashedMigration};
use crate::db::database::ReadDatabase;
use crate::db::engine_error::EngineError;
use crate::db::foreign_ledgers::{ForeignLedger, Others};
use crate::db::script::classify::Build;
use crate::db::script::{Direction, Migration, Migrations};
use crate::db::state::{AppliedRow, Cursor, CursorRow, LogRow, Outcome, StateReader, Tables};
use crate::db::unfinished_builds::{UnfinishedBuild, UnfinishedBuilds};
use crate::db::version::Version;
use crate::migration::Error;

/// What to do about applied migrations that have no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FilePolicy {
    /// True to go on without files that are missing below others.
    pub ignores_missing: bool,
    /// True to go on in a database that is ahead of all files, as after a return to an older release.
    pub ignores_newer: bool,
}

/// The state of the migrations in a database.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The applied migrations, in the order of application.
    pub applied: Vec<AppliedRow>,
    /// The pending migrations, lowest version first.
    pub pending: Vec<PendingMigration>,
    /// The files without a version, in the order in which they run.
    #[serde(rename = "repeatables")]
    pub files: Vec<FileState>,
    /// The applied migrations whose version belongs to a file with another name and text now.
    pub replaced: Vec<ChangedMigration>,
    /// The applied migrations whose files were changed.
    pub changed: Vec<ChangedMigration>,
    /// The applied migrations whose files are missing.
    pub missing: Vec<AppliedRow>,
    /// The applied migrations whose files may be missing.
    pub ignored: Vec<AppliedRow>,
    /// The squashed files that the next run records in the place of what they replace.
    pub squashed: Vec<SquashedMigration>,
    /// The squashed files of whose migrations only some are applied.
    #[serde(skip)]
    pub half_squashed: Vec<HalfSquashed>,
    /// The highest version that has a file.
    #[serde(skip)]
    pub newest_file: Option<Version>,
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
    /// What others keep in the database. It is looked for only while nothing is applied.
    #[serde(skip)]
    pub others: Others,
    /// The ledger of another runner that may have applied the same files.
    #[serde(skip)]
    pub other_ledger: Option<ForeignLedger>,
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
    /// Why the migration must not run, if it must not.
    pub fault: Option<String>,
}

/// An applied migration whose file has another checksum now.
#[derive(Debug, Clone, Serialize)]
pub struct ChangedMigration {
    /// The version.
    pub version: Version,
    /// The current label.
    pub name: String,
    /// The label in the ledger.
    pub applied_name: String,
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
        let files = FileState::compare(migrations, &state.files()?);
        let mut plan = Self { files, ..Self::compare(applied, newest, cursors, migrations) };
        if plan.applied.is_empty() && !(plan.pending.is_empty() && plan.pending_files().is_empty()) {
            plan.others = Others::find(database, tables)?;
            plan.other_ledger = plan.others.ledger_in_the_way(database, migrations).cloned();
        }
        plan.unfinished_builds = unfinished_builds(database, migrations)?;
        Ok(plan)
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
        let squashed = SquashedFiles::find(&applied, migrations);
        let own = || applied.iter().filter(|row| !squashed.replace(&row.version));
        let differing = own().filter_map(|row| ChangedMigration::of(row, migrations.get(&row.version)?));
        let (replaced, changed) = differing.partition(ChangedMigration::has_other_name);
        let missing = own().filter(|row| migrations.get(&row.version).is_none()).cloned().collect();
        Self {
            pending,
            files: Vec::new(),
            replaced,
            changed,
            missing,
            ignored: Vec::new(),
            squashed: squashed.whole,
            half_squashed: squashed.half,
            newest_file: migrations.iter().map(|migration| migration.version.clone()).max(),
            gaps: migrations.gaps(),
            unfinished_builds: Vec::new(),
            newest,
            cursors,
            others: Others::default(),
            other_ledger: None,
            applied,
        }
    }

    /// Fails if the file of an applied migration was changed or is missing (docs/source-sql.md, "Checksum").
    pub fn require_unchanged(&self) -> Result<(), Error> {
        if let Some(half) = self.half_squashed.first() {
            return Err(half.error());
        }
        let (what, next) = match (self.replaced.first(), self.changed.first(), self.missing.first()) {
            (Some(replaced), _, Some(_)) => (
                replaced.replaced_text(),
                format!("{}; `haul db squash` makes one file in the place of several", replaced.replaced_next()),
            ),
            (Some(replaced), ..) => (replaced.replaced_text(), replaced.replaced_next()),
            (None, Some(changed), _) => {
                let what = format!(
                    "{} was changed after it was applied: its checksum is {}, in the ledger it is {}",
                    changed.file, changed.checksum, changed.applied_checksum
                );
                let version = &changed.version;
                (what, format!("restore the file; if the new text is right, `haul db repair --version {version}`"))
            }
            (None, None, Some(missing)) => self.missing_text(missing),
            (None, None, None) => return Ok(()),
        };
        let more = self.replaced.len() + self.changed.len() + self.missing.len() - 1;
        let what = if more > 0 { format!("{what} (and {more} more: `haul db verify` lists them)") } else { what };
        Err(Error::Verification { what, next, source: None })
    }

    fn missing_text(&self, row: &AppliedRow) -> (String, String) {
        match self.newest_file.as_ref().is_none_or(|newest| row.version > *newest) {
            true => (
                format!("{} is applied, and its file is missing: the database is ahead of all files here", row.name),
                "use the release that has it; --newer ignore goes on without it".to_owned(),
            ),
            false => (
                format!("{} is applied, and its file is missing", row.name),
                "restore the file, or use the release that has it; --missing ignore goes on without it; `haul db squash` \
                 makes one file in the place of several"
                    .to_owned(),
            ),
        }
    }

    /// Returns the changed migration of this version, or all. Fails if that would hide a migration that never ran.
    pub fn to_repair(&self, version: Option<&Version>) -> Result<Vec<&ChangedMigration>, Error> {
        let is_meant = |changed: &&ChangedMigration| version.is_none_or(|version| changed.version == *version);
        if let Some(replaced) = self.replaced.iter().find(is_meant) {
            let (what, next) = (replaced.replaced_text(), replaced.replaced_next());
            return Err(Error::Verification { what, next, source: None });
        }
        let found: Vec<_> = self.changed.iter().filter(is_meant).collect();
        match version {
            Some(version) if found.is_empty() => Err(Error::Usage {
                what: format!("version {version} is not an applied migration whose file was changed"),
                next: "`haul db verify` lists those".into(),
            }),
            _ => Ok(found),
        }
    }

    /// Fails if nothing is applied yet and another runner has recorded what it applied (docs/source-sql.md, "Ledger and
    /// log").
    pub fn require_own_database(&self) -> Result<(), Error> {
        match &self.other_ledger {
            Some(ledger) if ledger.is_of_haul() => Err(Error::Usage {
                what: format!(
                    "the ledger {} says that some of these files are applied, and another one was asked for",
                    ledger.table
                ),
                next: format!(
                    "name it with --table {0}, or in haul.toml; --allow-other-ledger runs all files anyway",
                    ledger.table
                ),
            }),
            Some(ForeignLedger { table, runner, .. }) => Err(Error::Usage {
                what: format!(
                    "the table {table} of {runner} says that migrations are applied here, and haul has applied none: a run \
                     might repeat them"
                ),
                next: format!(
                    "`haul db baseline --from-ledger {table}` takes them over; --allow-other-ledger runs all files anyway"
                ),
            }),
            None => Ok(()),
        }
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

    /// Returns what an applied migration is now: `applied`, `changed`, `replaced`, `missing`, `ignored` or `squashed`.
    pub fn state_of(&self, row: &AppliedRow) -> &'static str {
        let is_in = |rows: &[AppliedRow]| rows.iter().any(|other| other.version == row.version);
        let differs = |rows: &[ChangedMigration]| rows.iter().any(|other| other.version == row.version);
        match () {
            () if differs(&self.replaced) => "replaced",
            () if differs(&self.changed) => "changed",
            () if is_in(&self.missing) => "missing",
            () if is_in(&self.ignored) => "ignored",
            () if self.squashed.iter().any(|squashed| squashed.replaces.contains(&row.version)) => "squashed",
            () => "applied",
        }
    }

    /// Leaves out of `missing` what the policy allows, and keeps it in `ignored`.
    pub fn allow(&mut self, policy: FilePolicy) {
        let newest = self.newest_file.clone();
        let is_newer = |row: &AppliedRow| newest.as_ref().is_none_or(|newest| row.version > *newest);
        let is_allowed = |row: &AppliedRow| if is_newer(row) { policy.ignores_newer } else { policy.ignores_missing };
        let (ignored, missing) = std::mem::take(&mut self.missing).into_iter().partition(is_allowed);
        (self.ignored, self.missing) = (ignored, missing);
    }

    /// Returns the files without a version that are new or were changed.
    pub fn pending_files(&self) -> Vec<&FileState> {
        self.files.iter().filter(|file| file.is_pending()).collect()
    }

    /// Returns the ledger row of this version.
    pub fn applied_row(&self, version: &Version) -> Option<&AppliedRow> {
        self.applied.iter().find(|row| row.version == *version)
    }
}

impl PendingMigration {
    fn of(migration: &Migration, out_of_order: bool, newest: Option<&LogRow>, migrations: &Migrations) -> Self {
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
            destructive: destructive_statements(migrations.dialect(), &migration.up),
            earlier_attempt: newest.and_then(earlier_attempt),
            fault: migration.fault().map(ToString::to_string),
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
pub(super) fn earlier_attempt(row: &LogRow) -> Option<String> {
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
            applied_name: row.name.clone(),
            file: migration.up.file.display().to_string(),
            applied_checksum: row.checksum.clone(),
            checksum,
        })
    }

    /// Returns true if the name differs too, apart from zeros before the version.
    fn has_other_name(&self) -> bool {
        fn name(label: &str) -> &str {
            label.trim_start_matches(|character: char| character.is_ascii_digit())
        }
        name(&self.applied_name) != name(&self.name)
    }

    /// Says that the file is another migration than the applied one.
    pub fn replaced_text(&self) -> String {
        format!(
            "version {} was applied as {}, and {} is another migration: name and text differ",
            self.version, self.applied_name, self.file
        )
    }

    /// Says what to do about it.
    pub fn replaced_next(&self) -> String {
        format!("give {} a new version, and restore the file of {}", self.name, self.applied_name)
    }
}

/// Returns what the migrations name and that is not completely built. The database is only asked if one can leave such.
fn unfinished_builds(
    database: &mut dyn ReadDatabase,
    migrations: &Migrations,
) -> Result<Vec<UnfinishedBuild>, EngineError> {
    let is_build = |(_, text): (u64, &str)| Build::of(migrations.dialect(), text).is_some();
    let builders: Vec<_> = migrations.iter().filter(|migration| migration.up.statements().any(is_build)).collect();
    if builders.is_empty() {
        return Ok(Vec::new());
    }
    let all = UnfinishedBuilds::read(database)?;
    let mut found = Vec::new();
    for build in builders.iter().flat_map(|builder| all.named_in(builder.up.statements().map(|(_, text)| text))) {
        if !found.contains(&build) {
            found.push(build);
        }
    }
    Ok(found)
}
