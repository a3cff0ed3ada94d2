//! Finds what the statements of a section do to their session, so that a later transaction of the section, or a run that
//! continues it, gets the same session again.

use std::borrow::Cow;
use std::ops::Range;

use super::classify::{Keywords, TransactionControl};
use super::error::ScriptFault;
use super::lexer::{Lexer, TokenKind};
use super::section::Section;
use crate::db::dialect::Dialect;

/// What a statement does to its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEffect {
    /// It changes a setting, which a reset of the settings undoes.
    Setting,
    /// It makes something that lasts as long as the session, such as a prepared statement or an attached database.
    Object,
}

/// The statements that have set the session so far, in order, without those that were rolled back.
#[derive(Debug, Clone, Default)]
pub struct SessionLog {
    kept: Vec<(usize, SessionEffect)>,
    /// The length of `kept` where the open transaction of the section began.
    opened_at: Option<usize>,
}

impl SessionLog {
    /// Returns the statements of `section` before `end` that have set the session.
    pub fn before(dialect: Dialect, section: &Section, end: usize) -> Self {
        let mut log = Self::default();
        section.statements().take(end).enumerate().for_each(|(index, (_, text))| log.push(dialect, index, text));
        log
    }

    /// Adds a statement that has succeeded.
    pub fn push(&mut self, dialect: Dialect, index: usize, statement: &str) {
        match Keywords::of(dialect, statement).transaction_control(dialect) {
            Some(TransactionControl::Opens) => self.opened_at = self.opened_at.or(Some(self.kept.len())),
            Some(TransactionControl::Ends) => {
                let opened_at = self.opened_at.take();
                if let Some(length) = opened_at.filter(|_| is_rollback(dialect, statement)) {
                    self.kept.truncate(length);
                }
            }
            Some(TransactionControl::Within) => {}
            None => self.kept.extend(effect(dialect, statement).map(|effect| (index, effect))),
        }
    }

    /// Returns true if a setting was changed.
    pub fn has_settings(&self) -> bool {
        self.kept.iter().any(|(_, effect)| *effect == SessionEffect::Setting)
    }

    /// Returns the statements to run again after the settings were reset.
    pub fn settings(&self) -> Vec<usize> {
        let settings = self.kept.iter().filter(|(_, effect)| *effect == SessionEffect::Setting);
        settings.map(|(index, _)| *index).collect()
    }

    /// Returns the statements to run again in a new session.
    pub fn all(&self) -> Vec<usize> {
        self.kept.iter().map(|(index, _)| *index).collect()
    }
}

fn is_rollback(dialect: Dialect, statement: &str) -> bool {
    Words::of(dialect, statement).starts_with(&["ROLLBACK"]) || Words::of(dialect, statement).starts_with(&["ABORT"])
}

/// Returns what the statement does to the session, if it can be run again.
fn effect(dialect: Dialect, statement: &str) -> Option<SessionEffect> {
    use SessionEffect::*;
    let words = Words::of(dialect, statement);
    if words.temporary_table().is_some() {
        return None;
    }
    match dialect {
        Dialect::Sqlite => match words.at(0) {
            "PRAGMA" => Some(Setting).filter(|_| words.sets_pragma()),
            "ATTACH" | "DETACH" => Some(Object),
            _ => Some(Object).filter(|_| words.is_temporary()),
        },
        Dialect::Postgres => match (words.at(0), words.at(1)) {
            ("SET", "LOCAL" | "TRANSACTION" | "CONSTRAINTS") => None,
            ("SET" | "RESET", _) => Some(Setting),
            ("SELECT" | "WITH" | "VALUES", _) if words.sets_config() => Some(Setting).filter(|_| !words.writes()),
            ("UPDATE", _) if words.at(words.target_at()) == "PG_SETTINGS" => Some(Setting),
            ("PREPARE", "TRANSACTION") => None,
            ("PREPARE" | "DEALLOCATE" | "LISTEN" | "UNLISTEN" | "LOAD" | "DISCARD" | "CLOSE", _) => Some(Object),
            ("DECLARE", _) => Some(Object).filter(|_| words.has_pair("WITH", "HOLD")),
            _ => Some(Object).filter(|_| words.is_temporary()),
        },
    }
}

/// Returns true if haul knows by the words of a statement what it sets for its session: nothing that is made again, or
/// nothing that outlasts the transaction.
pub fn sets_what_it_says(dialect: Dialect, statement: &str) -> bool {
    let words = Words::of(dialect, statement);
    let is_local = words.has("SET_CONFIG") && !words.sets_config();
    ["SET", "RESET"].contains(&words.at(0))
        || is_local
        || effect(dialect, statement).is_some()
        || words.temporary_table().is_some()
}

