//! What happened to files and to references.

use serde::Serialize;

use super::resolve::Resolution;

/// Files by what happened to them. Each is one of the other four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct FileCounts {
    /// All that were come upon.
    pub seen: u64,
    /// Rewritten; in a dry run, would be.
    pub changed: u64,
    /// Read, with nothing to rewrite.
    pub unchanged: u64,
    /// Not read for references: binary, not regular, or written by haul.
    pub skipped: u64,
    /// Left as they are because something came in the way.
    pub refused: u64,
}

/// References by what happened to them. Each is one of the other five.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ReferenceCounts {
    /// All that were found.
    pub found: u64,
    /// Rewritten; in a dry run, would be.
    pub replaced: u64,
    /// Already what references become.
    pub current: u64,
    /// In no row of the map; left as they are.
    pub unknown: u64,
    /// Of several rows that lead to different keys; left as they are.
    pub ambiguous: u64,
    /// To be rewritten, but in files that were refused.
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

    /// Nothing was rewritten of what these count.
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
