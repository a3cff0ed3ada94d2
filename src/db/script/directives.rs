//! Directives: comments that tell haul how to run a section (docs/source-sql.md, "Directives").
//!
//! | line | meaning |
//! |---|---|
//! | `-- haul: no-transaction` | run outside a transaction, one statement at a time |
//! | `-- haul: timeout=120s` | the time limit of the section: `ms`, `s`, `min`; 0 is no limit |
//! | `-- haul: lock-timeout=5s` | the longest wait for a lock of the database |
//! | `-- haul: foreign-keys=on` | SQLite: enforce foreign keys while the section runs, instead of checking them at its
//! end |
//! | `-- haul: foreign-keys=off` | SQLite: do not enforce them in batches either |
//! | `-- haul: no-placeholders` | `${name}` in a statement is text, not a placeholder of another tool |
//! | `-- haul: batch-rows=500` | the number of keys in a page of a batch |
//!
//! A line may contain several directives, separated by commas. In the header of a file they apply to both sections, at
//! the head of a section only to that one.

use std::time::Duration;

use serde::Serialize;

use super::batch::BATCH_ROWS_MAX;
use super::error::ScriptFault;

/// The options of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Settings {
    /// True if it runs outside a transaction.
    pub no_transaction: bool,
    /// The time limit, if one is set; zero is no limit.
    pub timeout: Option<Duration>,
    /// The limit for each wait for a lock, if one is set.
    pub lock_timeout: Option<Duration>,
    /// True if SQLite enforces foreign keys while the section runs. By default it does only in batches.
    pub foreign_keys: Option<bool>,
    /// The number of keys in a page of a batch, if it is set.
    pub batch_rows: Option<u32>,
    /// True if `${name}` is text.
    pub no_placeholders: bool,
}

impl Settings {
    /// Reads the directives of a comment, the text after `haul:`.
    pub fn read(&mut self, directives: &str) -> Result<(), ScriptFault> {
        directives.split(',').try_for_each(|directive| self.read_one(directive.trim()))
    }

    fn read_one(&mut self, directive: &str) -> Result<(), ScriptFault> {
        let (name, value) = match directive.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim())),
            None => (directive, None),
        };
        match (name, value) {
            ("no-transaction", None) => self.no_transaction = true,
            ("no-placeholders", None) => self.no_placeholders = true,
            ("timeout", Some(value)) => self.timeout = Some(duration("timeout", value)?),
            ("lock-timeout", Some(value)) => self.lock_timeout = Some(duration("lock-timeout", value)?),
            ("foreign-keys", Some("on")) => self.foreign_keys = Some(true),
            ("foreign-keys", Some("off")) => self.foreign_keys = Some(false),
            ("foreign-keys", _) => {
                return Err(ScriptFault::DirectiveValue { name: "foreign-keys", what: "expected on or off" });
            }
            ("batch-rows", Some(value)) => self.batch_rows = Some(batch_rows(value)?),
            _ => return Err(ScriptFault::UnknownDirective(directive.to_owned())),
        }
        Ok(())
    }
}

/// Parses a number from 1 to [`BATCH_ROWS_MAX`].
fn batch_rows(text: &str) -> Result<u32, ScriptFault> {
    let rows = text.parse().ok().filter(|rows| (1..=BATCH_ROWS_MAX).contains(rows));
    rows.ok_or(ScriptFault::DirectiveValue { name: "batch-rows", what: "expected a whole number from 1 to 100000" })
}

/// Parses `250ms`, `30s`, `2min` or `0`.
fn duration(name: &'static str, text: &str) -> Result<Duration, ScriptFault> {
    let fault = ScriptFault::DirectiveValue { name, what: "expected a whole number and ms, s or min" };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().map_err(|_| fault.clone())?;
    match unit.trim() {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "min" => Ok(Duration::from_secs(u64::from(number) * 60)),
        "" if number == 0 => Ok(Duration::ZERO),
        _ => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_combined() {
        let mut settings = Settings::default();
        settings.read(" no-transaction, timeout = 2min").unwrap();
        settings.read("lock-timeout=250ms,foreign-keys=on, batch-rows=7, no-placeholders").unwrap();
        let expected = Settings {
            no_transaction: true,
            timeout: Some(Duration::from_secs(120)),
            lock_timeout: Some(Duration::from_millis(250)),
            foreign_keys: Some(true),
            batch_rows: Some(7),
            no_placeholders: true,
        };
        assert_eq!(settings, expected);
        settings.read("timeout=0").unwrap();
        assert_eq!(settings.timeout, Some(Duration::ZERO));
    }

    #[test]
    fn unknown_directives_and_values_are_errors() {
        for text in ["", "no-transactions", "no-transaction=1", "timeout", "retry=3"] {
            let fault = Settings::default().read(text).unwrap_err();
            assert_eq!(fault, ScriptFault::UnknownDirective(text.into()));
        }
        for text in [
            "timeout=",
            "timeout=3",
            "timeout=-1s",
            "timeout=1h",
            "lock-timeout=99999999999s",
            "foreign-keys=1",
            "batch-rows=0",
            "batch-rows=100001",
        ] {
            let fault = Settings::default().read(text).unwrap_err();
            assert!(matches!(fault, ScriptFault::DirectiveValue { .. }), "{text}: {fault}");
        }
    }
}
