//! Databases as URLs: parsing and opening them.

use std::fmt;
use std::time::Instant;

use super::Dialect;
use super::database::{Database, ReadDatabase};
#[cfg(feature = "db-postgres")]
use super::postgres::{
    Address, PostgresDatabase, PostgresReader, PostgresRehearsal, ScratchDatabase, create_database,
    is_connection_string, is_database_there, reads_variable, wait_for_server,
};
#[cfg(feature = "db-sqlite")]
use super::sqlite::{SqliteDatabase, SqliteFile, SqliteReader};
use super::variables::Variables;
use crate::migration::Error;
use crate::pipeline::StopToken;

/// The database if none is named.
pub const DEFAULT_DATABASE: &str = "sqlite:./haul.db";

/// Removes a database of [`Target::scratch`].
pub type RemoveScratch = Box<dyn FnOnce() -> Result<(), Error>>;

/// A database, given by its URL. Its password is never shown.
#[derive(Debug, Clone)]
pub enum Target {
    /// The file of a SQLite database.
    #[cfg(feature = "db-sqlite")]
    Sqlite(SqliteFile),
    /// A database of a PostgreSQL server.
    #[cfg(feature = "db-postgres")]
    Postgres(Address),
}

impl Target {
    /// Parses `sqlite:PATH`, `postgres://…`, `postgresql://…` or the words `host=… dbname=…` of libpq.
    pub fn parse(url: &str) -> Result<Self, Error> {
        Self::parse_with(url, &Variables::default())
    }

    /// Parses a URL. What it does not say of a PostgreSQL database, the variables say.
    pub fn parse_with(url: &str, variables: &Variables) -> Result<Self, Error> {
        if url.starts_with("sqlite:") {
            return Self::sqlite(url);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") || is_in_words(url) {
            return Self::postgres(url, variables);
        }
        Err(Error::Usage {
            what: "haul does not know this kind of database URL".into(),
            next: "write sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE".into(),
        })
    }

    /// Parses a URL, or the path of a SQLite file.
    pub fn parse_or_path(text: &str) -> Result<Self, Error> {
        let is_url = text.contains("://") || text.starts_with("sqlite:") || is_in_words(text);
        if is_url { Self::parse(text) } else { Self::of_path(text) }
    }

    #[cfg(feature = "db-sqlite")]
    fn of_path(path: &str) -> Result<Self, Error> {
        Ok(Self::Sqlite(SqliteFile::from(std::path::PathBuf::from(path))))
    }

    #[cfg(not(feature = "db-sqlite"))]
    fn of_path(_path: &str) -> Result<Self, Error> {
        Err(left_out(Dialect::Sqlite, "db-sqlite"))
    }

