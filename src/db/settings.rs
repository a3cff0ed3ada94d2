//! The settings file `haul.toml`: which database and which migrations to use.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::hooks::HookSettings;
use crate::durable::{DiskError, open_named_file};
use crate::migration::{Error, redacted};

/// The name of the file, which is read from the working directory.
pub const SETTINGS_FILE: &str = "haul.toml";
/// The maximum length of the file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The `[db]` table of `haul.toml`. The command line and the environment take precedence.
///
/// ```toml
/// [db]
/// database = "postgres://app@db.example/app"
/// dir = "db/migrations"
/// table = "haul_migrations"
/// timeout_s = 30
/// newer = "ignore" # or "error"; missing likewise
/// allow_out_of_order = true
/// ignore = ["table public.log_*"]
/// role = "owner"
/// placeholders_env = ["APP_ROLE"]
/// placeholders = { schema = "app" }
/// [[db.hooks]]
/// when = "after_run"
/// sql = "ANALYZE"
///
/// [db.env.staging] # the same keys, over those above
/// database = "postgres://app@staging.example/app"
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DbSettings {
    /// The database, as a URL.
    pub database: Option<String>,
    /// The directory of the migrations; a relative path starts at the directory of the file.
    pub dir: Option<PathBuf>,
    /// The directory of the seeds.
    pub seeds: Option<PathBuf>,
    /// The name of the ledger.
    pub table: Option<String>,
    /// The time limit of a migration, in seconds; 0 is no limit.
    pub timeout_s: Option<u64>,
    /// True if the folders in the directory are read too.
    #[serde(default)]
    pub recursive: bool,
    /// What an applied migration without a file is.
    pub missing: Option<Absent>,
    /// What an applied migration above all files is.
    pub newer: Option<Absent>,
    /// True to apply versions below the highest applied one too.
    #[serde(default)]
    pub allow_out_of_order: bool,
    /// The values of placeholders, by name.
    pub placeholders: Option<BTreeMap<String, String>>,
    /// Variables of the environment that are placeholders too.
    pub placeholders_env: Option<Vec<String>>,
    /// What runs before and after migrations.
    #[serde(default)]
    pub hooks: Vec<HookSettings>,
    /// Patterns of objects that `drift` leaves out.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// The role that everything runs as.
    pub role: Option<String>,
    /// The environments, by name: settings that take the place of those above.
    #[serde(default)]
    pub env: BTreeMap<String, DbSettings>,
}

/// What an applied migration without a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Absent {
    /// An error.
    Error,
    /// Left out of account.
    Ignore,
}

/// The whole file. Other tables belong to other commands.
#[derive(Deserialize)]
struct SettingsFile {
    #[serde(default)]
    db: DbSettings,
    #[serde(flatten)]
    others: BTreeMap<String, toml::Value>,
}

