//! The outcomes of the entries of a tree.

use super::document::error_codes::DocumentStatus;
use super::tree::scan::SkipReason;
use crate::migration::outcome::outcome_counts;

outcome_counts! {
    /// Number of entries of a tree by outcome.
    pub struct Counts {
        passed {
            /// Replaced by the new version, after a backup.
            migrated: "migrated",
            /// At the target version; unchanged.
            current: "already current",
            /// At the target version, but members are missing or wrong (docs/source-sigilzero.md, D8); unchanged.
            current_incomplete: "current, needs attention",
            /// JSON that is not a manifest.
            skipped_foreign: "skipped, not a manifest",
            /// [`SkipReason::Hidden`].
            skipped_hidden: "skipped, hidden",
            /// [`SkipReason::Inputs`].
            skipped_inputs: "skipped, inputs",
            /// [`SkipReason::Link`].
            skipped_link: "skipped, link",
            /// [`SkipReason::NotAFile`].
            skipped_not_a_file: "skipped, not a file",
            /// [`SkipReason::OutsideLayout`].
            skipped_outside_layout: "skipped, outside the layout",
            /// [`SkipReason::NotSelected`].
            not_selected: "not selected",
        }
        refused {
            /// [`DocumentStatus::Corrupt`].
            refused_corrupt: "refused, corrupt",
            /// [`DocumentStatus::NotAManifest`], and the operator named it.
            refused_not_a_manifest: "refused, not a manifest",
            /// [`DocumentStatus::Unversioned`].
            refused_unversioned: "refused, unversioned",
            /// [`DocumentStatus::Unknown`].
            refused_unknown: "refused, unknown version",
            /// [`DocumentStatus::Future`].
            refused_future: "refused, future version",
            /// [`DocumentStatus::NeedsAttention`].
            refused_needs_attention: "refused, needs attention",
            /// [`DocumentStatus::Failed`].
            refused_failed: "refused, failed",
        }
    }
}

impl Counts {
    /// Counts a skipped name.
    pub fn add_skipped(&mut self, reason: SkipReason) {
        *match reason {
            SkipReason::Hidden => &mut self.skipped_hidden,
            SkipReason::Inputs => &mut self.skipped_inputs,
            SkipReason::Link => &mut self.skipped_link,
            SkipReason::NotAFile => &mut self.skipped_not_a_file,
            SkipReason::OutsideLayout | SkipReason::OtherSpelling => &mut self.skipped_outside_layout,
            SkipReason::NotSelected => &mut self.not_selected,
        } += 1;
    }

    /// Counts a refused file by its status.
    pub fn add_refused(&mut self, status: DocumentStatus) {
        *match status {
            DocumentStatus::Corrupt => &mut self.refused_corrupt,
            DocumentStatus::NotAManifest => &mut self.refused_not_a_manifest,
            DocumentStatus::Unversioned => &mut self.refused_unversioned,
            DocumentStatus::Unknown => &mut self.refused_unknown,
            DocumentStatus::Future => &mut self.refused_future,
            DocumentStatus::NeedsAttention => &mut self.refused_needs_attention,
            DocumentStatus::Failed | DocumentStatus::Current | DocumentStatus::Pending => &mut self.refused_failed,
        } += 1;
    }

    /// Returns the number of files that were read.
    pub fn manifests(&self) -> u64 {
        use crate::migration::OutcomeCounts;
        self.migrated + self.current + self.current_incomplete + self.skipped_foreign + self.refused()
    }
}
