//! What an address says of encryption.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use postgres::config::{SslMode, SslNegotiation};

use super::super::address::{Parameters, unreadable};
use crate::migration::Error;

/// The directory of libpq's files, below the home directory.
const DIRECTORY: &str = ".postgresql";
const ROOTS_FILE: &str = "root.crt";
const CERTIFICATE_FILE: &str = "postgresql.crt";
const KEY_FILE: &str = "postgresql.key";
/// The value of `sslrootcert` that stands for what the system trusts.
const SYSTEM: &str = "system";

/// How much a connection insists on encryption: `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Disable,
    Allow,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// A file, and whether the address names it. One that it does not name need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaybeFile {
    pub path: PathBuf,
    pub is_named: bool,
}

/// Which certificates of servers are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Any, because nothing is checked.
    Any,
    /// Those that an authority in the file has signed; without the file, any.
    FileIfThere(MaybeFile),
    /// Those that an authority in the file has signed.
    File(MaybeFile),
    /// Those that the system trusts.
    System,
}

/// What an address says of encryption.
#[derive(Debug, Clone)]
pub struct TlsSettings {
    mode: Mode,
    roots: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    is_direct: bool,
    /// The directory of the files that are not named.
    directory: Option<PathBuf>,
}

impl TlsSettings {
    /// Reads the parameters. Files that these do not name are looked for below `home`.
    pub fn of(parameters: &Parameters, home: Option<&Path>) -> Result<Self, Error> {
        let text = |name: &str| parameters.get(name).map(str::to_owned);
        let is_direct = match parameters.get("sslnegotiation") {
            None | Some("postgres") => false,
            Some("direct") => true,
            Some(_) => {
                return Err(unreadable(
                    "the value of sslnegotiation is none that it can have",
                    "write postgres or direct",
                ));
            }
        };
        let roots = text("sslrootcert");
        let by_default = if roots.as_deref() == Some(SYSTEM) { Mode::VerifyFull } else { Mode::Prefer };
        let mode = parameters.get("sslmode").map_or(Ok(by_default), mode_of)?;
        if roots.as_deref() == Some(SYSTEM) && mode != Mode::VerifyFull {
            let what = "sslrootcert=system trusts authorities that sign for anyone, so the name must be compared too";
            return Err(unreadable(what, "set sslmode=verify-full"));
        }
        if is_direct && mode < Mode::Require {
            let what = "sslnegotiation=direct leaves no way back to a connection without encryption";
            return Err(unreadable(what, "set sslmode=require or a stricter one"));
        }
        let directory = home.map(|home| home.join(DIRECTORY));
        Ok(Self { mode, roots, certificate: text("sslcert"), key: text("sslkey"), is_direct, directory })
    }

    /// Returns the ways to connect, in the order in which to try them. The next one is tried if the server refuses the one
    /// before for its encryption or for the lack of it.
    pub fn attempts(&self, is_socket: bool) -> &'static [SslMode] {
        match self.mode {
            _ if is_socket => &[SslMode::Disable],
            Mode::Disable => &[SslMode::Disable],
            Mode::Allow => &[SslMode::Disable, SslMode::Require],
            Mode::Prefer => &[SslMode::Prefer, SslMode::Disable],
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => &[SslMode::Require],
        }
    }

    pub fn negotiation(&self) -> SslNegotiation {
        if self.is_direct { SslNegotiation::Direct } else { SslNegotiation::Postgres }
    }

    pub(super) fn trust(&self) -> Trust {
        let file = self.file(self.roots.as_ref(), ROOTS_FILE);
        match (self.mode, file) {
            (Mode::Disable | Mode::Allow | Mode::Prefer, _) => Trust::Any,
            (_, _) if self.roots.as_deref() == Some(SYSTEM) => Trust::System,
            (Mode::Require, Some(file)) if file.is_named => Trust::File(file),
            (Mode::Require, Some(file)) => Trust::FileIfThere(file),
            (Mode::Require, None) => Trust::Any,
            (Mode::VerifyCa | Mode::VerifyFull, Some(file)) => Trust::File(file),
            // There is no home directory; the message names the file as libpq's documentation does.
            (Mode::VerifyCa | Mode::VerifyFull, None) => {
                Trust::File(MaybeFile { path: Path::new("~").join(DIRECTORY).join(ROOTS_FILE), is_named: false })
            }
        }
    }

    pub(super) fn checks_name(&self) -> bool {
        self.mode == Mode::VerifyFull
    }

    /// Returns the files of the certificate of the client and of its key.
    pub(super) fn client_files(&self) -> Option<(MaybeFile, MaybeFile)> {
        self.file(self.certificate.as_ref(), CERTIFICATE_FILE).zip(self.file(self.key.as_ref(), KEY_FILE))
    }

    fn file(&self, named: Option<&String>, by_default: &str) -> Option<MaybeFile> {
        let named_file = named.map(|path| MaybeFile { path: path.into(), is_named: true });
        let path = || Some(MaybeFile { path: self.directory.as_ref()?.join(by_default), is_named: false });
        named_file.or_else(path)
    }

    /// Returns the environment variables that say the same to the programs of PostgreSQL.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mode = match self.mode {
            Mode::Disable => "disable",
            Mode::Allow => "allow",
            Mode::Prefer => "prefer",
            Mode::Require => "require",
            Mode::VerifyCa => "verify-ca",
            Mode::VerifyFull => "verify-full",
        };
        let named = [("PGSSLROOTCERT", &self.roots), ("PGSSLCERT", &self.certificate), ("PGSSLKEY", &self.key)];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?.into())));
        let direct = self.is_direct.then(|| ("PGSSLNEGOTIATION", "direct".into()));
        [("PGSSLMODE", mode.into())].into_iter().chain(named).chain(direct).collect()
    }
}

