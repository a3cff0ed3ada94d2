//! Checks a section before any of it runs (docs/source-sql.md, "Statements" and "Engine rules").

use super::classify::{Keywords, TransactionControl};
use super::error::{ScriptError, ScriptFault};
use super::lexer::{Lexer, TokenKind, copy_from_client};
use super::placeholders::first_placeholder;
use super::section::Section;
use super::session::{lock_fault, session_fault};
use crate::db::dialect::Dialect;

/// Returns why a section must not run: commands of shells, placeholders that nothing fills in, transfers of data without
/// the data; and in a section with a transaction, statements that would end it or do not work in one.
///
/// A section that has run is not concerned: other tools allow these statements.
pub fn check(dialect: Dialect, section: &Section) -> Option<ScriptError> {
    if let Some(fault) = limits_fault(section).filter(|_| !section.is_empty()) {
        return Some(section.error_at(0, fault));
    }
    if !is_one_transaction(section)
        && let Some((index, fault)) = session_fault(dialect, section)
    {
        return Some(section.error_at(index, fault));
    }
    section.statements().enumerate().find_map(|(index, (_, statement))| {
        let is_text = section.settings.no_placeholders || section.placeholders.are_on();
        let placeholder = || first_placeholder(dialect, statement).filter(|_| !is_text).map(ScriptFault::Placeholder);
        let fault = fault(dialect, statement, section.settings.no_transaction).or_else(placeholder)?;
        Some(section.error_at(index, fault))
    })
}

fn is_one_transaction(section: &Section) -> bool {
    !section.settings.no_transaction && section.batches().is_empty()
}

/// Returns a fault if waiting for one lock could use up the limit for the whole section.
fn limits_fault(section: &Section) -> Option<ScriptFault> {
    let (whole, lock) = section.settings.timeout.zip(section.settings.lock_timeout)?;
    (!whole.is_zero() && lock >= whole).then_some(ScriptFault::LockTimeout { lock, whole })
}

fn fault(dialect: Dialect, statement: &str, no_transaction: bool) -> Option<ScriptFault> {
    if let Some(fault) = shell_command(dialect, statement) {
        return Some(fault);
    }
    let words = Keywords::of(dialect, statement);
    if words.is_client_copy(dialect) && copy_from_client(statement).is_none() {
        return Some(ScriptFault::ClientCopy);
    }
    if dialect == Dialect::Postgres && words.changes_strings(statement) {
        return Some(ScriptFault::StringSyntax);
    }
    if let Some(fault) = lock_fault(dialect, statement) {
        return Some(fault);
    }
    if no_transaction {
        return None;
    }
    if words.sets_transaction(dialect) {
        return Some(ScriptFault::SetTransaction);
    }
    let control = words.transaction_control(dialect);
    if control == Some(TransactionControl::Within) {
        return Some(ScriptFault::Savepoint(head(statement)));
    }
    if control.is_some() {
        return Some(ScriptFault::TransactionControl(head(statement)));
    }
    words.refused_in_transaction(dialect).map(ScriptFault::RefusedInTransaction)
}

/// Finds commands of psql, which start with a backslash, of sqlite3, which start with a dot, and the one of mysql that
/// its scripts have.
fn shell_command(dialect: Dialect, statement: &str) -> Option<ScriptFault> {
    let backslash = Lexer::new(dialect, statement).find(|token| token.kind == TokenKind::Backslash);
    if let Some(token) = backslash {
        return Some(ScriptFault::ShellCommand(head(&statement[token.start..]), "psql"));
    }
    let first = head(statement);
    if first.eq_ignore_ascii_case("DELIMITER") {
        return Some(ScriptFault::ShellCommand(first, "mysql"));
    }
    let is_dot = dialect == Dialect::Sqlite && statement.starts_with('.');
    is_dot.then_some(ScriptFault::ShellCommand(first, "sqlite3"))
}