/// Returns the line of a statement that sets something until the connection of SQLite ends. The end of a transaction does
/// not undo it.
pub fn connection_setting(dialect: Dialect, section: &Section) -> Option<u64> {
    let sets = |(line, statement): (u64, &str)| {
        let words = Words::of(dialect, statement);
        // A deferred check ends with its transaction.
        let is_deferral = words.has("DEFER_FOREIGN_KEYS");
        (words.at(0) == "PRAGMA" && words.sets_pragma() && !is_deferral).then_some(line)
    };
    if dialect == Dialect::Sqlite { section.statements().find_map(sets) } else { None }
}

/// Returns what is wrong with the statement if it would release the lock of the run.
pub fn lock_fault(dialect: Dialect, statement: &str) -> Option<ScriptFault> {
    const PARTS: [&[u8]; 2] = [b"DISCARD", b"UNLOCK_ALL"];
    let has = |part: &[u8]| statement.as_bytes().windows(part.len()).any(|text| text.eq_ignore_ascii_case(part));
    // Nearly all statements end here, before they are read word by word.
    if dialect == Dialect::Sqlite || !PARTS.into_iter().any(has) {
        return None;
    }
    let words = Words::of(dialect, statement);
    let releases = |words: &Words<'_>| words.has("PG_ADVISORY_UNLOCK_ALL").then_some("pg_advisory_unlock_all()");
    let found = match words.at(0) {
        "DISCARD" if words.at(1) == "ALL" => Some("DISCARD ALL"),
        // A body that is only stored is not run.
        "CREATE" => None,
        "DO" => words.body().and_then(|body| releases(&Words::of(dialect, &body))),
        _ => releases(&words),
    };
    found.map(ScriptFault::ReleasesLock)
}

/// Returns the statement whose effect on the session a continued run could not repeat, and why. Only for a section of
/// several transactions.
pub fn session_fault(dialect: Dialect, section: &Section) -> Option<(usize, ScriptFault)> {
    let units = units(dialect, section);
    let unit_of = |index: usize| units.iter().position(|unit| unit.contains(&index));
    for (index, (_, statement)) in section.statements().enumerate() {
        let words = Words::of(dialect, statement);
        let mut later = section.statements().enumerate().filter(|(other, _)| unit_of(*other) > unit_of(index));
        let is_before_another = || unit_of(index).is_some_and(|unit| unit + 1 < units.len());
        let sets = || words.body().is_some_and(|body| Words::of(dialect, &body).sets_in_body());
        if words.at(0) == "DO" && is_before_another() && sets() {
            return Some((index, ScriptFault::HiddenSetting));
        }
        if let Some(name) = words.temporary_table().or_else(|| words.attached_in_memory()) {
            let uses = later.find(|(_, (_, text))| Words::of(dialect, text).names(name));
            if let Some((_, (line, _))) = uses {
                let table = name.trim_matches('"').to_owned();
                return Some((index, ScriptFault::TemporaryLost { table, line }));
            }
        }
    }
    None
}

/// Returns the statements that take effect together, in order.
fn units(dialect: Dialect, section: &Section) -> Vec<Range<usize>> {
    if !section.settings.no_transaction {
        let starts: Vec<_> = section.batches().iter().map(|batch| batch.statements.start).collect();
        let ends = starts.iter().copied().chain([section.len()]);
        return [0].into_iter().chain(starts.iter().copied()).zip(ends).map(|(start, end)| start..end).collect();
    }
    let mut units = Vec::new();
    let mut opened_at = None;
    for (index, (_, statement)) in section.statements().enumerate() {
        match Keywords::of(dialect, statement).transaction_control(dialect) {
            Some(TransactionControl::Opens) => opened_at = opened_at.or(Some(index)),
            Some(TransactionControl::Ends) => units.push(opened_at.take().unwrap_or(index)..index + 1),
            _ if opened_at.is_none() => units.push(index..index + 1),
            _ => {}
        }
    }
    units.extend(opened_at.map(|start| start..section.len()));
    units
}

/// The tokens of a statement without blanks and comments: words in capitals, all others as they are written.
struct Words<'a> {
    /// The schema of temporary objects.
    schema: &'static str,
    tokens: Vec<(TokenKind, String, &'a str)>,
}

impl<'a> Words<'a> {
    /// The maximum number of tokens that are read.
    const TOKENS_MAX: usize = 10_000;