fn mode_of(text: &str) -> Result<Mode, Error> {
    Ok(match text {
        "disable" => Mode::Disable,
        "allow" => Mode::Allow,
        "prefer" => Mode::Prefer,
        "require" => Mode::Require,
        "verify-ca" => Mode::VerifyCa,
        "verify-full" => Mode::VerifyFull,
        _ => {
            let next = "write disable, allow, prefer, require, verify-ca or verify-full";
            return Err(unreadable("the value of sslmode is none that it can have", next));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<TlsSettings, Error> {
        TlsSettings::of(&Parameters::parse(&format!("postgres://h/x?{query}"))?, Some(Path::new("/home/me")))
    }

    #[test]
    fn each_mode_is_that_of_libpq() {
        let trust = |query: &str| of(query).unwrap().trust();
        let file = |path: &str, is_named| MaybeFile { path: path.into(), is_named };
        let home = || file("/home/me/.postgresql/root.crt", false);
        for query in ["", "sslmode=disable", "sslmode=allow", "sslmode=prefer", "sslmode=prefer&sslrootcert=/r"] {
            assert_eq!(trust(query), Trust::Any, "{query}");
        }
        assert_eq!(trust("sslmode=require"), Trust::FileIfThere(home()));
        assert_eq!(trust("ssl=true"), Trust::FileIfThere(home()));
        assert_eq!(trust("sslmode=require&sslrootcert=/r"), Trust::File(file("/r", true)));
        assert_eq!(trust("sslmode=verify-ca"), Trust::File(home()));
        assert_eq!(trust("sslmode=verify-full&sslrootcert=/r"), Trust::File(file("/r", true)));
        assert_eq!(trust("sslrootcert=system"), Trust::System);
        assert!(of("sslrootcert=system").unwrap().checks_name() && !of("sslmode=verify-ca").unwrap().checks_name());
        assert_eq!(of("").unwrap().attempts(false), [SslMode::Prefer, SslMode::Disable]);
        assert_eq!(of("sslmode=allow").unwrap().attempts(false), [SslMode::Disable, SslMode::Require]);
        assert_eq!(of("sslmode=verify-ca").unwrap().attempts(false), [SslMode::Require]);
        assert_eq!(of("sslmode=verify-full").unwrap().attempts(true), [SslMode::Disable]);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for query in ["sslmode=some", "sslmode=require&sslrootcert=system", "sslnegotiation=direct", "sslnegotiation=x"]
        {
            assert!(of(query).is_err(), "{query}");
        }
        assert_eq!(of("sslnegotiation=direct&sslmode=require").unwrap().negotiation(), SslNegotiation::Direct);
    }

    #[test]
    fn the_programs_of_postgresql_get_the_same() {
        let found = of("sslmode=verify-ca&sslrootcert=/r&sslcert=/c&sslkey=/k").unwrap().environment();
        let texts: Vec<_> = found.iter().map(|(name, value)| format!("{name}={}", value.display())).collect();
        assert_eq!(texts, ["PGSSLMODE=verify-ca", "PGSSLROOTCERT=/r", "PGSSLCERT=/c", "PGSSLKEY=/k"]);
        assert_eq!(of("").unwrap().environment(), [("PGSSLMODE", "prefer".into())]);
    }
}
