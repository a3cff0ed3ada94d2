//! Paths of members in a document.

use std::fmt;
use std::ops::Deref;

use serde::Deserialize;

/// The largest number of names in a path.
const NAMES_MAX: usize = 32;

/// The names of members from the root to a value. A path is never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "Written")]
pub struct KeyPath(Vec<String>);

/// A path in a step file: names separated by dots, or a list of names if one of them contains a dot.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Dotted(String),
    List(Vec<String>),
}

impl TryFrom<Written> for KeyPath {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let names = match written {
            Written::Dotted(text) => text.split('.').map(str::to_owned).collect(),
            Written::List(names) => names,
        };
        if names.is_empty() || names.len() > NAMES_MAX || names.iter().any(String::is_empty) {
            return Err(format!("a path has 1 to {NAMES_MAX} names, none of them empty"));
        }
        Ok(Self(names))
    }
}

impl KeyPath {
    /// Parses names that are separated by dots.
    pub fn new(text: &str) -> Result<Self, String> {
        Self::try_from(Written::Dotted(text.to_owned()))
    }

    /// Returns the path of a member of the root.
    pub fn of_root(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// Returns the path of the parent object, or `None` for a member of the root.
    pub fn parent(&self) -> Option<Self> {
        let [parents @ .., _] = &self.0[..] else { return None };
        (!parents.is_empty()).then(|| Self(parents.to_vec()))
    }

    /// Returns true if this path is equal to `other` or begins with it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl Deref for KeyPath {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}
