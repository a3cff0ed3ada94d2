//! The two SQL dialects that haul supports.

use std::fmt;

use serde::Serialize;

/// The SQL dialect of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// SQLite, as the bundled library accepts it.
    Sqlite,
    /// PostgreSQL, with `standard_conforming_strings` on.
    Postgres,
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}
