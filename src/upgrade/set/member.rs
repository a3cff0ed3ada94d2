//! A database of a set.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A database of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The name of its copies below `migration/`, unique in the set: the name of its file.
    pub key: String,
    /// Where it is.
    pub path: PathBuf,
    /// The name of its tier in the definition.
    pub tier: String,
    /// The name of its shape in the definition.
    pub shape: String,
    /// True for the one file of a tier that gets the new tables.
    pub is_primary: bool,
}
