//! What backfills know of the whole set.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::upgrade::facts::{Baseline, ForeignKeyState, FtsState};
use crate::upgrade::set::Member;

/// What backfills know of the whole set: it is the same for every database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SetFacts {
    /// Every database.
    pub files: Vec<FileFacts>,
    /// The numbers that were read in them.
    pub measures: Vec<MeasureValue>,
}

/// A database before the upgrade, for backfills.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// The key of the database in the set.
    pub file: String,
    /// Its tier.
    pub tier: String,
    /// Its shape.
    pub shape: String,
    /// True for the primary file of the tier.
    pub is_primary: bool,
    /// Its pages.
    pub pages: u64,
    /// Pages that hold nothing.
    pub free_pages: u64,
    /// True if `integrity_check` found nothing.
    pub integrity_ok: bool,
    /// Rows that violate a key. A check that fails counts as one.
    pub foreign_key_findings: u64,
    /// Full-text indexes that do not agree with what they index.
    pub fts_inconsistent: u64,
}

impl FileFacts {
    /// Returns what a baseline says of a database.
    pub fn of(member: &Member, baseline: &Baseline) -> Self {
        let pages = (baseline.pages, baseline.free_pages);
        Self::new(member, pages, baseline.is_whole(), &baseline.foreign_keys, &baseline.fts)
    }

    /// Returns the same of figures: all pages and those that hold nothing, whether the database is whole, keys, full-text
    /// indexes.
    pub fn new(
        member: &Member,
        (pages, free_pages): (u64, u64),
        integrity_ok: bool,
        foreign_keys: &ForeignKeyState,
        fts: &BTreeMap<String, FtsState>,
    ) -> Self {
        let foreign_key_findings = match foreign_keys {
            ForeignKeyState::Violations(violations) => violations.values().sum(),
            ForeignKeyState::Mismatch(_) => 1,
        };
        let is_stale = |state: &&FtsState| matches!(state, FtsState::Inconsistent(_));
        Self {
            file: member.key.clone(),
            tier: member.tier.clone(),
            shape: member.shape.clone(),
            is_primary: member.is_primary,
            pages,
            free_pages,
            integrity_ok,
            foreign_key_findings,
            fts_inconsistent: fts.values().filter(is_stale).count() as u64,
        }
    }
}

/// A number that was read in a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasureValue {
    /// The key of the database in the set.
    pub file: String,
    /// Its tier.
    pub tier: String,
    /// The name of the measure.
    pub name: String,
    /// The number; nothing if the query gave none.
    pub value: Option<f64>,
}
