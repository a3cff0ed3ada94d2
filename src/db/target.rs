//! Databases as URLs: parsing and opening them.

use std::fmt;
#[cfg(feature = "db-sqlite")]
use std::path::PathBuf;

use super::Dialect;
use super::database::{Database, ReadDatabase};
#[cfg(feature = "db-postgres")]
use super::postgres::{Address, PostgresDatabase, PostgresReader, PostgresRehearsal};
#[cfg(feature = "db-sqlite")]
use super::sqlite::{SqliteDatabase, SqliteReader};
use crate::migration::Error;

/// The default database.
pub const DEFAULT_DATABASE: &str = "sqlite:./haul.db";

/// A database, given by its URL. Its password is never shown.
#[derive(Debug, Clone)]
pub enum Target {
    /// The file of a SQLite database.
    #[cfg(feature = "db-sqlite")]
    Sqlite(PathBuf),
    /// A database of a PostgreSQL server.
    #[cfg(feature = "db-postgres")]
    Postgres(Address),
}

impl Target {
    /// Parses `sqlite:PATH`, `postgres://…` or `postgresql://…`.
    pub fn parse(url: &str) -> Result<Self, Error> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Self::postgres(url);
        }
        let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
        match path.filter(|path| !path.is_empty() && *path != ":memory:") {
            Some(path) => Self::sqlite(path),
            None => Err(Error::Usage {
                what: "haul does not know this kind of database URL".into(),
                next: "write sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE".into(),
            }),
        }
    }

    #[cfg(feature = "db-postgres")]
    fn postgres(url: &str) -> Result<Self, Error> {
        Address::parse(url).map(Self::Postgres)
    }

    #[cfg(not(feature = "db-postgres"))]
    fn postgres(_url: &str) -> Result<Self, Error> {
        Err(left_out(Dialect::Postgres, "db-postgres"))
    }

    #[cfg(feature = "db-sqlite")]
    fn sqlite(path: &str) -> Result<Self, Error> {
        Ok(Self::Sqlite(path.into()))
    }

    #[cfg(not(feature = "db-sqlite"))]
    fn sqlite(_path: &str) -> Result<Self, Error> {
        Err(left_out(Dialect::Sqlite, "db-sqlite"))
    }

    /// Returns the SQL dialect.
    pub fn dialect(&self) -> Dialect {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(_) => Dialect::Sqlite,
            #[cfg(feature = "db-postgres")]
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Returns true if it is a file that does not exist.
    pub fn is_missing(&self) -> bool {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(path) => !path.exists(),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(_) => false,
        }
    }

    /// Opens the database for reading.
    pub fn open_read_only(&self) -> Result<Box<dyn ReadDatabase>, Error> {
        Ok(match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(path) => Box::new(SqliteReader::open(path)?),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => Box::new(PostgresReader::connect(address)?),
        })
    }

    /// Rolls back the transaction of a killed writer if the engine leaves that to the next connection. Until then the
    /// database cannot be read.
    pub fn recover(&self) -> Result<(), Error> {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(path) => SqliteDatabase::recover(path),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Opens the database for writing.
    pub fn open(&self) -> Result<Box<dyn Database>, Error> {
        Ok(match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(path) => Box::new(SqliteDatabase::open(path)?),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => Box::new(PostgresDatabase::connect(address)?),
        })
    }

    /// Opens a database for a rehearsal: it accepts migrations like the original, and nothing of them is kept.
    pub fn rehearse(&self) -> Result<Box<dyn Database>, Error> {
        Ok(match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(path) => Box::new(SqliteDatabase::copy(path)?),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => Box::new(PostgresRehearsal::connect(address)?),
        })
    }
}

/// Returns the error for a database whose engine this build does not have.
#[cfg(not(all(feature = "db-sqlite", feature = "db-postgres")))]
fn left_out(dialect: Dialect, feature: &str) -> Error {
    Error::Usage {
        what: format!("this build of haul does not support {dialect}"),
        next: format!("build it with the cargo feature {feature}"),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => f.write_str(address.place()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_databases() {
        let shown = |url| Target::parse(url).map(|target| target.to_string()).map_err(|error| error.to_string());
        assert_eq!(shown("sqlite:a/b.db").unwrap(), "sqlite:a/b.db");
        assert_eq!(shown("sqlite:///a/b.db").unwrap(), "sqlite:/a/b.db");
        assert_eq!(shown("postgres://me:pw@h:1/x").unwrap(), "postgres://me@h:1/x");
        for url in ["", "x.db", "sqlite:", "sqlite::memory:", "mysql://me:pw@h/x"] {
            let error = shown(url).unwrap_err();
            assert!(!error.contains("pw"), "{error}");
        }
    }
}
