//! What a connection string says, as named parameters, read as libpq reads it: a URL, or words `name=value`.
//!
//! No error quotes a part of the string but the name of a parameter, because any other part may hold the password.

use std::collections::BTreeMap;

use crate::db::percent::decoded;
use crate::migration::Error;

/// The parameters, each with the environment variable that stands in for it.
const NAMES: [(&str, &str); 26] = [
    ("application_name", "PGAPPNAME"),
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("fallback_application_name", ""),
    ("gssencmode", "PGGSSENCMODE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("keepalives", ""),
    ("keepalives_count", ""),
    ("keepalives_idle", ""),
    ("keepalives_interval", ""),
    ("keepalives_retries", ""),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("service", "PGSERVICE"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslnegotiation", "PGSSLNEGOTIATION"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("user", "PGUSER"),
];
const PASSWORD: &str = "password";
const URL_SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// What must not stand in a URL as it is.
const ESCAPES: &str =
    "write %40 for @, %2F for /, %3A for :, %3F for ?, %23 for # and %25 for % in user, password and values";
const FORM: &str = "write postgres://USER:PASSWORD@HOST:PORT/DATABASE";

/// The parameters of a connection.
#[derive(Clone, Default)]
pub struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Parses a connection string.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match URL_SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) {
            Some(rest) => Self::of_url(rest),
            None => Self::of_words(text),
        }
    }

    /// Returns the value of a parameter; an empty one counts as none.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Fails if the user or the database was written and is empty, and nothing else names it. The server would take the
    /// database that is named like the user.
    pub fn require_names(&self) -> Result<(), Error> {
        for (name, what) in [("dbname", "it names an empty database"), ("user", "it names an empty user")] {
            if self.0.get(name).is_some_and(String::is_empty) {
                return Err(unreadable(what, "write it, or leave out what stands for it to take the default of libpq"));
            }
        }
        Ok(())
    }

    /// Adds what is not set yet, or is empty.
    pub fn add_missing(&mut self, others: impl IntoIterator<Item = (&'static str, String)>) {
        for (name, value) in others {
            let known = self.0.entry(name).or_default();
            if known.is_empty() {
                *known = value;
            }
        }
    }

    /// Returns all parameters.
    pub fn into_values(self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.into_iter()
    }

    /// Adds what is not set yet from environment variables.
    pub fn add_environment(&mut self, variable: impl Fn(&str) -> Option<String>) {
        let named = NAMES.into_iter().filter(|(_, name)| !name.is_empty());
        self.add_missing(
            named.filter_map(|(name, from)| Some((name, variable(from).filter(|value| !value.is_empty())?))),
        );
    }

    /// Sets a parameter by its name.
    pub fn set(&mut self, name: &str, value: String) -> Result<(), Error> {
        // What the drivers of Java write.
        let (name, value) =
            if (name, value.as_str()) == ("ssl", "true") { ("sslmode", "require".into()) } else { (name, value) };
        let name = known(name).ok_or_else(|| unknown(name))?;
        self.0.insert(name, value);
        Ok(())
    }

    fn of_url(rest: &str) -> Result<Self, Error> {
        // A password with a character that ends it early would be shown, and looked up, as a host or a database.
        let (authority, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if rest.matches('@').count() > 1 || tail.contains('@') {
            return Err(unreadable("user or password hold a character that has a meaning in URLs", ESCAPES));
        }
        let mut found = Self::default();
        let (user, hosts) = authority.split_once('@').unwrap_or(("", authority));
        let (user, password) = user.split_once(':').unwrap_or((user, ""));
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        let (hosts, ports) = hosts_and_ports(hosts)?;
        let values = [("user", user), (PASSWORD, password), ("dbname", path.trim_start_matches('/'))];
        for (name, value) in values.into_iter().filter(|(_, value)| !value.is_empty()) {
            found.set(name, text_of(value)?)?;
        }
        // What is written and empty is probably a variable without a value.
        for (name, is_written) in [("user", authority.contains('@')), ("dbname", rest.is_empty() || !path.is_empty())] {
            if is_written {
                found.0.entry(name).or_default();
            }
        }
        for (name, value) in [("host", hosts), ("port", ports)] {
            if value.bytes().any(|byte| byte != b',') {
                found.set(name, value)?;
            }
        }
        let mut is_secret = false;
        for word in query.split('&').filter(|word| !word.is_empty()) {
            let Some((name, value)) = word.split_once('=') else {
                return Err(unreadable("a parameter has no value", "write ?NAME=VALUE&NAME=VALUE"));
            };
            found.set_behind(is_secret, &text_of(name)?, text_of(value)?)?;
            is_secret |= name == PASSWORD;
        }
        found.check()
    }

    /// Sets a parameter. Behind a password, a name that haul does not know may be a part of that, and is not shown.
    fn set_behind(&mut self, is_secret: bool, name: &str, value: String) -> Result<(), Error> {
        match known(name) {
            None if is_secret => Err(unreadable("the value of password holds a character with a meaning", ESCAPES)),
            _ => self.set(name, value),
        }
    }

    /// Parses words `name=value`; a value with spaces stands in quotes, with backslashes before quotes and backslashes.
    fn of_words(text: &str) -> Result<Self, Error> {
        let mut found = Self::default();
        let (mut rest, mut is_secret) = (text.trim_start(), false);
        while !rest.is_empty() {
            let Some((name, value)) = rest.split_once('=') else {
                return Err(unreadable("a word has no value", "write host=HOST dbname=DATABASE user=USER"));
            };
            let is_apart = value.starts_with(char::is_whitespace);
            let (value, after) = first_value(value.trim_start())?;
            if is_apart && value.contains('=') {
                return Err(unreadable("a word has no value", "write host=HOST dbname=DATABASE user=USER"));
            }
            found.set_behind(is_secret, name.trim_end(), value)?;
            is_secret |= name.trim_end() == PASSWORD;
            rest = after.trim_start();
        }
        found.check()
    }

    /// Checks what is not a matter of the driver.
    fn check(self) -> Result<Self, Error> {
        if self.get("host").is_some_and(|hosts| !hosts.split(',').all(is_host)) {
            return Err(unreadable("a host has a character that no host name has", ESCAPES));
        }
        if self.get("user").is_some_and(|user| user.contains(':')) {
            return Err(unreadable("the user holds a :, so a part of it seems to be the password", FORM));
        }
        let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
        if self.get("port").is_some_and(|ports| !ports.split(',').all(is_port)) {
            return Err(unreadable("a port is not a number from 1 to 65535", FORM));
        }
        Ok(self)
    }
}

/// Returns true for an environment variable that haul reads.
pub fn reads_variable(name: &str) -> bool {
    let of_service_files = ["PGSERVICEFILE", "PGSYSCONFDIR"];
    !name.is_empty() && (NAMES.iter().any(|(_, variable)| *variable == name) || of_service_files.contains(&name))
}

/// Returns true if the text consists of words `name=value`, as far as its beginning tells.
pub fn is_connection_string(text: &str) -> bool {
    text.trim_start().split_once('=').is_some_and(|(name, _)| known(name.trim_end()).is_some())
}

/// Splits `host:port,[address]:port` into a list of hosts and one of ports, of the same length.
fn hosts_and_ports(text: &str) -> Result<(String, String), Error> {
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for one in text.split(',') {
        let (host, port) = match one.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(|| unreadable("an address has no closing bracket", FORM))?,
            None => one.split_at(one.find(':').unwrap_or(one.len())),
        };
        if !port.is_empty() && !port.starts_with(':') {
            return Err(unreadable("a host has a character that no host name has", ESCAPES));
        }
        hosts.push(text_of(host)?);
        ports.push(port.trim_start_matches(':').to_owned());
    }
    Ok((hosts.join(","), ports.join(",")))
}

