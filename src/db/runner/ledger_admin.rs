//! Changes the ledger without running a migration: baseline, repair, resolve. Each leaves rows in the log.

use std::borrow::Cow;

use serde::Serialize;

use super::Runner;
use super::plan::{ChangedMigration, Plan};
use crate::db::dialect::Dialect;
use crate::db::script::{Direction, Migration, Migrations, Section, statement_preview};
use crate::db::state::{AppliedRow, LogEntry, Outcome};
use crate::db::version::Version;
use crate::migration::{Error, now_text};
use crate::pipeline::Control;

/// A row of the ledger whose checksum was replaced.
#[derive(Debug, Clone, Serialize)]
pub struct Repaired {
    /// The label of the migration.
    pub name: String,
    /// The old checksum.
    pub from: String,
    /// The new checksum.
    pub to: String,
}

/// The state of a section that ran without a transaction, as an operator has found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// The whole section took effect.
    Done,
    /// Nothing of it took effect.
    NotBegun,
    /// The next run continues with this statement, counted from 1.
    FromStatement(u64),
}

impl Runner {
    /// Marks every migration up to `version` as applied without running it. Returns the labels of those that were not
    /// applied.
    pub fn baseline(&mut self, version: &Version, control: &Control<'_>) -> Result<Vec<String>, Error> {
        self.locked(control, |runner| {
            let migrations = runner.migrations.clone();
            if migrations.get(version).is_none() {
                return Err(no_migration(version));
            }
            let plan = runner.plan()?;
            plan.require_unchanged()?;
            let is_wanted =
                |found: &&Migration| found.version <= *version && plan.applied_row(&found.version).is_none();
            let wanted: Vec<_> = migrations.iter().filter(is_wanted).collect();
            let owner = runner.options.owner.clone();
            let insert = runner.state_transaction(|state| {
                wanted.iter().try_for_each(|migration| {
                    state.insert_applied(&applied_row(migration, &owner))?;
                    state.append(&row(migration, Outcome::Baseline, Direction::Up)).map(drop)
                })
            });
            insert.map_err(|error| runner.error(error))?;
            Ok(wanted.iter().map(|migration| migration.label()).collect())
        })
    }

    /// Records squashed files in the place of the applied migrations that they replace. Returns true if there were any.
    pub(super) fn record_squashed(&mut self, plan: &Plan, control: &Control<'_>) -> Result<bool, Error> {
        let migrations = self.migrations.clone();
        for squashed in &plan.squashed {
            let Some(migration) = migrations.get(&squashed.version) else { continue };
            let versions: Vec<_> = squashed.replaces.iter().map(ToString::to_string).collect();
            let error = Some(format!("in the place of {}", versions.join(", ")));
            let entry = LogEntry { direction: None, error, ..row(migration, Outcome::Squashed, Direction::Up) };
            let record = self.state_transaction(|state| {
                let mut others = squashed.replaces.iter().filter(|version| **version != squashed.version);
                others.try_for_each(|version| state.delete_applied(version))?;
                state.set_checksum(&squashed.version, &squashed.name, &migration.checksum.to_string())?;
                state.append(&entry)
            });
            record.map_err(|error| self.error(error))?;
            let count = versions.len();
            control.note(format!(
                "{} is recorded in the place of {count} applied migrations; nothing was run",
                squashed.name
            ));
        }
        Ok(!plan.squashed.is_empty())
    }

    /// Replaces the checksum of `version` in the ledger by that of its changed file; without a version, all of them.
    pub fn repair(&mut self, version: Option<&Version>, control: &Control<'_>) -> Result<Vec<Repaired>, Error> {
        self.locked(control, |runner| {
            let migrations = runner.migrations.clone();
            let plan = runner.plan()?;
            let changed: Vec<_> = plan.to_repair(version)?.into_iter().cloned().collect();
            let repair = runner.state_transaction(|state| {
                changed.iter().filter_map(|changed| Some((changed, migrations.get(&changed.version)?))).try_for_each(
                    |(changed, migration)| {
                        state.set_checksum(&changed.version, &changed.name, &changed.checksum)?;
                        let error = Some(format!("checksum was {}", changed.applied_checksum));
                        let entry = row(migration, Outcome::Repaired, Direction::Up);
                        state.append(&LogEntry { direction: None, error, ..entry }).map(drop)
                    },
                )
            });
            repair.map_err(|error| runner.error(error))?;
            let repaired = changed.into_iter();
            Ok(repaired.map(|row| Repaired { name: row.name, from: row.applied_checksum, to: row.checksum }).collect())
        })
    }

