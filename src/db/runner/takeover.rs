//! Takes over what another runner has applied. Its ledger is only read.

use super::Runner;
use super::ledger_admin::{applied_row, row};
use super::plan::Plan;
use crate::db::foreign_ledgers::{ForeignLedger, Others, Records};
use crate::db::script::{Direction, Migration, Migrations};
use crate::db::state::{LogEntry, Outcome};
use crate::db::version::Version;
use crate::migration::Error;
use crate::pipeline::Control;

/// What is taken over from the ledger of another runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takeover {
    /// The table of the other runner.
    pub table: String,
    /// The other runner.
    pub runner: &'static str,
    /// The versions that will count as applied.
    pub versions: Vec<Version>,
    /// Their labels, and whether the checksum there shows that the file is the same.
    pub labels: Vec<String>,
    /// The labels of what stays pending.
    pub pending: Vec<String>,
}

impl Takeover {
    /// Compares the ledger with the files. Fails if a version has no file, or a file is not the one that was applied.
    pub fn make(
        ledger: &ForeignLedger,
        records: &Records,
        plan: &Plan,
        migrations: &Migrations,
    ) -> Result<Self, Error> {
        plan.require_unchanged()?;
        let without_file = records.named().filter(|version| migrations.get(version).is_none()).collect::<Vec<_>>();
        if let Some(version) = without_file.first() {
            return Err(no_file(ledger, version, without_file.len()));
        }
        let (wanted, pending): (Vec<_>, Vec<_>) = migrations
            .iter()
            .filter(|migration| plan.applied_row(&migration.version).is_none())
            .partition(|migration| records.names(&migration.version));
        if let Some(other) = wanted.iter().find(|migration| !records.agrees(migration)) {
            return Err(other_file(ledger, other));
        }
        let label = |migration: &&Migration| match records.has_checksum(&migration.version) {
            true => format!("{} (same checksum)", migration.label()),
            false => migration.label(),
        };
        Ok(Self {
            table: ledger.table.clone(),
            runner: ledger.runner,
            versions: wanted.iter().map(|migration| migration.version.clone()).collect(),
            labels: wanted.iter().map(label).collect(),
            pending: pending.into_iter().map(Migration::label).collect(),
        })
    }
}

impl Runner {
    /// Records what `takeover` names as applied, in one transaction. Fails if the other ledger says something else by
    /// now. Returns the labels.
    pub fn take_over(&mut self, takeover: &Takeover, control: &Control<'_>) -> Result<Vec<String>, Error> {
        self.locked(control, |runner| {
            let migrations = runner.migrations.clone();
            let plan = runner.plan()?;
            let others = Others::find(&mut *runner.database, &runner.options.tables);
            let others = others.map_err(|error| runner.error(error))?;
            let ledger = others.named(Some(&takeover.table))?;
            let records = ledger.records(&mut *runner.database)?;
            if Takeover::make(ledger, &records, &plan, &migrations)? != *takeover {
                return Err(Error::Usage {
                    what: format!("{} has changed meanwhile; nothing was changed here", takeover.table),
                    next: "stop the other runner, and run the same command again".into(),
                });
            }
            let owner = runner.options.owner.clone();
            let wanted: Vec<_> = takeover.versions.iter().filter_map(|version| migrations.get(version)).collect();
            let from = format!("taken over from {} of {}", takeover.table, takeover.runner);
            let insert = runner.state_transaction(|state| {
                wanted.iter().try_for_each(|migration| {
                    state.insert_applied(&applied_row(migration, &owner))?;
                    let entry = row(migration, Outcome::Baseline, Direction::Up);
                    state.append(&LogEntry { error: Some(from.clone()), ..entry }).map(drop)
                })
            });
            insert.map_err(|error| runner.error(error))?;
            Ok(wanted.iter().map(|migration| migration.label()).collect())
        })
    }
}

fn no_file(ledger: &ForeignLedger, version: &Version, count: usize) -> Error {
    let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    Error::Usage {
        what: format!(
            "{} of {} has applied version {version}, and it has no file here{more}",
            ledger.table, ledger.runner
        ),
        next: "restore the file; or `haul db baseline VERSION` records the files up to a version without comparing"
            .into(),
    }
}

fn other_file(ledger: &ForeignLedger, migration: &Migration) -> Error {
    Error::Verification {
        what: format!(
            "{} is not the file that {} applied: the checksum in {} is another one",
            migration.up.file.display(),
            ledger.runner,
            ledger.table
        ),
        next: "restore the file; or `haul db baseline VERSION` records the files up to a version without comparing"
            .into(),
        source: None,
    }
}