/// Returns true for what can be the name or address of a host, or the directory of a socket.
fn is_host(host: &str) -> bool {
    let is_part_of_one = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
    host.starts_with('/') || host.bytes().all(is_part_of_one)
}

fn first_value(text: &str) -> Result<(String, &str), Error> {
    let quoted = text.strip_prefix('\'');
    let mut value = String::new();
    let mut rest = quoted.unwrap_or(text).char_indices();
    while let Some((at, found)) = rest.next() {
        let after = &quoted.unwrap_or(text)[at..];
        match found {
            '\\' => value.extend(rest.next().map(|(_, escaped)| escaped)),
            '\'' if quoted.is_some() => return Ok((value, &after[1..])),
            found if quoted.is_none() && found.is_whitespace() => return Ok((value, after)),
            found => value.push(found),
        }
    }
    match quoted {
        Some(_) => Err(unreadable("a quote is not closed", "write name='value', with a backslash before a quote")),
        None => Ok((value, "")),
    }
}

fn known(name: &str) -> Option<&'static str> {
    NAMES.into_iter().find_map(|(known, _)| (known == name).then_some(known))
}

fn text_of(text: &str) -> Result<String, Error> {
    decoded(text).ok_or_else(|| unreadable("a % is not followed by two hexadecimal digits of a text", ESCAPES))
}

