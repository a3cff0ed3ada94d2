//! Squashed files: one file in the place of many that are applied (docs/source-sql.md, "Squashed files").

use std::collections::BTreeMap;

use serde::Serialize;

use crate::db::script::{Migration, Migrations, Replaced};
use crate::db::state::AppliedRow;
use crate::db::version::Version;
use crate::migration::Error;

/// A squashed file whose migrations are all applied, and that is not recorded in their place yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SquashedMigration {
    /// Its version, that of the last migration which it replaces.
    pub version: Version,
    /// The label.
    pub name: String,
    /// The versions that it replaces.
    pub replaces: Vec<Version>,
}

/// A squashed file of whose migrations only some are applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HalfSquashed {
    what: String,
    next: String,
}

impl HalfSquashed {
    /// Says what is in the way.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Returns the error of a run.
    pub fn error(&self) -> Error {
        Error::Verification { what: self.what.clone(), next: self.next.clone(), source: None }
    }
}

/// What is applied of the migrations that the squashed files replace.
#[derive(Debug, Default)]
pub struct SquashedFiles {
    /// The files to record.
    pub whole: Vec<SquashedMigration>,
    /// The files that are in the way.
    pub half: Vec<HalfSquashed>,
}

impl SquashedFiles {
    /// Compares the squashed files with the ledger. One that is applied, or of which nothing is, is a file like others.
    pub fn find(applied: &[AppliedRow], migrations: &Migrations) -> Self {
        let mut found = Self::default();
        if migrations.iter().all(|migration| migration.replaces.is_empty()) {
            return found;
        }
        let checksums: BTreeMap<_, _> = applied.iter().map(|row| (&row.version, row.checksum.as_str())).collect();
        for migration in migrations.iter().filter(|migration| !migration.replaces.is_empty()) {
            if checksums.get(&migration.version) == Some(&migration.checksum.to_string().as_str()) {
                continue;
            }
            let is_held = |replaced: &&Replaced| checksums.get(&replaced.version) == Some(&replaced.checksum.as_str());
            let lacking = migration.replaces.iter().find(|replaced| !is_held(replaced));
            match lacking {
                None => found.whole.push(SquashedMigration {
                    version: migration.version.clone(),
                    name: migration.label(),
                    replaces: migration.replaces.iter().map(|replaced| replaced.version.clone()).collect(),
                }),
                Some(lacking) if migration.replaces.iter().any(|other| checksums.contains_key(&other.version)) => {
                    found.half.push(half(migration, &lacking.version));
                }
                Some(_) => {}
            }
        }
        found
    }

    /// Returns true if a file that is to be recorded replaces this version.
    pub fn replace(&self, version: &Version) -> bool {
        self.whole.iter().any(|squashed| squashed.replaces.contains(version))
    }
}

fn half(migration: &Migration, lacking: &Version) -> HalfSquashed {
    let (file, count) = (migration.up.file.display(), migration.replaces.len());
    HalfSquashed {
        what: format!(
            "{file} replaces {count} migrations, and this database has only some of them: version {lacking} is not applied as \
             it was"
        ),
        next: format!(
            "use the release before the squash here first: with the files that it replaces, and without {file}, `haul db \
             migrate --to {}`",
            migration.version
        ),
    }
}
