//! The trait of a step from one version to another.

use crate::manifest::document::edit::Edit;
use crate::manifest::document::json::Value;
use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::value_types::ValueType;
use crate::manifest::document::verdict::Refusal;
use crate::manifest::document::version::Version;

/// A step from one version to another. Built-in and declared steps implement it, and programs can add steps of their
/// own.
///
/// A step is a pure function of the document and the files in its directory. It does not set `schema_version` and
/// `migration_history`. If it changes more than its [`Touch`]es declare, the document is refused
/// (docs/source-sigilzero.md, invariant 6).
pub trait Step: Send + Sync {
    /// Returns the version that it leads from.
    fn from(&self) -> Version;

    /// Returns the version that it leads to, which is above `from`.
    fn to(&self) -> Version;

    /// Returns the texts of the history record for a document to which it adds everything. The text about
    /// `schema_version` comes last. A text that begins with `Add ` and a path is replaced by `Keep existing …` if the
    /// path was there already (docs/source-sigilzero.md, "Steps").
    fn changes(&self) -> Vec<String>;

    /// Returns everything that it may change.
    fn touches(&self) -> Vec<Touch>;

    /// Returns the paths that it requires, with their types.
    fn requires(&self) -> Vec<(KeyPath, ValueType)> {
        Vec::new()
    }

    /// Changes the document.
    fn apply(&self, edit: &mut Edit<'_, '_>) -> Result<(), Refusal>;

    /// Checks a document that it has changed, or one that is at its version. The error says what is wrong.
    fn check(&self, document: Value<'_>) -> Result<(), String> {
        let _ = document;
        Ok(())
    }

    /// Returns a text of everything that decides what it does. It goes into
    /// [`Registry::digest`](super::registry::Registry), so a run does not resume under other steps.
    fn definition(&self) -> String {
        format!("{} {} {:?} {:?}", self.from(), self.to(), self.changes(), self.touches())
    }
}

/// A change that a step may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// Sets a value if it is absent. A value that is there is kept if it has this type, else the document is refused
    /// (docs/source-sigilzero.md, D1).
    Add {
        /// The path of the value.
        path: KeyPath,
        /// Its type.
        value_type: ValueType,
    },
    /// Sets a value if it is absent or null. Any other value is kept.
    Fill(KeyPath),
    /// Removes a value. Breaking.
    Remove(KeyPath),
    /// Sets a value, whether there is one or not. Breaking.
    Overwrite(KeyPath),
    /// Moves a value from one path to another. Breaking.
    Rename {
        /// The old path.
        from: KeyPath,
        /// The new path, where no value may be.
        to: KeyPath,
    },
}

impl Touch {
    /// Returns true if old readers cannot read the result. Such a step raises the major version.
    pub fn is_breaking(&self) -> bool {
        !matches!(self, Self::Add { .. } | Self::Fill(_))
    }

    /// Returns the paths that it changes.
    pub fn paths(&self) -> Vec<&KeyPath> {
        match self {
            Self::Add { path, .. } | Self::Fill(path) | Self::Remove(path) | Self::Overwrite(path) => vec![path],
            Self::Rename { from, to } => vec![from, to],
        }
    }
}
