//! Finds faults of migration files, and statements that may do harm, by reading the files without a database.
//!
//! The rules look at words, not at parsed statements, and do not know the contents of a database. A table that the
//! section itself has created is empty and unused, so statements that would lock or rewrite it are not reported.

mod clauses;
mod finding;
mod rules;
mod statement;
#[cfg(test)]
mod tests;

pub use finding::{LintFinding, LintSeverity, Rule};

use std::collections::BTreeSet;

use self::rules::{MISSING_DOWN, MIXED_TIMES, OWN_TRANSACTION, REPEATABLE, STATEMENTS, Subject, VERSION_GAP};
use self::statement::Words;
use super::dialect::Dialect;
use super::script::classify::Keywords;
use super::script::{Direction, Examined, FileKind, Migration, ScriptError, Section, file_name};
use super::version::Version;

/// The rule against a condition that a file without a version needs.
const IF_NOT_EXISTS: &str = "if-not-exists";

/// Returns the rules, except those about invalid files, which are named after the fault.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    STATEMENTS.iter().map(|found| &found.rule).chain([
        &MISSING_DOWN,
        &VERSION_GAP,
        &MIXED_TIMES,
        &OWN_TRANSACTION,
        &REPEATABLE,
    ])
}

/// Returns the findings of the rules in migrations from version `from` on, and the faults of invalid files, ordered by
/// file and line.
pub fn lint(examined: &Examined, from: Option<&Version>) -> Vec<LintFinding> {
    let migrations = &examined.migrations;
    let is_wanted = |version: &Version| from.is_none_or(|from| version >= from);
    let is_wanted_file = |fault: &&ScriptError| version_of(fault).is_none_or(|version| is_wanted(&version));
    let mut found: Vec<_> = examined.faults.iter().filter(is_wanted_file).map(of_fault).collect();
    migrations.files().iter().for_each(|file| of_migration(migrations.dialect(), file, &mut found));
    if let Some((other, highest)) = migrations.mixed_times().filter(|(_, highest)| is_wanted(&highest.version)) {
        let mut finding = finding(&MIXED_TIMES, other, &other.up, 0);
        finding.message = format!(
            "its version has {} digits, that of {} has {}: {}",
            other.version.digits().len(),
            highest.label(),
            highest.version.digits().len(),
            MIXED_TIMES.what
        );
        found.push(finding);
    }
    for migration in migrations.iter().filter(|migration| is_wanted(&migration.version)) {
        of_migration(migrations.dialect(), migration, &mut found);
    }
    for (before, after) in migrations.gaps() {
        if let Some(migration) = migrations.get(&after).filter(|_| is_wanted(&after)) {
            let mut finding = finding(&VERSION_GAP, migration, &migration.up, 0);
            finding.message = format!("there is no version between {before} and {after}");
            found.push(finding);
        }
    }
    found.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    found
}

/// Returns the version in the name of the file, if it has one.
fn version_of(error: &ScriptError) -> Option<Version> {
    let name = error.file.file_name()?.to_str()?;
    file_name(name).ok().flatten().map(|name| name.version)
}

fn of_fault(error: &ScriptError) -> LintFinding {
    LintFinding {
        file: error.file.display().to_string(),
        line: error.line,
        version: None,
        rule: error.fault.rule(),
        severity: LintSeverity::Error,
        message: error.fault.to_string(),
        next: error.fault.next(),
    }
}

fn of_migration(dialect: Dialect, migration: &Migration, found: &mut Vec<LintFinding>) {
    if let Some(fault) = migration.fault() {
        return found.push(LintFinding { version: version_in(migration), ..of_fault(fault) });
    }
    of_section(dialect, migration, &migration.up, Direction::Up, found);
    match &migration.down {
        Some(down) => of_section(dialect, migration, down, Direction::Down, found),
        None if migration.kind != FileKind::Versioned => {
            let lines = lines_that_run_once(dialect, &migration.up);
            found.extend(lines.into_iter().map(|line| finding(&REPEATABLE, migration, &migration.up, line)));
        }
        None => found.push(finding(&MISSING_DOWN, migration, &migration.up, 0)),
    }
}

fn of_section(
    dialect: Dialect,
    migration: &Migration,
    section: &Section,
    direction: Direction,
    found: &mut Vec<LintFinding>,
) {
    let mut own_tables = BTreeSet::new();
    found.extend(section.own_transaction.map(|line| finding(&OWN_TRANSACTION, migration, section, line)));
    for (index, (line, statement)) in section.statements().enumerate() {
        let words = Words::of(dialect, statement);
        let table = words.table().map(str::to_owned);
        let subject = Subject {
            dialect,
            direction,
            words: &words,
            clauses: &words.clauses(),
            is_own_table: table.as_ref().is_some_and(|table| own_tables.contains(table)),
            is_in_batch: section.batches().iter().any(|batch| batch.statements.contains(&index)),
            no_transaction: section.settings.no_transaction,
            is_alone: section.len() == 1,
        };
        let is_meant = |rule: &Rule| migration.kind == FileKind::Versioned || rule.name != IF_NOT_EXISTS;
        let broken = STATEMENTS.iter().filter(|candidate| is_meant(&candidate.rule) && (candidate.finds)(&subject));
        found.extend(broken.map(|candidate| finding(&candidate.rule, migration, section, line)));
        own_tables.extend(table.filter(|_| words.creates_table()));
    }
}

/// Returns the names of the tables that a section changes and has not created itself.
pub(super) fn tables_of(dialect: Dialect, section: &Section) -> Vec<String> {
    let (mut own, mut others) = (BTreeSet::new(), BTreeSet::new());
    for (_, statement) in section.statements() {
        let words = Words::of(dialect, statement);
        let Some(table) = words.table().map(str::to_owned) else { continue };
        if words.creates_table() {
            own.insert(table);
        } else if !own.contains(&table) {
            others.insert(table);
        }
    }
    others.into_iter().collect()
}

/// Returns the lines of statements that create something without regard to one that is there. A DROP before them may have
/// removed it.
fn lines_that_run_once(dialect: Dialect, section: &Section) -> Vec<u64> {
    let words = |(line, text): (u64, &str)| (line, Keywords::of(dialect, text));
    let before_drop = section.statements().map(words).take_while(|(_, words)| !words.drops());
    before_drop.filter(|(_, words)| words.creates_once()).map(|(line, _)| line).collect()
}

fn version_in(migration: &Migration) -> Option<Version> {
    Some(migration.version.clone()).filter(|_| migration.kind == FileKind::Versioned)
}

fn finding(rule: &'static Rule, migration: &Migration, section: &Section, line: u64) -> LintFinding {
    LintFinding {
        file: section.file.display().to_string(),
        line,
        version: version_in(migration),
        rule: rule.name,
        severity: rule.severity,
        message: rule.what.to_owned(),
        next: rule.next,
    }
}
