//! Hooks: SQL and programs that run before and after a run and each of its migrations (docs/source-sql.md, "Hooks").

mod command;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::command::{CommandFault, Program};
use super::dialect::Dialect;
use super::script::{Placeholders, Section, connection_setting, hook_section, read_script};
use crate::migration::Error;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HookTime {
    /// Before the first migration of a run, if there is one.
    BeforeRun,
    /// Before each migration; SQL in its transaction.
    BeforeEach,
    /// After each migration; SQL in its transaction.
    AfterEach,
    /// After the last migration of a run, if all of them succeeded.
    AfterRun,
    /// After a run that failed.
    AfterFailure,
}

impl fmt::Display for HookTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BeforeRun => "before_run",
            Self::BeforeEach => "before_each",
            Self::AfterEach => "after_each",
            Self::AfterRun => "after_run",
            Self::AfterFailure => "after_failure",
        })
    }
}

/// A hook as `haul.toml` has it: `when`, and one of `sql`, `file` and `command`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookSettings {
    /// When it runs.
    pub when: HookTime,
    /// SQL.
    pub sql: Option<String>,
    /// A file with SQL.
    pub file: Option<PathBuf>,
    /// A program and its arguments.
    pub command: Option<Vec<String>>,
}

/// What a hook does.
#[derive(Debug, Clone)]
pub enum HookAction {
    /// Runs statements.
    Sql(Box<Section>),
    /// Runs a program.
    Command(Program),
}

/// A hook.
#[derive(Debug, Clone)]
pub struct Hook {
    /// When it runs.
    pub when: HookTime,
    /// What it does.
    pub action: HookAction,
}

impl Hook {
    /// Returns the file with the SQL, or the program without its arguments.
    pub fn name(&self) -> String {
        match &self.action {
            HookAction::Sql(section) => section.file.display().to_string(),
            HookAction::Command(program) => program.name().to_owned(),
        }
    }
}

/// The hooks of a run, in the order in which they run.
#[derive(Debug, Clone, Default)]
pub struct Hooks(Arc<Vec<Hook>>);

impl Hooks {
    /// Reads what the settings say. Relative paths start at the working directory, as `haul.toml` does.
    pub fn read(dialect: Dialect, settings: &[HookSettings], placeholders: &Placeholders) -> Result<Self, Error> {
        let numbered = settings.iter().enumerate();
        let hooks = numbered.map(|(index, hook)| read(dialect, index + 1, hook, placeholders));
        hooks.collect::<Result<Vec<_>, _>>().map(|hooks| Self(Arc::new(hooks)))
    }

    /// Iterates over the hooks.
    pub fn iter(&self) -> std::slice::Iter<'_, Hook> {
        self.0.iter()
    }

    /// Returns true if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the hooks without programs, for a rehearsal: what a program does cannot be undone.
    pub fn without_commands(&self) -> Self {
        let is_sql = |hook: &&Hook| matches!(hook.action, HookAction::Sql(_));
        Self(Arc::new(self.iter().filter(is_sql).cloned().collect()))
    }

    /// Returns true if there is SQL for this time.
    pub fn have_sql(&self, when: HookTime) -> bool {
        self.iter().any(|hook| hook.when == when && matches!(hook.action, HookAction::Sql(_)))
    }
}

fn read(dialect: Dialect, number: usize, hook: &HookSettings, placeholders: &Placeholders) -> Result<Hook, Error> {
    let place = PathBuf::from(format!("haul.toml, hook {number}"));
    let action = match (&hook.sql, &hook.file, &hook.command) {
        (Some(sql), None, None) => sql_action(dialect, &place, sql.as_bytes(), placeholders)?,
        (None, Some(file), None) => sql_action(dialect, file, &read_script(file)?, placeholders)?,
        (None, None, Some(words)) => HookAction::Command(Program::new(words).ok_or_else(|| faulty(&place))?),
        _ => return Err(faulty(&place)),
    };
    Ok(Hook { when: hook.when, action })
}

fn faulty(place: &Path) -> Error {
    Error::Usage {
        what: format!("{} says not exactly one thing to do", place.display()),
        next: "give each [[db.hooks]] `when` and one of: sql = \"…\", file = \"FILE\", command = [\"PROGRAM\", \"ARGUMENT\"]"
            .into(),
    }
}

/// Reads statements, with the rules of a migration that runs in one transaction.
fn sql_action(dialect: Dialect, file: &Path, bytes: &[u8], placeholders: &Placeholders) -> Result<HookAction, Error> {
    let section = hook_section(dialect, file, bytes, placeholders)?;
    let why = if section.settings.no_transaction {
        "without a transaction"
    } else if !section.batches().is_empty() {
        "in batches"
    } else if connection_setting(dialect, &section).is_some() {
        "with a pragma that would hold for the migration too"
    } else {
        return Ok(HookAction::Sql(Box::new(section)));
    };
    Err(Error::Usage {
        what: format!("{}: a hook cannot run {why}", file.display()),
        next: "write statements that run in the transaction of a migration".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(sql: Option<&str>, command: Option<&[&str]>) -> Result<Hooks, String> {
        let command = command.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
        let settings = HookSettings { when: HookTime::BeforeEach, sql: sql.map(str::to_owned), file: None, command };
        Hooks::read(Dialect::Sqlite, &[settings], &Placeholders::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_hook_does_exactly_one_thing_that_a_migration_could_do() {
        assert!(hook(Some("SELECT 1"), None).unwrap().have_sql(HookTime::BeforeEach));
        assert!(hook(None, Some(&["true"])).unwrap().without_commands().is_empty());
        for (sql, command) in [(None, None), (Some("SELECT 1"), Some(&["true"][..])), (None, Some(&[][..]))] {
            assert!(hook(sql, command).unwrap_err().contains("haul.toml, hook 1"));
        }
        for sql in [
            "",
            "COMMIT",
            "VACUUM",
            "-- haul: no-transaction\nSELECT 1",
            "PRAGMA case_sensitive_like = 1",
            "-- Up\nSELECT 1",
        ] {
            assert!(hook(Some(sql), None).unwrap_err().contains("haul.toml, hook 1"), "{sql}");
        }
    }
}
