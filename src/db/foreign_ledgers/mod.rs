//! Ledgers of other runners: found by their columns, read, and never changed (docs/source-sql.md, "Ledger and log").

mod checksums;
mod forms;
mod records;
mod tables;

use super::database::ReadDatabase;
use super::engine_error::EngineError;
use super::script::Migrations;
use super::state::Tables;
use crate::migration::Error;
use forms::{FORMS, Form};
pub use records::{Recorded, Records};

/// A table in which another runner keeps its state.
#[derive(Clone)]
pub struct ForeignLedger {
    /// The name of the table, with its schema if the engine has any.
    pub table: String,
    /// The program that writes it.
    pub runner: &'static str,
    reference: String,
    /// True if the table is in a schema of the search path.
    is_near: bool,
    form: &'static Form,
}

/// What others keep in a database.
#[derive(Debug, Clone, Default)]
pub struct Others {
    /// Ledgers of other runners.
    pub ledgers: Vec<ForeignLedger>,
    /// The names of the other tables on the search path.
    pub tables: Vec<String>,
}

impl Others {
    /// Looks for tables that haul did not make for itself.
    pub fn find(database: &mut dyn ReadDatabase, own: &Tables) -> Result<Self, EngineError> {
        let mut found = Self::default();
        for table in tables::other_tables(database, own)? {
            match FORMS.iter().find(|form| form.fits(&table.name, &table.columns)) {
                Some(form) => found.ledgers.push(ForeignLedger {
                    table: table.shown(),
                    runner: form.runner,
                    reference: table.reference(),
                    is_near: table.is_near,
                    form,
                }),
                None if table.is_near => found.tables.push(table.shown()),
                None => {}
            }
        }
        Ok(found)
    }

    /// Returns true if there are no tables on the search path, and no ledgers anywhere.
    pub fn is_empty(&self) -> bool {
        self.ledgers.is_empty() && self.tables.is_empty()
    }

    /// Returns the ledger of this name, or the only one that can be taken over.
    pub fn named(&self, name: Option<&str>) -> Result<&ForeignLedger, Error> {
        let is_meant = |ledger: &&ForeignLedger| match name {
            Some(name) => ledger.table == name || ledger.table.rsplit('.').next() == Some(name),
            None => ledger.has_versions() && !ledger.is_of_haul(),
        };
        let list = |ledgers: &[&ForeignLedger]| {
            ledgers.iter().map(|ledger| format!("{} ({})", ledger.table, ledger.runner)).collect::<Vec<_>>().join(", ")
        };
        let found: Vec<_> = self.ledgers.iter().filter(is_meant).collect();
        match &found[..] {
            [ledger] if ledger.has_versions() => Ok(ledger),
            [ledger] => Err(Error::Usage {
                what: format!("the rows of {} of {} do not name versions of files", ledger.table, ledger.runner),
                next: "find out which files the schema already has, and use `haul db baseline VERSION`".into(),
            }),
            [] => Err(Error::Usage {
                what: match name {
                    Some(name) => format!("there is no ledger of another runner with the name {name}"),
                    None => "there is no ledger of another runner that names versions".to_owned(),
                },
                next: match self.ledgers.is_empty() {
                    true => "`haul db baseline VERSION` records the files up to a version as applied".to_owned(),
                    false => format!("these are there: {}", list(&self.ledgers.iter().collect::<Vec<_>>())),
                },
            }),
            several => Err(Error::Usage {
                what: "there are several ledgers of other runners".into(),
                next: format!("name one with --from-ledger NAME: {}", list(several)),
            }),
        }
    }

    /// Returns the ledger that says something about the objects that these migrations make: one on the search path that
    /// has rows, or one elsewhere that has recorded a version of a file. Other schemas may belong to other programs. One of
    /// haul itself, with another name, counts if it has applied one of these very files.
    pub fn ledger_in_the_way(
        &self,
        database: &mut dyn ReadDatabase,
        migrations: &Migrations,
    ) -> Option<&ForeignLedger> {
        self.ledgers.iter().find(|ledger| match ledger.records(database) {
            Ok(records) if ledger.is_of_haul() => {
                migrations.iter().any(|migration| records.names(&migration.version) && records.agrees(migration))
            }
            Ok(records) if ledger.is_near || ledger.is_in_own_schema() => !records.is_empty(),
            Ok(records) => migrations.iter().any(|migration| records.names(&migration.version)),
            // What cannot be read, or has failed rows, is not an empty ledger.
            Err(_) => ledger.is_near && !ledger.is_of_haul(),
        })
    }
}

impl ForeignLedger {
    /// Returns true if the runner keeps its ledger in a schema of its own, so that the schema says nothing of what it is about.
    fn is_in_own_schema(&self) -> bool {
        const SCHEMAS: [&str; 5] = ["drizzle", "graphile_migrate", "supabase_migrations", "sqitch", "pgroll"];
        self.table.split_once('.').is_some_and(|(schema, _)| SCHEMAS.contains(&schema))
    }
}

impl std::fmt::Debug for ForeignLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ForeignLedger").field("table", &self.table).field("runner", &self.runner).finish()
    }
}