    fn of(dialect: Dialect, statement: &'a str) -> Self {
        let tokens = Lexer::new(dialect, statement).filter(|token| !token.kind.is_trivia());
        let token = |token: super::lexer::Token| {
            let text = &statement[token.start..token.end];
            let known = if token.kind == TokenKind::Word { text.to_ascii_uppercase() } else { text.to_owned() };
            (token.kind, known, text)
        };
        let schema = if dialect == Dialect::Sqlite { "TEMP" } else { "PG_TEMP" };
        Self { schema, tokens: tokens.take(Self::TOKENS_MAX).map(token).collect() }
    }

    fn at(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |(_, text, _)| text)
    }

    fn starts_with(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(index, word)| self.at(index) == *word)
    }

    fn has(&self, word: &str) -> bool {
        self.tokens.iter().any(|(kind, text, _)| *kind == TokenKind::Word && text == word)
    }

    fn has_pair(&self, first: &str, second: &str) -> bool {
        self.tokens.windows(2).any(|pair| pair[0].1 == first && pair[1].1 == second)
    }

    /// Returns true if a token is the name `name`, quoted or not.
    fn names(&self, name: &str) -> bool {
        let name = name.trim_matches('"');
        let is_name = |kind: TokenKind| matches!(kind, TokenKind::Word | TokenKind::QuotedName);
        self.tokens.iter().any(|(kind, _, text)| is_name(*kind) && text.trim_matches('"').eq_ignore_ascii_case(name))
    }

    /// Returns the text of the first literal, as the server takes it: the body of a DO.
    fn body(&self) -> Option<Cow<'a, str>> {
        let (_, _, text) = self.tokens.iter().find(|(kind, ..)| *kind == TokenKind::Literal)?;
        let quote = match text.strip_prefix('$') {
            Some(rest) => rest.find('$')? + 2,
            None => text.find('\'')? + 1,
        };
        let end = if text.starts_with('$') { quote } else { 1 };
        let body = text.get(quote..text.len().checked_sub(end)?)?;
        Some(if body.contains("''") { body.replace("''", "'").into() } else { body.into() })
    }

    /// Returns true if a query also changes rows, so that it must not run twice.
    fn writes(&self) -> bool {
        ["INSERT", "UPDATE", "DELETE", "MERGE", "INTO"].iter().any(|word| self.has(word))
    }

    /// Returns the place of the name of the table that an UPDATE changes, without its schema.
    fn target_at(&self) -> usize {
        let first = if self.at(1) == "ONLY" { 2 } else { 1 };
        if self.at(first + 1) == "." { first + 2 } else { first }
    }

    /// Returns true for CREATE of something temporary.
    fn is_temporary(&self) -> bool {
        if self.at(0) != "CREATE" {
            return false;
        }
        let is_modifier = |index: &usize| ["OR", "REPLACE", "LOCAL", "GLOBAL"].contains(&self.at(*index));
        let first = (1..).find(|index| !is_modifier(index)).unwrap_or(1);
        let is_in_schema = |index: usize| self.at(index) == self.schema && self.at(index + 1) == ".";
        ["TEMP", "TEMPORARY"].contains(&self.at(first)) || (2..8).any(is_in_schema)
    }

    /// Returns the name of the temporary table that the statement makes.
    fn temporary_table(&self) -> Option<&'a str> {
        let at = |word: &str| self.tokens.iter().position(|(_, text, _)| text == word);
        let is_create = self.is_temporary() && (1..6).any(|index| self.at(index) == "TABLE");
        let mut start = match at("INTO") {
            _ if is_create => at("TABLE")? + 1,
            Some(into) if ["TEMP", "TEMPORARY"].contains(&self.at(into + 1)) && self.is_query() => into + 2,
            _ => return None,
        };
        while ["IF", "NOT", "EXISTS", "TABLE"].contains(&self.at(start)) {
            start += 1;
        }
        // The schema, `temp.` or `pg_temp.`.
        if self.at(start + 1) == "." {
            start += 2;
        }
        self.tokens.get(start).map(|(_, _, text)| *text)
    }

    fn is_query(&self) -> bool {
        ["SELECT", "WITH"].contains(&self.at(0))
    }

    /// Returns the name under which a database that is nowhere but in memory is attached.
    fn attached_in_memory(&self) -> Option<&'a str> {
        let is_in_memory = |text: &str| text == "''" || text.contains(":memory:") || text.contains("mode=memory");
        let is_attach = self.at(0) == "ATTACH" && self.tokens.iter().any(|(_, text, _)| is_in_memory(text));
        let name = self.tokens.iter().position(|(_, text, _)| text == "AS").map(|at| at + 1).filter(|_| is_attach)?;
        self.tokens.get(name).map(|(_, _, text)| *text)
    }

    /// Returns true for a PRAGMA that sets something for the connection, and not in the file.
    fn sets_pragma(&self) -> bool {
        const IN_THE_FILE: [&str; 20] = [
            "APPLICATION_ID",
            "AUTO_VACUUM",
            "ENCODING",
            "FOREIGN_KEY_CHECK",
            "FOREIGN_KEY_LIST",
            "INCREMENTAL_VACUUM",
            "INDEX_INFO",
            "INDEX_LIST",
            "INDEX_XINFO",
            "INTEGRITY_CHECK",
            "JOURNAL_MODE",
            "OPTIMIZE",
            "PAGE_SIZE",
            "QUICK_CHECK",
            "SCHEMA_VERSION",
            "TABLE_INFO",
            "TABLE_LIST",
            "TABLE_XINFO",
            "USER_VERSION",
            "WAL_CHECKPOINT",
        ];
        let name = if self.at(2) == "." { 3 } else { 1 };
        ["=", "("].contains(&self.at(name + 1)) && !IN_THE_FILE.contains(&self.at(name))
    }

    /// Returns true if `set_config` is called for more than the transaction.
    fn sets_config(&self) -> bool {
        let calls = self.tokens.iter().enumerate().filter(|(_, (_, text, _))| text == "SET_CONFIG");
        calls.map(|(index, _)| index).any(|index| {
            let mut depth = 0_u64;
            let mut last = "";
            for (kind, text, _) in &self.tokens[index + 1..] {
                match kind {
                    TokenKind::Open => depth += 1,
                    TokenKind::Close if depth <= 1 => break,
                    TokenKind::Close => depth -= 1,
                    _ => last = text,
                }
            }
            !["TRUE", "'t'", "'true'", "'on'"].contains(&last)
        })
    }

    /// Returns true if the body of a DO changes a setting for more than its transaction.
    fn sets_in_body(&self) -> bool {
        let starts = |at: usize| at == 0 || [";", "BEGIN", "THEN", "ELSE", "LOOP"].contains(&self.at(at - 1));
        let sets = |at: usize| match self.at(at) {
            "SET" => starts(at) && !["LOCAL", "TRANSACTION", "CONSTRAINTS"].contains(&self.at(at + 1)),
            "RESET" => starts(at),
            "EXECUTE" => self.tokens[at..].iter().take_while(|(_, text, _)| text != ";").any(is_setting_text),
            _ => false,
        };
        self.sets_config() || (0..self.tokens.len()).any(sets)
    }
}

