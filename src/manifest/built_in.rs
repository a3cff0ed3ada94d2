//! The three steps of the original (§2).

use super::{Step, Version};

/// A step of the original.
pub(super) struct BuiltIn {
    from: Version,
    to: Version,
}

/// In the order in which the original registers them.
pub(super) const STEPS: [BuiltIn; 3] = [
    BuiltIn { from: Version::new(1, 0, 0), to: Version::new(1, 1, 0) },
    BuiltIn { from: Version::new(1, 1, 0), to: Version::new(1, 2, 0) },
    BuiltIn { from: Version::new(1, 0, 0), to: Version::new(1, 2, 0) },
];

impl Step for BuiltIn {
    fn from(&self) -> Version {
        self.from
    }

    fn to(&self) -> Version {
        self.to
    }

    fn changes(&self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.from < Version::new(1, 1, 0) {
            changes.push("Add input_snapshots field (empty dict)".to_owned());
            changes.push("Add inputs_hash field (null)".to_owned());
        }
        if self.to >= Version::new(1, 2, 0) {
            changes.push("Add chain_metadata.is_chainable_stage (false)".to_owned());
            changes.push("Add chain_metadata.prior_stages ([])".to_owned());
        }
        changes.push(format!("Bump schema_version to {}", self.to));
        changes
    }
}
