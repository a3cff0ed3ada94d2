//! The result of a verification.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fault::{FaultSeverity, VerifyFault};
use crate::migration::units::count_text;
use crate::migration::{Sample, Subset};

/// The result of a verification that saw everything it was asked to read. Errors in the store are among its faults.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyEnd {
    /// Names of objects in the store.
    pub objects: u64,
    /// Objects that were to be read.
    pub objects_in_share: u64,
    /// Objects whose blobs were read to their end.
    pub objects_read: u64,
    /// Those of them without an error.
    pub objects_ok: u64,
    /// Bytes of the blobs that were read.
    pub blob_bytes: u64,
    /// Bytes of their contents.
    pub content_bytes: u64,
    /// Lines of the index.
    pub index_lines: u64,
    /// Faults that a reader suffers from.
    pub errors: u64,
    /// Faults that are harmless.
    pub warnings: u64,
    /// Faults by name.
    pub faults_count: BTreeMap<&'static str, u64>,
    /// The first faults, `FAULTS_KEPT_MAX` at most: errors first, each by path.
    pub faults: Vec<VerifyFault>,
    /// The share that was requested.
    pub subset: Subset,
    /// The sample that was requested.
    pub sample: Option<Sample>,
    /// What was covered, in words.
    pub covered: String,
    /// True if a stop was requested; the same call continues.
    pub stopped: bool,
    /// True if it continued one that was stopped; the numbers are those of both.
    pub resumed: bool,
}

impl VerifyEnd {
    /// Returns true if everything that was covered is without an error.
    pub fn is_sound(&self) -> bool {
        !self.stopped && self.errors == 0
    }

    /// Adds a fault that is not one of the store itself.
    pub(super) fn add(&mut self, fault: VerifyFault) {
        match fault.kind.severity() {
            FaultSeverity::Error => self.errors += 1,
            FaultSeverity::Warning => self.warnings += 1,
        }
        *self.faults_count.entry(fault.kind.name()).or_default() += 1;
        self.faults.insert(0, fault);
    }

    /// Returns what was covered, in words.
    pub(super) fn covered_text(&self) -> String {
        let share = match (self.subset, self.sample) {
            (Subset::ALL, None) => "all objects".to_owned(),
            (Subset { part, of }, None) => format!("share {part}/{of} of the objects"),
            (Subset::ALL, Some(sample)) => format!("a sample of {} objects, seed {}", sample.records, sample.seed),
            (Subset { part, of }, Some(sample)) => {
                format!("a sample of {} objects of share {part}/{of}, seed {}", sample.records, sample.seed)
            }
        };
        let layout = if self.stopped { "stopped on the way" } else { "layout and index, both ways" };
        format!("{layout}; {share}: {} of {} read", count_text(self.objects_read), count_text(self.objects))
    }
}
