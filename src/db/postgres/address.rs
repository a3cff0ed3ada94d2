//! Addresses of PostgreSQL databases.

use std::ffi::OsString;
use std::fmt;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgres::Config;

use super::parameters::{Parameters, unreadable};
use super::password_file::{Sought, password_for};
use super::service_file::add_service;
use super::tls::TlsSettings;
use crate::db::variables::Variables;
use crate::migration::Error;

/// The time to wait for a connection, unless the URL sets one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How soon a dead server is noticed, unless the URL says otherwise.
const KEEPALIVES_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVES_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVES_RETRIES: u32 = 3;
/// The directory of server sockets on Debian.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const PORT: u16 = 5432;
/// The parameters that the driver reads itself, each with its name there.
const OF_THE_DRIVER: [(&str, &str); 12] = [
    ("application_name", "application_name"),
    ("channel_binding", "channel_binding"),
    ("connect_timeout", "connect_timeout"),
    ("dbname", "dbname"),
    ("keepalives", "keepalives"),
    ("keepalives_count", "keepalives_retries"),
    ("keepalives_idle", "keepalives_idle"),
    ("keepalives_interval", "keepalives_interval"),
    ("keepalives_retries", "keepalives_retries"),
    ("options", "options"),
    ("password", "password"),
    ("user", "user"),
];

/// The address of a database. Its password is never shown.
#[derive(Clone)]
pub struct Address {
    /// Everything but the hosts.
    pub(super) config: Box<Config>,
    /// Where the server may be, in the order in which to try.
    pub(super) hosts: Vec<Host>,
    pub(super) wanted: Wanted,
    pub(super) tls: TlsSettings,
    /// The role to run as, if it is not the one that connects.
    pub(super) role: Option<String>,
    place: String,
    /// The schema in which unqualified names are looked up first, if it is that of a tenant.
    schema: Option<String>,
}

/// A server that may have the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// A name, an address, or the directory of a socket.
    pub name: String,
    /// The address to connect to, if the name is not to be looked up.
    pub address: Option<IpAddr>,
    pub port: u16,
}

impl Host {
    /// Returns true for a socket of this machine.
    pub fn is_socket(&self) -> bool {
        self.name.starts_with('/') && self.address.is_none()
    }
}

/// Which server of several to take: `target_session_attrs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Any,
    ReadWrite,
    ReadOnly,
    Primary,
    Standby,
    PreferStandby,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.place).finish()
    }
}

impl Address {
    /// Parses a URL or words `name=value`. What they do not say, the environment variables and files of libpq say.
    pub fn parse(text: &str, variables: &Variables) -> Result<Self, Error> {
        let mut parameters = Parameters::parse(text)?;
        let variable = |name: &str| variables.get(name);
        add_service(&mut parameters, variable)?;
        parameters.add_environment(variable);
        parameters.require_names()?;
        Self::of(&parameters)
    }

    /// Lets everything run as this role.
    pub fn with_role(self, role: &str) -> Self {
        Self { role: Some(role.to_owned()), ..self }
    }

    fn of(parameters: &Parameters) -> Result<Self, Error> {
        let hosts = hosts_of(parameters)?;
        let mut config = config_of(parameters)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if parameters.get("keepalives_idle").is_none() {
            config.keepalives_idle(KEEPALIVES_IDLE);
        }
        if config.get_keepalives_interval().is_none() {
            config.keepalives_interval(KEEPALIVES_INTERVAL);
        }
        if config.get_keepalives_retries().is_none() {
            config.keepalives_retries(KEEPALIVES_RETRIES);
        }
        let home = std::env::var_os("HOME").map(PathBuf::from);
        let tls = TlsSettings::of(parameters, home.as_deref())?;
        let place = place(&config, &hosts, parameters.get("port").is_some());
        let (config, wanted) = (Box::new(config), wanted_of(parameters)?);
        let mut address = Self { config, hosts, wanted, tls, role: None, place, schema: None };
        address.add_password(parameters)?;
        Ok(address)
    }

