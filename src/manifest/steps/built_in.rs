//! The three built-in steps, which are those of the original (docs/source-sigilzero.md, "Steps").

use std::sync::LazyLock;

use super::step::Touch;
use crate::manifest::document::edit::Edit;
use crate::manifest::document::fields::{CHAIN_METADATA, INPUT_SNAPSHOTS};
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::value_types::ValueType;
use crate::manifest::document::verdict::Refusal;
use crate::manifest::document::version::Version;
use crate::manifest::steps::step::Step;

/// A built-in step.
pub(super) struct BuiltIn {
    from: Version,
    to: Version,
}

/// The steps in the order in which the original registers them, which decides between paths of equal length.
pub(super) const STEPS: [BuiltIn; 3] = [
    BuiltIn { from: Version::new(1, 0, 0), to: Version::new(1, 1, 0) },
    BuiltIn { from: Version::new(1, 1, 0), to: Version::new(1, 2, 0) },
    BuiltIn { from: Version::new(1, 0, 0), to: Version::new(1, 2, 0) },
];

/// A member that a built-in step adds.
struct Added {
    path: KeyPath,
    json: &'static str,
    value_type: ValueType,
    change: &'static str,
    since: Version,
}

static ADDED: LazyLock<[Added; 4]> = LazyLock::new(|| {
    let added = |path: &str, json, value_type, change, since| {
        let path = KeyPath::new(path).expect("names that are not empty");
        Added { path, json, value_type, change, since }
    };
    let (v1_1, v1_2) = (Version::new(1, 1, 0), Version::new(1, 2, 0));
    [
        added("input_snapshots", "{}", INPUT_SNAPSHOTS, "Add input_snapshots field (empty dict)", v1_1),
        added("inputs_hash", "null", ValueType::DigestOrNull, "Add inputs_hash field (null)", v1_1),
        added(
            "chain_metadata.is_chainable_stage",
            "false",
            ValueType::Flag,
            "Add chain_metadata.is_chainable_stage (false)",
            v1_2,
        ),
        added("chain_metadata.prior_stages", "[]", ValueType::Array, "Add chain_metadata.prior_stages ([])", v1_2),
    ]
});

static CHAIN_METADATA_PATH: LazyLock<KeyPath> = LazyLock::new(|| KeyPath::of_root("chain_metadata"));

impl BuiltIn {
    fn added(&self) -> impl Iterator<Item = &'static Added> {
        ADDED.iter().filter(|added| self.from < added.since && added.since <= self.to)
    }
}

impl Step for BuiltIn {
    fn from(&self) -> Version {
        self.from
    }

    fn to(&self) -> Version {
        self.to
    }

    fn changes(&self) -> Vec<String> {
        let bump = format!("Bump schema_version to {}", self.to);
        self.added().map(|added| added.change.to_owned()).chain([bump]).collect()
    }

    fn touches(&self) -> Vec<Touch> {
        self.added()
            .map(|added| Touch::Add { path: added.path.clone(), value_type: added.value_type.clone() })
            .collect()
    }

    fn apply(&self, edit: &mut Edit<'_, '_>) -> Result<(), Refusal> {
        if self.to >= Version::new(1, 2, 0) {
            // The step adds two members of this object and checks these only. The object is checked as a whole because
            // its list of prior stages may have items of a wrong type.
            edit.check_type(&CHAIN_METADATA_PATH, &CHAIN_METADATA)?;
        }
        self.added().try_for_each(|added| edit.add(&added.path, added.json, &added.value_type))
    }
}
