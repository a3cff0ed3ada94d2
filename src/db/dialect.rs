//! The two languages of SQL that haul speaks.

use std::fmt;

use serde::Serialize;

/// Whose SQL a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// SQLite, as the bundled library takes it.
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
