//! Which database is meant, and in which environment: by arguments, variables and files.

use std::path::Path;

use crate::db::{DOT_ENV_FILE, DbSettings, Dialect, SETTINGS_FILE, Target, Variables};
use crate::migration::Error;
use crate::observe::Console;

/// The environment variable that names the database.
const DATABASE_VARIABLE: &str = "DATABASE_URL";
/// The environment variable that names the environment in the settings.
const ENVIRONMENT_VARIABLE: &str = "HAUL_ENV";

/// The environment that is chosen, and what holds there.
pub struct Chosen {
    environment: Option<Environment>,
    settings: DbSettings,
    variables: Variables,
}

/// An environment in the settings.
struct Environment {
    name: String,
    /// Where it was named.
    from: &'static str,
}

impl Chosen {
    /// Reads the settings of the environment `name`, or of the one in the environment variable. Without any, those of all.
    pub fn read(name: Option<&str>) -> Result<Self, Error> {
        let variables = Variables::with_file(Path::new(DOT_ENV_FILE), is_read)?;
        let of_variable =
            || Some(Environment { name: variables.get(ENVIRONMENT_VARIABLE)?, from: ENVIRONMENT_VARIABLE });
        let given = name.map(|name| Environment { name: name.to_owned(), from: "--env" });
        let environment = given.or_else(of_variable);
        let settings = match &environment {
            Some(Environment { name, from }) if name.trim().is_empty() => {
                let next = "name an environment in haul.toml, or remove it".into();
                return Err(Error::Usage { what: format!("{from} names no environment"), next });
            }
            Some(environment) => DbSettings::read_environment(Path::new(SETTINGS_FILE), &environment.name)?,
            None => DbSettings::read(Path::new(SETTINGS_FILE))?,
        };
        Ok(Self { environment, settings, variables })
    }

    pub fn settings(&self) -> &DbSettings {
        &self.settings
    }

    /// Returns the name of the environment, and its settings.
    pub fn into_parts(self) -> (Option<String>, DbSettings) {
        (self.environment.map(|environment| environment.name), self.settings)
    }

    /// Returns the database at `url`, or else the one that is named anywhere. It is an error if there is none in an
    /// environment: the default is the database of nobody in particular.
    pub fn target(&self, url: Option<&str>) -> Result<Option<Target>, Error> {
        let of_settings = self.settings.database.clone();
        let named = match (url, of_settings, self.database_variable()?) {
            (Some(url), ..) => Some(("--database", url.to_owned())),
            // Who names an environment means its database.
            (None, Some(url), _) if self.environment.is_some() => Some((SETTINGS_FILE, url)),
            (None, _, Some(url)) => Some((DATABASE_VARIABLE, url)),
            (None, Some(url), None) => Some((SETTINGS_FILE, url)),
            (None, None, None) => None,
        };
        match (named, &self.environment) {
            // A secret that was not set must not lead to another database.
            (Some((from, url)), _) if url.trim().is_empty() => Err(unusable(from, "names an empty database URL")),
            (Some((from, url)), _) => {
                let target = Target::parse_with(&url, &self.variables)?;
                self.say_what_counts(from, target.dialect());
                Ok(Some(target))
            }
            (None, None) => Ok(None),
            (None, Some(Environment { name, .. })) => Err(Error::Usage {
                what: format!("the environment {name} names no database"),
                next: format!("write database = \"…\" below [db.env.{name}] in haul.toml, or set DATABASE_URL"),
            }),
        }
    }

    /// Returns the database in the environment variable. That of a file `.env` is meant for work in this
    /// directory, and does not count for an environment that was named elsewhere.
    fn database_variable(&self) -> Result<Option<String>, Error> {
        if std::env::var_os(DATABASE_VARIABLE).is_some_and(|url| url.to_str().is_none()) {
            return Err(unusable(DATABASE_VARIABLE, "is not UTF-8"));
        }
        let is_named_elsewhere = |environment: &Environment| {
            environment.from != ENVIRONMENT_VARIABLE || !self.variables.is_from_file(ENVIRONMENT_VARIABLE)
        };
        let is_for_another = self.environment.as_ref().is_some_and(is_named_elsewhere);
        let counts = !(is_for_another && self.variables.is_from_file(DATABASE_VARIABLE));
        Ok(self.variables.get(DATABASE_VARIABLE).filter(|_| counts))
    }

    /// Says what comes from the file `.env`, and which variable is passed over.
    fn say_what_counts(&self, database_from: &str, dialect: Dialect) {
        let environment_from = self.environment.as_ref().map(|environment| environment.from);
        let is_used = |name: &&str| match *name {
            DATABASE_VARIABLE => database_from == DATABASE_VARIABLE,
            ENVIRONMENT_VARIABLE => environment_from == Some(ENVIRONMENT_VARIABLE),
            _ => dialect == Dialect::Postgres,
        };
        let used: Vec<_> = self.variables.names_from_file().into_iter().filter(is_used).collect();
        if !used.is_empty() {
            Console::new().line(&format!("note: {DOT_ENV_FILE} sets {}", used.join(", ")));
        }
        let is_passed_over = database_from == SETTINGS_FILE && std::env::var_os(DATABASE_VARIABLE).is_some();
        if let Some(Environment { name, .. }) = self.environment.as_ref().filter(|_| is_passed_over) {
            let line = format!("note: {DATABASE_VARIABLE} is not used: the environment {name} names its database");
            Console::new().line(&line);
        }
    }
}

/// Returns true for a variable that counts in a file `.env` too.
fn is_read(name: &str) -> bool {
    [DATABASE_VARIABLE, ENVIRONMENT_VARIABLE].contains(&name) || Target::reads_variable(name)
}

fn unusable(name: &str, why: &str) -> Error {
    Error::Usage {
        what: format!("{name} {why}"),
        next: "write sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE there, or remove it".into(),
    }
}
