//! The settings file `haul.toml`: which database and which migrations to use.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::hooks::HookSettings;
use crate::durable::{DiskError, open_named_file};
use crate::migration::Error;

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
/// placeholders_env = ["APP_ROLE"]
/// placeholders = { schema = "app" }
/// [[db.hooks]]
/// when = "after_run"
/// sql = "ANALYZE"
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
        let wrap = |error| Error::from(DiskError::new("read settings", path, error));
        let file = match open_named_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            file => file.map_err(wrap)?,
        };
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(wrap)?;
        Self::parse(&text).map_err(|what| Error::Usage {
            what: format!("{}: {what}", path.display()),
            next: "the table [db] has database, dir, seeds, recursive, table, timeout_s, missing, newer, allow_out_of_order, ignore, \
                   placeholders, placeholders_env and hooks"
                .into(),
        })
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
        match file.others.iter().find(|(_, value)| !value.is_table()) {
            Some((key, _)) => Err(format!("the setting {key} is in no table")),
            None => Ok(file.db),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