/// Returns the error for a parameter that haul does not know.
fn unknown(name: &str) -> Error {
    let is_name = name.len() <= 40 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if !is_name {
        return unreadable("a parameter has a name that haul does not know", ESCAPES);
    }
    let next = match name {
        "schema" | "search_path" | "currentSchema" => {
            "write options=-c%20search_path%3DNAME instead; --table NAME.haul_migrations says where haul's tables are"
                .into()
        }
        "statement_timeout" | "lock_timeout" | "timezone" | "role" => {
            format!("write options=-c%20{name}%3DVALUE instead")
        }
        name if name.starts_with("ssl") => {
            "haul reads sslmode, sslrootcert, sslcert, sslkey and sslnegotiation; remove it".into()
        }
        _ => "remove it; it is none of libpq's that haul reads".into(),
    };
    unreadable(&format!("haul does not know the parameter {name}"), &next)
}

/// Returns the error for a connection string. `what` holds nothing of it but names.
pub fn unreadable(what: &str, next: &str) -> Error {
    Error::Usage { what: format!("the URL of the database cannot be read: {what}"), next: next.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<(&'static str, String)> {
        Parameters::parse(text).unwrap().0.into_iter().collect()
    }

    #[test]
    fn urls_and_words_say_the_same() {
        let url = "postgresql://me:p%40s%20s@h:1/x?connect_timeout=3&options=-c%20search_path%3Da";
        let words = "host = h port=1 dbname=x user=me password='p@s s' connect_timeout=3 options='-c search_path=a'";
        assert_eq!(of(url), of(words));
        assert_eq!(of("user=a\\'b password='c\\'\\\\ d'"), [("password", "c'\\ d".into()), ("user", "a'b".into())]);
    }

    #[test]
    fn hosts_are_lists_addresses_or_sockets() {
        let host = |text: &str| {
            let found = Parameters::parse(text).unwrap();
            (found.get("host").map(str::to_owned), found.get("port").map(str::to_owned))
        };
        let pair = |host: &str, port: &str| (Some(host.to_owned()), Some(port.to_owned()));
        assert_eq!(host("postgres://a:1,b:2/x"), pair("a,b", "1,2"));
        assert_eq!(host("postgres://[::1]:5/x"), pair("::1", "5"));
        assert_eq!(host("postgres://me@%2Fvar%2Frun:5/x"), pair("/var/run", "5"));
        assert_eq!(host("postgres:///x?host=/tmp&port=6"), pair("/tmp", "6"));
        assert_eq!(host("postgres:///x"), (None, None));
    }

    #[test]
    fn no_part_of_a_password_is_in_an_error() {
        for password in ["first@second", "fir/st@second", "a:b@c", "p@ss:word", "x@y/z", "12/x", "1?b", "a?b=c", "50%x"]
        {
            let url = format!("postgres://me:{password}@127.0.0.1:1/db");
            let Err(error) = Parameters::parse(&url).map(|_| ()) else { panic!("{url}") };
            let text = format!("{error} {error:?}");
            for part in ["first", "second", "fir/", "b@c", "p@ss", ":word", "x@", "12/", "50%"] {
                assert!(!text.contains(part), "{password}: {text}");
            }
        }
        for text in [
            "host=a password=s3cret x=y",
            "password='s3cret",
            "password=x s3cret",
            "host=a@s3cret",
            "password=a s3cret=b",
        ] {
            let Err(error) = Parameters::parse(text).map(|_| ()) else { panic!("{text}") };
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn unknown_parameters_are_named() {
        let error = |url: &str| Parameters::parse(url).err().expect("it is unknown").to_string();
        assert!(error("postgres://h/x?search_path=a").ends_with("haul does not know the parameter search_path"));
        assert!(error("postgres://h/x?pool-size=4").ends_with("haul does not know the parameter pool-size"));
    }

    #[test]
    fn variables_stand_in_for_what_is_not_given() {
        let mut found = Parameters::parse("postgres://h/x").unwrap();
        found.add_environment(|name| Some(format!("v-{name}")).filter(|_| ["PGHOST", "PGUSER"].contains(&name)));
        assert_eq!((found.get("host"), found.get("user"), found.get("port")), (Some("h"), Some("v-PGUSER"), None));
    }
}