/// Returns true for a literal with the text of a SET or RESET.
fn is_setting_text((kind, text, _): &(TokenKind, String, &str)) -> bool {
    let text = text.trim_start_matches(['E', 'e', '\'', '$', ' ']).to_ascii_uppercase();
    *kind == TokenKind::Literal
        && (text.starts_with("RESET ") || (text.starts_with("SET ") && !text.starts_with("SET LOCAL ")))
}

#[cfg(test)]
mod tests {
    use Dialect::{Postgres, Sqlite};

    use super::*;

    #[test]
    fn what_lasts_in_a_session_is_known() {
        use SessionEffect::*;
        let cases = [
            ("SET search_path = a", Some(Setting)),
            ("set session authorization bob", Some(Setting)),
            ("RESET ROLE", Some(Setting)),
            ("SELECT set_config('search_path', 'a', false)", Some(Setting)),
            ("WITH x AS (SELECT set_config('search_path', 'a', false)) SELECT * FROM x", Some(Setting)),
            ("VALUES (set_config('search_path', 'a', false))", Some(Setting)),
            ("UPDATE pg_catalog.pg_settings SET setting = 'a' WHERE name = 'search_path'", Some(Setting)),
            ("WITH x AS (DELETE FROM t RETURNING a) SELECT set_config('search_path', 'a', false)", None),
            ("SELECT pg_catalog.set_config('search_path', 'a', true)", None),
            ("SET LOCAL search_path = a", None),
            ("SET TRANSACTION READ ONLY", None),
            ("PREPARE p AS SELECT 1", Some(Object)),
            ("PREPARE TRANSACTION 'x'", None),
            ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", Some(Object)),
            ("DECLARE c CURSOR FOR SELECT 1", None),
            ("CREATE TEMP VIEW v AS SELECT 1", Some(Object)),
            ("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", Some(Object)),
            ("CREATE TABLE temp (a int)", None),
            ("UPDATE t SET a = 1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(effect(Postgres, text), expected, "{text}");
        }
        for (text, expected) in [
            ("PRAGMA recursive_triggers = ON", Some(Setting)),
            ("PRAGMA case_sensitive_like(1)", Some(Setting)),
            ("PRAGMA user_version = 3", None),
            ("PRAGMA foreign_key_check", None),
            ("ATTACH 'a.db' AS a", Some(Object)),
            ("CREATE TEMP TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END", Some(Object)),
        ] {
            assert_eq!(effect(Sqlite, text), expected, "{text}");
        }
    }

    #[test]
    fn statements_that_release_the_lock_are_known() {
        for text in [
            "DISCARD ALL",
            "SELECT pg_advisory_unlock_all()",
            "SELECT 1 FROM (SELECT pg_catalog.pg_advisory_unlock_all()) x",
            "DO $$ BEGIN PERFORM pg_advisory_unlock_all(); END $$",
        ] {
            assert!(matches!(lock_fault(Postgres, text), Some(ScriptFault::ReleasesLock(_))), "{text}");
        }
        for text in [
            "DISCARD TEMP",
            "SELECT pg_advisory_unlock(1)",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
            "SELECT 'pg_advisory_unlock_all()'",
            "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_unlock_all()'",
        ] {
            assert_eq!(lock_fault(Postgres, text), None, "{text}");
        }
    }

    #[test]
    fn temporary_tables_are_named_in_each_form() {
        for (dialect, text) in [
            (Postgres, "CREATE TEMP TABLE k (a int)"),
            (Postgres, "CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS k AS SELECT 1"),
            (Postgres, "CREATE TABLE pg_temp.k (a int)"),
            (Postgres, "WITH x AS (SELECT 1) SELECT * INTO TEMP TABLE k FROM x"),
            (Sqlite, "create temporary table if not exists temp.k (a)"),
            (Sqlite, "CREATE TABLE temp.k (a)"),
        ] {
            assert_eq!(Words::of(dialect, text).temporary_table(), Some("k"), "{text}");
        }
        for text in ["CREATE TABLE k (a int)", "CREATE TEMP VIEW k AS SELECT 1", "CREATE TABLE temp (temporary int)"] {
            assert_eq!(Words::of(Postgres, text).temporary_table(), None, "{text}");
        }
    }

    #[test]
    fn settings_in_the_body_of_a_do_are_found() {
        for body in [
            "BEGIN SET search_path = a; END",
            "BEGIN PERFORM set_config('role', 'a', false); END",
            "BEGIN IF true THEN RESET ROLE; END IF; END",
            "BEGIN EXECUTE format('SET ROLE %I', 'a'); END",
        ] {
            assert!(Words::of(Postgres, body).sets_in_body(), "{body}");
        }
        for body in [
            "BEGIN SET LOCAL search_path = a; END",
            "BEGIN UPDATE t SET a = 1; END",
            "BEGIN PERFORM set_config('role', 'a', true); END",
        ] {
            assert!(!Words::of(Postgres, body).sets_in_body(), "{body}");
        }
    }

    #[test]
    fn what_a_statement_sets_is_known_by_its_words_or_not() {
        for text in [
            "SET LOCAL search_path = a",
            "SELECT set_config('search_path', 'a', true)",
            "SELECT set_config('search_path', 'a', false)",
            "CREATE TEMP TABLE k (a int)",
            "PREPARE p AS SELECT 1",
        ] {
            assert!(sets_what_it_says(Postgres, text), "{text}");
        }
        for text in [
            "CALL p()",
            "SELECT f()",
            "EXECUTE p",
            "INSERT INTO t SELECT set_config('search_path', 'a', false)",
            "TABLE v",
        ] {
            assert!(!sets_what_it_says(Postgres, text), "{text}");
        }
    }

    #[test]
    fn the_body_of_a_do_is_read_as_the_server_reads_it() {
        let text = "DO LANGUAGE plpgsql 'BEGIN EXECUTE ''SET search_path = a''; END'";
        let body = Words::of(Postgres, text).body().unwrap();
        assert_eq!(body, "BEGIN EXECUTE 'SET search_path = a'; END");
        assert!(Words::of(Postgres, &body).sets_in_body());
    }

    #[test]
    fn a_setting_that_was_rolled_back_is_not_kept() {
        let mut log = SessionLog::default();
        let statements =
            ["SET a.a = 1", "BEGIN", "SET a.a = 2", "ROLLBACK", "BEGIN", "PREPARE p AS SELECT 1", "COMMIT"];
        statements.iter().enumerate().for_each(|(index, text)| log.push(Postgres, index, text));
        assert_eq!((log.settings(), log.all()), (vec![0], vec![0, 5]));
    }
}
