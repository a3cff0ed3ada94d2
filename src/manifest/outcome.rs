//! What becomes of each thing that is found in a tree.

use super::document::error_codes::Status;
use super::tree::scan::PassedOver;
use crate::migration::outcome::outcome_counts;

outcome_counts! {
    /// What was found in a tree, by outcome.
    pub struct Counts {
        passed {
            /// Replaced by its new version, after its backup.
            migrated: "migrated",
            /// At the target version; left as it is.
            current: "already current",
            /// At the target version, with fields missing or wrong (D8); left as it is.
            current_incomplete: "current, needs attention",
            /// JSON that is no manifest.
            skipped_foreign: "skipped, not a manifest",
            /// [`PassedOver::Hidden`].
            skipped_hidden: "skipped, hidden",
            /// [`PassedOver::Inputs`].
            skipped_inputs: "skipped, inputs",
            /// [`PassedOver::Link`].
            skipped_link: "skipped, link",
            /// [`PassedOver::NotAFile`].
            skipped_not_a_file: "skipped, not a file",
            /// [`PassedOver::OutsideLayout`].
            skipped_outside_layout: "skipped, outside the layout",
        }
        refused {
            /// [`Status::Corrupt`].
            refused_corrupt: "refused, corrupt",
            /// [`Status::NotAManifest`], named by the operator.
            refused_not_a_manifest: "refused, not a manifest",
            /// [`Status::Unversioned`].
            refused_unversioned: "refused, unversioned",
            /// [`Status::Unknown`].
            refused_unknown: "refused, unknown version",
            /// [`Status::Future`].
            refused_future: "refused, future version",
            /// [`Status::NeedsAttention`].
            refused_needs_attention: "refused, needs attention",
            /// [`Status::Failed`].
            refused_failed: "refused, failed",
        }
    }
}

impl Counts {
    /// Counts a name that is passed over.
    pub fn add_passed_over(&mut self, reason: PassedOver) {
        *match reason {
            PassedOver::Hidden => &mut self.skipped_hidden,
            PassedOver::Inputs => &mut self.skipped_inputs,
            PassedOver::Link => &mut self.skipped_link,
            PassedOver::NotAFile => &mut self.skipped_not_a_file,
            PassedOver::OutsideLayout => &mut self.skipped_outside_layout,
        } += 1;
    }

    /// Counts a file that is refused for what it is.
    pub fn add_refused(&mut self, status: Status) {
        *match status {
            Status::Corrupt => &mut self.refused_corrupt,
            Status::NotAManifest => &mut self.refused_not_a_manifest,
            Status::Unversioned => &mut self.refused_unversioned,
            Status::Unknown => &mut self.refused_unknown,
            Status::Future => &mut self.refused_future,
            Status::NeedsAttention => &mut self.refused_needs_attention,
            Status::Failed | Status::Current | Status::Pending => &mut self.refused_failed,
        } += 1;
    }

    /// Files that were looked into.
    pub fn manifests(&self) -> u64 {
        use crate::migration::OutcomeCounts;
        self.migrated + self.current + self.current_incomplete + self.skipped_foreign + self.refused()
    }
}
