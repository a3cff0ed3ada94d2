//! Counts of files and references.

use serde::Serialize;

use super::resolve::Resolution;

/// Files by outcome. `seen` is the sum of the other four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FileCounts {
    /// All files found.
    pub seen: u64,
    /// Files that were rewritten; in a dry run, would be.
    pub changed: u64,
    /// Files that were read and have nothing to rewrite.
    pub unchanged: u64,
    /// Files that were not searched for references: binary, not regular, or written by haul.
    pub skipped: u64,
    /// Files that stay as they are because of a problem.
    pub refused: u64,
}

/// References by outcome. `found` is the sum of the other five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ReferenceCounts {
    /// All references found.
    pub found: u64,
    /// References that were rewritten; in a dry run, would be.
    pub replaced: u64,
    /// References that have a key of the new side already.
    pub current: u64,
    /// References in no row of the map; they stay as they are.
    pub unknown: u64,
    /// References whose rows lead to different keys; they stay as they are.
    pub ambiguous: u64,
    /// References to rewrite in files that were refused.
    pub refused: u64,
}

impl FileCounts {
    pub(super) fn add_up(&self) -> bool {
        self.seen == self.changed + self.unchanged + self.skipped + self.refused
    }
}

impl ReferenceCounts {
    pub(super) fn add_up(&self) -> bool {
        self.found == self.replaced + self.current + self.unknown + self.ambiguous + self.refused
    }

    /// Counts one reference.
    pub(super) fn count(&mut self, resolution: Resolution) {
        self.found += 1;
        *match resolution {
            Resolution::Replace { .. } => &mut self.replaced,
            Resolution::Current => &mut self.current,
            Resolution::Unknown => &mut self.unknown,
            Resolution::Ambiguous => &mut self.ambiguous,
        } += 1;
    }

    /// Counts the references to rewrite as refused, because their file was not rewritten.
    pub(super) fn refuse(&mut self) {
        self.refused += std::mem::take(&mut self.replaced);
    }

    pub(super) fn add(&mut self, other: &Self) {
        let Self { found, replaced, current, unknown, ambiguous, refused } = other;
        self.found += found;
        self.replaced += replaced;
        self.current += current;
        self.unknown += unknown;
        self.ambiguous += ambiguous;
        self.refused += refused;
    }
}
