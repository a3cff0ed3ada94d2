//! The tiers of a set, and the shapes by which files are recognised.

use serde::{Deserialize, Serialize};

/// Which files of a tier something concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Files {
    /// The primary file.
    #[default]
    Primary,
    /// Every file.
    All,
}

/// A tier: databases of one purpose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Tier {
    /// Its name: `tier1`.
    pub name: String,
    /// True if a set needs no file of it.
    #[serde(default)]
    pub optional: bool,
    /// The shapes that its files may have. A file has the shape whose conditions it meets; if that are several, or shapes
    /// of several tiers, it is not recognised.
    #[serde(rename = "shape")]
    pub shapes: Vec<Shape>,
}

/// How a shape is recognised: by columns, never by names of files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Shape {
    /// Its name, unique in the tier: `A`.
    pub name: String,
    /// A table that must exist.
    pub table: String,
    /// Columns that this table must have.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Columns that it must not have.
    #[serde(default)]
    pub without_columns: Vec<String>,
    /// Tables that must not exist.
    #[serde(default)]
    pub without_tables: Vec<String>,
}