    /// Creates the log again if it is gone and the ledger is there. Returns true if it was gone.
    pub fn replace_lost_log(&mut self, control: &Control<'_>) -> Result<bool, Error> {
        self.alone(control, |runner| runner.state(|state| state.replace_lost_log()))
    }

    /// Records the state of a section that failed or did not end, as the operator has found it. Returns the label of
    /// the migration.
    pub fn resolve(&mut self, version: &Version, how: Resolution, control: &Control<'_>) -> Result<String, Error> {
        self.locked(control, |runner| {
            let migrations = runner.migrations.clone();
            let plan = runner.plan()?;
            let Unresolved { migration, section, direction, .. } = Unresolved::find(version, how, &plan, &migrations)?;
            let mut entry = row(migration, Outcome::Settled, direction);
            entry.error = Some(match how {
                Resolution::Done => "counts as done".into(),
                Resolution::NotBegun => "counts as not begun".into(),
                Resolution::FromStatement(number) => format!("continues with statement {number}"),
            });
            entry.checksum = None;
            if let Resolution::FromStatement(number) = how {
                let index = statement_index(number, section)?;
                entry.statement = i64::try_from(number).ok();
                entry.checksum = Some(section.digest_before(index));
            }
            let owner = runner.options.owner.clone();
            let settle = runner.state_transaction(|state| {
                match (how, direction) {
                    (Resolution::Done, Direction::Up) => state.insert_applied(&applied_row(migration, &owner))?,
                    (Resolution::Done, Direction::Down) => state.delete_applied(version)?,
                    _ => {}
                }
                state.delete_cursor(version, direction)?;
                state.append(&entry)
            });
            settle.map_err(|error| runner.error(error))?;
            Ok(migration.label())
        })
    }
}

impl ChangedMigration {
    /// Says which checksum a repair puts in the place of which.
    pub fn replacement(&self) -> String {
        let Self { name, file, applied_checksum, checksum, .. } = self;
        format!("{name} ({file}): {checksum} instead of {applied_checksum}")
    }

    /// Returns the beginning of each statement of the file, none of which a repair runs.
    pub fn statements(&self, migrations: &Migrations) -> Vec<String> {
        let statements = migrations.get(&self.version).into_iter().flat_map(|found| found.up.written_statements());
        let shown = |(line, text): (u64, Cow<'_, str>)| {
            let text = statement_preview(migrations.dialect(), &text);
            format!("  not run, unless the old text had it: {line}: {text}")
        };
        statements.map(shown).collect()
    }
}

/// A section that failed or did not end.
pub struct Unresolved<'a> {
    migration: &'a Migration,
    section: &'a Section,
    direction: Direction,
    /// What the log says about it.
    found: String,
    /// The number of statements that will count as done.
    done: usize,
}

impl<'a> Unresolved<'a> {
    /// Returns the unfinished section of a version. Fails if there is none, or if `how` does not fit it.
    pub fn find(version: &Version, how: Resolution, plan: &Plan, migrations: &'a Migrations) -> Result<Self, Error> {
        let migration = migrations.get(version).ok_or_else(|| no_migration(version))?;
        let direction = unresolved_section(version, plan)?;
        let cursor = plan.cursor(version, direction);
        if matches!(how, Resolution::FromStatement(_)) && cursor.is_some() {
            return Err(is_between_pages(version));
        }
        let section = match direction {
            Direction::Up => &migration.up,
            Direction::Down => migration.down.as_ref().ok_or_else(|| nothing_to_resolve(version))?,
        };
        let done = match how {
            Resolution::Done => section.len(),
            Resolution::NotBegun => 0,
            Resolution::FromStatement(number) => statement_index(number, section)?,
        };
        let found = match (cursor, plan.newest.get(version.digits())) {
            (Some(cursor), _) => format!("batch {} after {} rows", cursor.batch + 1, cursor.rows),
            (None, Some(row)) => {
                let error = row.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                format!("{} at statement {}, {}{error}", row.outcome, row.statement.unwrap_or_default(), row.started_at)
            }
            (None, None) => return Err(nothing_to_resolve(version)),
        };
        Ok(Self { migration, section, direction, found, done })
    }