impl DbSettings {
    /// Reads the file at `path`. If there is none, nothing is set.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::read_text(path).and_then(|text| Self::parse(&text).map_err(|what| unreadable(path, &what)))
    }

    /// Reads the settings of an environment: its own, and those of `[db]` where it has none. The database is never that of
    /// `[db]`, so that the name of an environment does not lead to the database of another one.
    pub fn read_environment(path: &Path, name: &str) -> Result<Self, Error> {
        Self::read_text(path).and_then(|text| Self::environment_in(&text, path, name))
    }

    fn environment_in(text: &str, path: &Path, name: &str) -> Result<Self, Error> {
        let mut settings = Self::parse(text).map_err(|what| unreadable(path, &what))?;
        if settings.env.remove(name).is_none() {
            let names: Vec<_> = settings.env.into_keys().collect();
            // A URL that stands in the wrong place may have a password.
            let name = redacted(name);
            let next = match names.is_empty() {
                true => format!("add it: [db.env.{name}] with database = \"…\""),
                false => format!("name one of these: {}", names.join(", ")),
            };
            return Err(Error::Usage { what: format!("{} has no environment {name}", path.display()), next });
        }
        Self::overlaid(text, name).ok_or_else(|| unreadable(path, &format!("the environment {name} cannot be read")))
    }

    fn read_text(path: &Path) -> Result<String, Error> {
        let wrap = |error| Error::from(DiskError::new("read settings", path, error));
        let file = match open_named_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(String::new()),
            file => file.map_err(wrap)?,
        };
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(wrap)?;
        Ok(text)
    }

    /// Puts the keys of an environment over those of `[db]`. Both have been read before.
    fn overlaid(text: &str, name: &str) -> Option<Self> {
        let mut file: toml::Table = toml::from_str(text).ok()?;
        let toml::Value::Table(mut settings) = file.remove("db")? else { return None };
        let mut environments = settings.remove("env")?;
        settings.remove("database");
        let toml::Value::Table(own) = environments.as_table_mut()?.remove(name)? else { return None };
        put_over(&mut settings, own);
        toml::Value::Table(settings).try_into().ok()
    }

    /// Parses the file. Errors name only the line, because the parser quotes the text, which may contain a password.
    fn parse(text: &str) -> Result<Self, String> {
        let file: Result<SettingsFile, toml::de::Error> = toml::from_str(text);
        let file = file.map_err(|error| match error.span() {
            Some(span) => {
                let line =
                    1 + text.as_bytes()[..span.start.min(text.len())].iter().filter(|byte| **byte == b'\n').count();
                format!("line {line} cannot be read")
            }
            None => "it cannot be read".to_owned(),
        })?;
        // Such a setting was meant for a table, and would be ignored in silence.
        if let Some((key, _)) = file.others.iter().find(|(_, value)| !value.is_table()) {
            return Err(format!("the setting {key} is in no table"));
        }
        match file.db.env.iter().find(|(_, settings)| !settings.env.is_empty()) {
            Some((name, _)) => Err(format!("the environment {name} has environments of its own")),
            None => Ok(file.db),
        }
    }
}

/// Puts values over others; tables are joined key by key.
fn put_over(settings: &mut toml::Table, others: toml::Table) {
    for (key, value) in others {
        match (settings.get_mut(&key), value) {
            (Some(toml::Value::Table(table)), toml::Value::Table(other)) => put_over(table, other),
            (_, value) => _ = settings.insert(key, value),
        }
    }
}

fn unreadable(path: &Path, what: &str) -> Error {
    Error::Usage {
        what: format!("{}: {what}", path.display()),
        next:
            "the tables [db] and [db.env.NAME] have database, dir, seeds, recursive, table, timeout_s, missing, newer, \
                   allow_out_of_order, ignore, role, placeholders, placeholders_env and hooks"
                .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_takes_the_place_of_what_it_sets() {
        let text = "[db]\ndatabase = \"sqlite:x.db\"\nrecursive = true\ntimeout_s = 5\n[db.env.a]\ndatabase = \"sqlite:a.db\"\n\
                    recursive = false\n[db.env.b]\ntimeout_s = 7\n";
        let read = |name| DbSettings::environment_in(text, Path::new("haul.toml"), name);
        let a = read("a").unwrap();
        assert_eq!((a.database.as_deref(), a.recursive, a.timeout_s), (Some("sqlite:a.db"), false, Some(5)));
        let b = read("b").unwrap();
        assert_eq!((b.database, b.recursive, b.timeout_s), (None, true, Some(7)));
        let Err(Error::Usage { what, next }) = read("c") else { panic!("there is no such environment") };
        assert!(what.ends_with("has no environment c") && next == "name one of these: a, b", "{what}: {next}");
        for text in ["[db.env.a]\nsecret = 1", "[db.env.a.env.b]\ntimeout_s = 1"] {
            assert!(!DbSettings::parse(text).unwrap_err().contains("secret"));
        }
    }

    #[test]
    fn settings_are_read_and_errors_do_not_quote_them() {
        let text = "[other]\nx = 1\n[db]\ndatabase = \"sqlite:x.db\"\ntimeout_s = 5\n";
        let settings = DbSettings::parse(text).unwrap();
        assert_eq!((settings.database.as_deref(), settings.timeout_s), (Some("sqlite:x.db"), Some(5)));
        assert_eq!(DbSettings::parse("").unwrap(), DbSettings::default());
        let what = DbSettings::parse("database = \"postgres://me:secret@h/x\"").unwrap_err();
        assert_eq!(what, "the setting database is in no table");
        for text in ["[db]\ndatabase = postgres://me:secret@h/x", "[db]\nsecret = 1", "[db]\ntimeout_s = \"secret\""] {
            let what = DbSettings::parse(text).unwrap_err();
            assert!(what.contains("line") && !what.contains("secret"), "{what}");
        }
    }
}
