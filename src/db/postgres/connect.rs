//! Addresses of PostgreSQL databases, and connections to them.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

use postgres::config::Host;
use postgres::{Client, Config, NoTls};

use super::errors::engine_error;
use crate::migration::Error;

/// The time to wait for a connection, unless the URL sets one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The directory of server sockets on Debian.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";
/// The lexer assumes literals as in the SQL standard.
const OPTIONS: &str = "-c standard_conforming_strings=on -c client_encoding=UTF8";
const READ_ONLY: &str = "-c default_transaction_read_only=on";
/// PostgreSQL truncates names after this length.
const NAME_BYTES_MAX: usize = 63;

/// The address of a database. Its password is never shown.
#[derive(Clone)]
pub struct Address {
    config: Box<Config>,
    place: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.place).finish()
    }
}

impl Address {
    /// Parses `postgres://user:password@host:port/database?…`.
    pub fn parse(url: &str) -> Result<Self, Error> {
        // The message of the parser may quote a part of the URL, and that part may contain the password.
        let mut config: Config = url.parse().map_err(|_| Error::Usage {
            what: "the URL of the database cannot be read".into(),
            next:
                "write postgres://USER:PASSWORD@HOST:PORT/DATABASE, with %XX for characters that have a meaning in URLs"
                    .into(),
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            if Path::new(SOCKET_DIRECTORY).is_dir() {
                config.host_path(SOCKET_DIRECTORY);
            } else {
                config.host("localhost");
            }
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        let place = place(&config);
        Ok(Self { config: Box::new(config), place })
    }

    /// Returns the name of the database in messages, without the password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns the name of the database on the server.
    pub(super) fn database(&self) -> String {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres").to_owned()
    }

    /// Returns the environment variables that point the programs of PostgreSQL to the database.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut found = vec![("PGDATABASE", self.database().into())];
        let texts = [("PGHOST", self.hosts()), ("PGPORT", self.ports()), ("PGUSER", self.user())];
        found.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text?.into()))));
        let addresses: Vec<_> = self.config.get_hostaddrs().iter().map(ToString::to_string).collect();
        if !addresses.is_empty() {
            found.push(("PGHOSTADDR", addresses.join(",").into()));
        }
        if let Some(password) = self.config.get_password() {
            found.push(("PGPASSWORD", OsString::from_vec(password.to_vec())));
        }
        found
    }

    /// Returns the arguments that point these programs to the server, without the password.
    pub(super) fn client_arguments(&self) -> Vec<String> {
        let words = [("--host", self.hosts()), ("--port", self.ports()), ("--username", self.user())];
        words.into_iter().filter_map(|(name, text)| Some(format!("{name}={}", text?))).collect()
    }

    fn hosts(&self) -> Option<String> {
        let name = |host: &Host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(directory) => directory.display().to_string(),
        };
        joined(self.config.get_hosts().iter().map(name))
    }

    fn ports(&self) -> Option<String> {
        joined(self.config.get_ports().iter().map(ToString::to_string))
    }

    fn user(&self) -> Option<String> {
        self.config.get_user().map(str::to_owned)
    }

    /// Opens a connection whose transactions are read-only.
    pub(super) fn connect_read_only(&self) -> Result<Client, Error> {
        self.connect(READ_ONLY)
    }

    /// Opens a connection that may write.
    pub(super) fn connect_for_write(&self) -> Result<Client, Error> {
        self.connect("")
    }

    fn connect(&self, more_options: &str) -> Result<Client, Error> {
        let mut config = self.config.clone();
        let given = config.get_options().unwrap_or_default();
        config.options(&format!("{given} {OPTIONS} {more_options}"));
        config.application_name(&application_name());
        // The notices of a server about statements without effect are of no use here.
        config.notice_callback(|_| {});
        config.connect(NoTls).map_err(|error| engine_error(&error).at(&self.place))
    }
}

/// Joins several hosts or ports in the form that the programs expect.
fn joined(texts: impl Iterator<Item = String>) -> Option<String> {
    let texts: Vec<_> = texts.collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// Returns `postgres://user@host:port/database`, from the fields that the driver has parsed.
fn place(config: &Config) -> String {
    let host = match (config.get_hosts().first(), config.get_hostaddrs().first()) {
        (Some(Host::Tcp(host)), _) => host.clone(),
        (Some(Host::Unix(directory)), _) => directory.display().to_string(),
        (None, address) => address.map(ToString::to_string).unwrap_or_default(),
    };
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let port = config.get_ports().first().map(|port| format!(":{port}")).unwrap_or_default();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{user}{host}{port}/{database}")
}

/// Returns `haul 0.1.0 pid 123 on host`, which the server shows for the session and `locks` shows for the holder.
fn application_name() -> String {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let name = format!("haul {} pid {} on {host}", env!("CARGO_PKG_VERSION"), std::process::id());
    name.chars().filter(char::is_ascii).take(NAME_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let secret = "s3cret";
        for url in ["postgres://me:s3cret@db.example:5433/app", "postgresql://me@db.example:5433/app?password=s3cret"] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.place(), "postgres://me@db.example:5433/app");
            assert!(!format!("{address:?}").contains(secret));
        }
        for url in ["postgres://me:s3cret@host:port/x", "postgres://h/x?s3cret=1"] {
            let error = Address::parse(url).unwrap_err();
            assert!(!format!("{error:?} {error}").contains(secret), "{error}");
        }
    }

    #[test]
    fn the_error_for_an_unreachable_server_has_no_password() {
        let address = Address::parse("postgres://me:s3cret@127.0.0.1:1/app?connect_timeout=2").unwrap();
        let Err(error) = address.connect_for_write() else { panic!("nothing listens there") };
        assert_eq!(error.exit_code(), crate::migration::exit::TEMPORARY);
        assert!(!error.to_string().contains("s3cret") && error.to_string().contains("me@127.0.0.1:1/app"), "{error}");
    }
}