    /// Takes the password from the file of passwords if there is no other.
    fn add_password(&mut self, parameters: &Parameters) -> Result<(), Error> {
        if self.config.get_password().is_some() {
            return Ok(());
        }
        let (database, user) = (self.database(), self.user().unwrap_or_default());
        for host in &self.hosts {
            let sought = Sought { host: &host.name, port: host.port, database: &database, user: &user };
            if let Some(password) = password_for(parameters.get("passfile"), &sought)? {
                self.config.password(password);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Returns the name of the database in messages, without the password.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Returns the address of another database of the same server.
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.config.dbname(name);
        let server = self.place.rsplit_once('/').map_or(self.place.as_str(), |(server, _)| server);
        other.place = format!("{server}/{name}");
        other
    }

    /// Returns the address of a schema of this database: its sessions find names there first, and then where they found
    /// them before.
    pub fn in_schema(&self, schema: &str) -> Self {
        let place = format!("{}, schema {schema}", self.place);
        Self { place, schema: Some(schema.to_owned()), ..self.clone() }
    }

    /// Returns the schema of a tenant.
    pub(super) fn schema(&self) -> Option<&str> {
        self.schema.as_deref()
    }

    /// Returns the name of the database on the server.
    pub(super) fn database(&self) -> String {
        self.config.get_dbname().or(self.config.get_user()).unwrap_or("postgres").to_owned()
    }

    /// Returns the environment variables that point the programs of PostgreSQL to the database.
    pub(super) fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut found = vec![("PGDATABASE", self.database().into()), ("PGHOST", self.host_names().into())];
        found.push(("PGPORT", self.ports().into()));
        found.extend(self.user().map(|user| ("PGUSER", user.into())));
        let addresses: Vec<_> = self.hosts.iter().filter_map(|host| host.address).map(|one| one.to_string()).collect();
        if addresses.len() == self.hosts.len() {
            found.push(("PGHOSTADDR", addresses.join(",").into()));
        }
        found.extend(self.tls.environment());
        if let Some(password) = self.config.get_password() {
            found.push(("PGPASSWORD", OsString::from_vec(password.to_vec())));
        }
        found
    }

    /// Returns the arguments that point these programs to the server, without the password.
    pub(super) fn client_arguments(&self) -> Vec<String> {
        let user = self.user().map(|user| format!("--username={user}"));
        let words = [format!("--host={}", self.host_names()), format!("--port={}", self.ports())];
        words.into_iter().chain(user).collect()
    }

    fn host_names(&self) -> String {
        self.hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(",")
    }

    fn ports(&self) -> String {
        self.hosts.iter().map(|host| host.port.to_string()).collect::<Vec<_>>().join(",")
    }

    fn user(&self) -> Option<String> {
        self.config.get_user().map(str::to_owned)
    }
}

/// Hands the driver what it reads itself, one parameter after the other, so that an error can name the bad one.
fn config_of(parameters: &Parameters) -> Result<Config, Error> {
    let mut words = String::new();
    for (name, of_driver) in OF_THE_DRIVER {
        let Some(value) = parameters.get(name) else { continue };
        let word = format!("{of_driver}='{}' ", value.replace('\\', "\\\\").replace('\'', "\\'"));
        // The message of the driver may quote the value.
        let checked: Result<Config, _> = word.parse();
        checked.map_err(|_| unreadable(&format!("the value of {name} is none that it can have"), "correct it"))?;
        words.push_str(&word);
    }
    words.parse().map_err(|_| unreadable("the driver does not take it", "correct it"))
}

/// Returns the hosts, each with its port; without any, the socket of this machine.
fn hosts_of(parameters: &Parameters) -> Result<Vec<Host>, Error> {
    let list = |name| parameters.get(name).map(|text| text.split(',').collect::<Vec<_>>()).unwrap_or_default();
    let (names, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = names.len().max(addresses.len()).max(1);
    let fits = |list: &Vec<&str>| list.is_empty() || list.len() == count;
    if !fits(&names) || !fits(&addresses) || !(ports.len() <= 1 || ports.len() == count) {
        let next = "give as many ports and addresses as hosts, or one port for all";
        return Err(unreadable("the numbers of hosts, addresses and ports differ", next));
    }
    let host = |index: usize| {
        let address = addresses.get(index).map(|text| text.parse::<IpAddr>());
        let address =
            address.transpose().map_err(|_| unreadable("hostaddr is not a list of IP addresses", "correct it"))?;
        let name = names.get(index).filter(|name| !name.is_empty()).map(|name| (*name).to_owned());
        let by_default = || address.map_or_else(default_host, |address| address.to_string());
        let port = ports.get(index).or(ports.first()).and_then(|port| port.parse().ok()).unwrap_or(PORT);
        Ok(Host { name: name.unwrap_or_else(by_default), address, port })
    };
    (0..count).map(host).collect()
}

fn default_host() -> String {
    let host = if Path::new(SOCKET_DIRECTORY).is_dir() { SOCKET_DIRECTORY } else { "localhost" };
    host.to_owned()
}

fn wanted_of(parameters: &Parameters) -> Result<Wanted, Error> {
    Ok(match parameters.get("target_session_attrs") {
        None | Some("any") => Wanted::Any,
        Some("read-write") => Wanted::ReadWrite,
        Some("read-only") => Wanted::ReadOnly,
        Some("primary") => Wanted::Primary,
        Some("standby") => Wanted::Standby,
        Some("prefer-standby") => Wanted::PreferStandby,
        Some(_) => {
            let next = "write any, read-write, read-only, primary, standby or prefer-standby";
            return Err(unreadable("the value of target_session_attrs is none that it can have", next));
        }
    })
}

/// Returns `postgres://user@host:port/database`.
fn place(config: &Config, hosts: &[Host], with_port: bool) -> String {
    let user = config.get_user().map(|user| format!("{user}@")).unwrap_or_default();
    let host = |host: &Host| if with_port { format!("{}:{}", host.name, host.port) } else { host.name.clone() };
    let hosts: Vec<_> = hosts.iter().map(host).collect();
    let database = config.get_dbname().or(config.get_user()).unwrap_or_default();
    format!("postgres://{user}{}/{database}", hosts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Address, Error> {
        Address::of(&Parameters::parse(text)?)
    }

    #[test]
    fn no_password_is_shown() {
        let secret = "s3cret";
        for url in [
            "postgres://me:s3cret@db.example:5433/app",
            "postgresql://me@db.example:5433/app?password=s3cret",
            "host=db.example port=5433 user=me password=s3cret dbname=app",
        ] {
            let address = of(url).unwrap();
            assert_eq!(address.place(), "postgres://me@db.example:5433/app");
            assert!(!format!("{address:?}").contains(secret));
        }
        for url in ["postgres://me:s3cret@host:port/x", "postgres://h/x?connect_timeout=s3cret"] {
            let error = of(url).unwrap_err();
            assert!(!format!("{error:?} {error}").contains(secret), "{error}");
        }
    }

    #[test]
    fn several_hosts_are_kept_in_order() {
        let address = of("postgres://me@a:1,b:2/x?target_session_attrs=primary").unwrap();
        let hosts: Vec<_> = address.hosts.iter().map(|host| (host.name.as_str(), host.port)).collect();
        assert_eq!((hosts, address.wanted), (vec![("a", 1), ("b", 2)], Wanted::Primary));
        assert_eq!(address.place(), "postgres://me@a:1,b:2/x");
        assert_eq!(of("postgres://a,b:2/x").unwrap().hosts[0].port, 5432);
        for url in ["postgres://a:1,b:2/x?host=a,b,c", "postgres://h/x?target_session_attrs=some"] {
            assert!(of(url).is_err(), "{url}");
        }
    }
}