    /// Returns a schema of this database as a tenant sees it, or nothing if its engine has no schemas.
    #[cfg(feature = "db-postgres")]
    pub fn in_schema(&self, schema: &str) -> Option<Self> {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(_) => None,
            Self::Postgres(address) => Some(Self::Postgres(address.in_schema(schema))),
        }
    }

    /// Returns nothing: no engine of this build has schemas.
    #[cfg(not(feature = "db-postgres"))]
    pub fn in_schema(&self, _schema: &str) -> Option<Self> {
        None
    }

    /// Returns the database of this name on the same server, or nothing if there is no server or the name is a URL.
    #[cfg(feature = "db-postgres")]
    pub fn other_database(&self, name: &str) -> Option<Self> {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(_) => None,
            Self::Postgres(_) if name.contains("://") || name.starts_with("sqlite:") || is_in_words(name) => None,
            Self::Postgres(address) => Some(Self::Postgres(address.with_database(name))),
        }
    }

    /// Returns nothing: no engine of this build has a server.
    #[cfg(not(feature = "db-postgres"))]
    pub fn other_database(&self, _name: &str) -> Option<Self> {
        None
    }

    /// Returns a text that is the same for two ways of naming one database, as far as haul can tell.
    pub fn identity(&self) -> String {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) => file.identity(),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => address.place().to_owned(),
        }
    }

    /// Returns false if the database does not exist. Another reason why it cannot be opened is an error.
    pub fn is_there(&self) -> Result<bool, Error> {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) => file.is_there(),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => is_database_there(address),
        }
    }

    /// Returns true for an environment variable that says what a URL does not.
    pub fn reads_variable(name: &str) -> bool {
        is_of_libpq(name)
    }

    #[cfg(feature = "db-postgres")]
    fn postgres(url: &str, variables: &Variables) -> Result<Self, Error> {
        Address::parse(url, variables).map(Self::Postgres)
    }

    #[cfg(not(feature = "db-postgres"))]
    fn postgres(_url: &str, _variables: &Variables) -> Result<Self, Error> {
        Err(left_out(Dialect::Postgres, "db-postgres"))
    }

    #[cfg(feature = "db-sqlite")]
    fn sqlite(url: &str) -> Result<Self, Error> {
        SqliteFile::parse(url).map(Self::Sqlite)
    }

    #[cfg(not(feature = "db-sqlite"))]
    fn sqlite(_url: &str) -> Result<Self, Error> {
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

    /// Lets the file of a SQLite database be created by the first run.
    pub fn creating(self) -> Self {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) => Self::Sqlite(SqliteFile { may_create: true, ..file }),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => Self::Postgres(address),
        }
    }

    /// Lets everything on a PostgreSQL database run as this role.
    pub fn with_role(self, role: &str) -> Result<Self, Error> {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(_) => Err(Error::Usage {
                what: format!("SQLite has no roles, and the role {role} is asked for"),
                next: "leave out --role, and role in haul.toml".into(),
            }),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => Ok(Self::Postgres(address.with_role(role))),
        }
    }

    /// Waits until the server answers, and with `to_write` until it may be written to, at the longest until `deadline` or
    /// until a stop is requested. A SQLite database has no server.
    #[cfg(feature = "db-postgres")]
    pub fn wait_for_server(&self, deadline: Instant, to_write: bool, stop: &StopToken) -> Result<(), Error> {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(address) => wait_for_server(address, deadline, to_write, stop),
        }
    }

    /// Returns at once: a SQLite database has no server.
    #[cfg(not(feature = "db-postgres"))]
    pub fn wait_for_server(&self, _deadline: Instant, _to_write: bool, _stop: &StopToken) -> Result<(), Error> {
        Ok(())
    }

    /// Creates the database if it does not exist. Returns true if it was created.
    pub fn create(&self) -> Result<bool, Error> {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) if file.require().is_ok() && !file.may_create => Ok(false),
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) => {
                let file = SqliteFile { may_create: true, ..file.clone() };
                SqliteDatabase::open(file.require_writable()?).map(|_| true)
            }
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => create_database(address),
        }
    }

    /// Opens the database for reading.
    pub fn open_read_only(&self) -> Result<Box<dyn ReadDatabase>, Error> {
        Ok(match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) => Box::new(SqliteReader::open(file.require()?)?),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => Box::new(PostgresReader::connect(address)?),
        })
    }

    /// Rolls back the transaction of a killed writer if the engine leaves that to the next connection. Until then the
    /// database cannot be read.
    pub fn recover(&self) -> Result<(), Error> {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) if file.is_read_only => Ok(()),
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) => SqliteDatabase::recover(&file.path),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Opens an empty database for a trial, and returns what removes it, to be called when it is no longer open.
    pub fn scratch(&self) -> Result<(Box<dyn Database>, RemoveScratch), Error> {
        match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(_) => Ok((Box::new(SqliteDatabase::temporary()?), Box::new(|| Ok(())))),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => {
                let (database, scratch) = ScratchDatabase::create(address)?;
                Ok((Box::new(database), Box::new(|| scratch.remove())))
            }
        }
    }

    /// Opens the database for writing.
    pub fn open(&self) -> Result<Box<dyn Database>, Error> {
        Ok(match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) => Box::new(SqliteDatabase::open(file.require_writable()?)?),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => Box::new(PostgresDatabase::connect(address)?),
        })
    }

    /// Opens a database for a rehearsal: it accepts migrations like the original, and nothing of them is kept.
    pub fn rehearse(&self) -> Result<Box<dyn Database>, Error> {
        Ok(match self {
            #[cfg(feature = "db-sqlite")]
            Self::Sqlite(file) => Box::new(SqliteDatabase::copy(file.require()?)?),
            #[cfg(feature = "db-postgres")]
            Self::Postgres(address) => Box::new(PostgresRehearsal::connect(address)?),
        })
    }
}

/// Returns true for words of libpq, `host=… dbname=…`.
#[cfg(feature = "db-postgres")]
fn is_in_words(text: &str) -> bool {
    is_connection_string(text)
}

#[cfg(not(feature = "db-postgres"))]
fn is_in_words(_text: &str) -> bool {
    false
}

#[cfg(feature = "db-postgres")]
fn is_of_libpq(name: &str) -> bool {
    reads_variable(name)
}

#[cfg(not(feature = "db-postgres"))]
fn is_of_libpq(_name: &str) -> bool {
    false
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
            Self::Sqlite(file) => f.write_str(&file.place()),
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
        assert_eq!(shown("host=h port=1 user=me dbname=x password=pw").unwrap(), "postgres://me@h:1/x");
        for url in ["", "x.db", "sqlite:", "sqlite::memory:", "mysql://me:pw@h/x"] {
            let error = shown(url).unwrap_err();
            assert!(!error.contains("pw"), "{error}");
        }
    }
}