    /// Returns true if a section of the version is unfinished.
    pub fn is_there(version: &Version, plan: &Plan) -> bool {
        unresolved_section(version, plan).is_ok()
    }

    /// Returns the label of the migration and what the log says about the section.
    pub fn found(&self) -> String {
        let section = if self.direction == Direction::Up { "Up" } else { "Down" };
        format!("{}, section {section}: {}", self.migration.label(), self.found)
    }

    /// Returns the beginning of each statement, with what it will count as.
    pub fn statements(&self, dialect: Dialect) -> Vec<String> {
        let line = |(index, (line, text)): (usize, (u64, Cow<'_, str>))| {
            let what = if index < self.done { "counts as done" } else { "will run" };
            format!("{what}: {}:{line}: {}", self.section.file.display(), statement_preview(dialect, &text))
        };
        self.section.written_statements().enumerate().map(line).collect()
    }
}

fn statement_index(number: u64, section: &Section) -> Result<usize, Error> {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    index.filter(|index| *index <= section.len()).ok_or_else(|| no_statement(section.len()))
}

/// Returns the section of a version that was left unfinished.
fn unresolved_section(version: &Version, plan: &Plan) -> Result<Direction, Error> {
    let both = [Direction::Up, Direction::Down];
    if let Some(direction) = both.into_iter().find(|direction| plan.cursor(version, *direction).is_some()) {
        return Ok(direction);
    }
    let row = plan.newest.get(version.digits()).ok_or_else(|| nothing_to_resolve(version))?;
    let has_progress = row.statement.is_some() && row.checksum.is_some();
    match (row.known_outcome(), &*row.direction) {
        (Some(Outcome::Running | Outcome::Failed | Outcome::Stopped | Outcome::Settled), "up") if has_progress => {
            Ok(Direction::Up)
        }
        (Some(Outcome::Running | Outcome::Failed | Outcome::Stopped | Outcome::Settled), "down") if has_progress => {
            Ok(Direction::Down)
        }
        _ => Err(nothing_to_resolve(version)),
    }
}

fn nothing_to_resolve(version: &Version) -> Error {
    Error::Usage {
        what: format!("version {version} has no unfinished section: there is nothing to resolve"),
        next: "`haul db status` and `haul db log` show its state".into(),
    }
}

fn no_migration(version: &Version) -> Error {
    Error::Usage {
        what: format!("there is no migration with version {version}"),
        next: "`haul db status` lists the versions".into(),
    }
}

fn is_between_pages(version: &Version) -> Error {
    Error::Usage {
        what: format!("version {version} is in the middle of its batches, not at a statement"),
        next: "`haul db migrate` continues there; --not-begun starts it over, and without either it counts as done"
            .into(),
    }
}

fn no_statement(statements: usize) -> Error {
    Error::Usage {
        what: format!("the section has {statements} statements"),
        next: format!("take a number from 1 to {}", statements + 1),
    }
}

pub(super) fn applied_row(migration: &Migration, owner: &str) -> AppliedRow {
    AppliedRow {
        position: 0,
        version: migration.version.clone(),
        name: migration.label(),
        checksum: migration.checksum.to_string(),
        applied_at: now_text(),
        duration_ms: 0,
        applied_by: owner.to_owned(),
        haul_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

pub(super) fn row(migration: &Migration, outcome: Outcome, direction: Direction) -> LogEntry {
    let now = now_text();
    LogEntry {
        attempt: None,
        version: migration.version.digits().to_owned(),
        name: migration.label(),
        direction: Some(direction),
        outcome,
        started_at: now.clone(),
        finished_at: Some(now),
        duration_ms: Some(0),
        statement: None,
        checksum: Some(migration.checksum.to_string()),
        error: None,
    }
}