/// Returns the first word as it is written.
fn head(statement: &str) -> String {
    const CHARS_MAX: usize = 40;
    statement
        .split(|c: char| c.is_whitespace() || c == ';')
        .next()
        .unwrap_or_default()
        .chars()
        .take(CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(dialect: Dialect, statement: &str) -> Option<ScriptFault> {
        fault(dialect, statement, false)
    }

    #[test]
    fn transaction_control_is_refused_inside_a_transaction() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            for statement in ["BEGIN;", "commit;", "END;", "ROLLBACK;"] {
                assert!(
                    matches!(fault_of(dialect, statement), Some(ScriptFault::TransactionControl(_))),
                    "{statement}"
                );
                assert_eq!(fault(dialect, statement, true), None);
            }
        }
        for statement in ["SAVEPOINT a;", "RELEASE a;", "ROLLBACK TO a;"] {
            assert!(matches!(fault_of(Dialect::Sqlite, statement), Some(ScriptFault::Savepoint(_))), "{statement}");
        }
        for statement in ["SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;", "SET LOCAL TRANSACTION READ ONLY;"] {
            assert_eq!(fault_of(Dialect::Postgres, statement), Some(ScriptFault::SetTransaction), "{statement}");
            assert_eq!(fault(Dialect::Postgres, statement, true), None, "{statement}");
        }
        let index = "CREATE INDEX CONCURRENTLY i ON t (a);";
        let needs = Some(ScriptFault::RefusedInTransaction("CREATE INDEX CONCURRENTLY"));
        assert_eq!((fault_of(Dialect::Postgres, index), fault(Dialect::Postgres, index, true)), (needs, None));
    }

    #[test]
    fn commands_of_shells_are_refused() {
        for (dialect, statement, command, shell) in [
            (Dialect::Postgres, "\\i other.sql\nSELECT 1;", "\\i", "psql"),
            (Dialect::Postgres, "SELECT 1 \\gset", "\\gset", "psql"),
            (Dialect::Sqlite, ".mode box\nSELECT 1;", ".mode", "sqlite3"),
            (Dialect::Sqlite, "DELIMITER //\nSELECT 1//", "DELIMITER", "mysql"),
            (Dialect::Postgres, "delimiter $$\nSELECT 1$$", "delimiter", "mysql"),
        ] {
            for no_transaction in [false, true] {
                let expected = ScriptFault::ShellCommand(command.into(), shell);
                assert_eq!(fault(dialect, statement, no_transaction), Some(expected), "{statement}");
            }
        }
        assert_eq!(fault_of(Dialect::Postgres, "SELECT '\\i';"), None);
        assert_eq!(fault(Dialect::Postgres, "COPY t FROM STDIN;", true), Some(ScriptFault::ClientCopy));
        assert_eq!(fault(Dialect::Postgres, "COPY t FROM STDIN;\n\\x;\n\\.", false), None);
    }

    #[test]
    fn strings_are_read_in_the_standard_way() {
        for text in ["SET standard_conforming_strings = off;", "set session standard_conforming_strings to 'off'"] {
            assert_eq!(fault(Dialect::Postgres, text, true), Some(ScriptFault::StringSyntax), "{text}");
        }
        for text in
            ["SET standard_conforming_strings = on;", "SET LOCAL standard_conforming_strings TO 'on'", "SELECT 1"]
        {
            assert_eq!(fault_of(Dialect::Postgres, text), None, "{text}");
        }
    }

    #[test]
    fn placeholders_are_found_outside_of_comments() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            for text in
                ["SELECT '${a_b.c}'", "SELECT \"x ${a}\"", "CREATE TABLE ${flyway:schema}.t (a int)", "SELECT a_${b}"]
            {
                assert!(first_placeholder(dialect, text).is_some(), "{text}");
            }
            for text in
                ["SELECT '${'", "SELECT '${}'", "SELECT 1 -- ${a}", "SELECT '$a'", "SELECT '${1}'", "SELECT '${a b}'"]
            {
                assert_eq!(first_placeholder(dialect, text), None, "{text}");
            }
        }
        let found = first_placeholder(Dialect::Postgres, "DO $$ BEGIN EXECUTE '${owner}'; END $$");
        assert_eq!(found.as_deref(), Some("${owner}"));
    }
}
