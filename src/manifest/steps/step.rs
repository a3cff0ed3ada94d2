//! One step from a version to the next.

use crate::manifest::document::edit::Edit;
use crate::manifest::document::json::Value;
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::value_types::ValueType;
use crate::manifest::document::verdict::Refusal;
use crate::manifest::document::version::Version;

/// One edge of the graph of versions. Built-in and declared steps implement it, and whoever uses the library may.
///
/// A step is a pure function of the document and of the files beside it. `schema_version` and `migration_history` are
/// not its business. What it changes beyond its [`Touch`]es is refused when the output is read back
/// (docs/source-sigilzero.md, invariant 6).
pub trait Step: Send + Sync {
    /// The version that it takes.
    fn from(&self) -> Version;

    /// The version that it makes; above `from`.
    fn to(&self) -> Version;

    /// The texts of its history record when it adds all that it can add, the bump last. A text that begins with `Add `
    /// and a path speaks of that path: `Keep existing …` stands in its place where the path was there already
    /// (docs/source-sigilzero.md, "History records").
    fn changes(&self) -> Vec<String>;

    /// All that it may change.
    fn touches(&self) -> Vec<Touch>;

    /// Paths without which it refuses a document, and what must be there.
    fn requires(&self) -> Vec<(KeyPath, ValueType)> {
        Vec::new()
    }

    /// Changes the document.
    fn apply(&self, edit: &mut Edit<'_, '_>) -> Result<(), Refusal>;

    /// Checks the document that it made, or one that is at its version. The text says what is wrong.
    fn check(&self, document: Value<'_>) -> Result<(), String> {
        let _ = document;
        Ok(())
    }

    /// All that decides what it does, as a text: a run does not resume under a registry with other definitions.
    fn definition(&self) -> String {
        format!("{} {} {:?} {:?}", self.from(), self.to(), self.changes(), self.touches())
    }
}

/// A change that a step may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// Sets what is absent; what is there is kept if it has this type and refused otherwise (docs/source-sigilzero.md,
    /// D1).
    Add {
        /// Where.
        path: KeyPath,
        /// What may be there.
        value_type: ValueType,
    },
    /// Sets what is absent or null; anything else is kept.
    Fill(KeyPath),
    /// Takes away what is there. Breaking.
    Remove(KeyPath),
    /// Sets what is there or absent. Breaking.
    Overwrite(KeyPath),
    /// Moves what is at the first path to the second. Breaking.
    Rename {
        /// Where it was.
        from: KeyPath,
        /// Where it goes; nothing may be there.
        to: KeyPath,
    },
}

impl Touch {
    /// Whether old readers cannot read the result: such a step raises the major version.
    pub fn is_breaking(&self) -> bool {
        !matches!(self, Self::Add { .. } | Self::Fill(_))
    }

    /// The paths that it changes.
    pub fn paths(&self) -> Vec<&KeyPath> {
        match self {
            Self::Add { path, .. } | Self::Fill(path) | Self::Remove(path) | Self::Overwrite(path) => vec![path],
            Self::Rename { from, to } => vec![from, to],
        }
    }
}
