//! Classifies statements by their words: whether they end transactions, cannot run in one, or destroy data.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::lexer::{Lexer, Token, TokenKind};
use crate::db::dialect::Dialect;

/// The maximum number of words that are read. The words that matter are at the start.
const WORDS_MAX: usize = 4096;

/// The effect of a statement on its transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionControl {
    /// It begins a transaction.
    Opens,
    /// It commits a transaction or rolls it back.
    Ends,
    /// It works inside a transaction: savepoints.
    Within,
}

/// Why a statement destroys data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Destruction {
    /// `DROP TABLE`
    DropTable,
    /// `DROP SCHEMA`, `DROP DATABASE`
    DropSchema,
    /// `ALTER TABLE … DROP COLUMN`
    DropColumn,
    /// `TRUNCATE`
    Truncate,
    /// `ALTER TABLE … ALTER COLUMN … TYPE`
    TypeChange,
    /// `DROP … CASCADE` of something else, such as a type: columns may depend on it
    DropDependents,
    /// `DROP OWNED`
    DropOwned,
    /// `ALTER TYPE … DROP ATTRIBUTE`: columns of the type lose its values
    DropAttribute,
}

impl fmt::Display for Destruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::DropTable => "drops a table",
            Self::DropSchema => "drops a schema",
            Self::DropColumn => "drops a column",
            Self::Truncate => "empties a table",
            Self::TypeChange => "changes the type of a column",
            Self::DropDependents => "drops all that depends on an object, columns too",
            Self::DropOwned => "drops all objects of a role",
            Self::DropAttribute => "drops an attribute of a type, with its values in all columns",
        })
    }
}

/// A statement of PostgreSQL that can leave or pass over something that is not built: a concurrent one, or `CREATE INDEX IF NOT
/// EXISTS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The names in it as the server knows them, and its words in lower case.
    names: BTreeSet<String>,
    /// True if it runs step by step, outside of a transaction.
    pub is_concurrent: bool,
    /// True if it names tables and not indexes.
    pub is_of_tables: bool,
}

impl Build {
    /// Returns the statement as a build, if it is one.
    pub fn of(dialect: Dialect, statement: &str) -> Option<Self> {
        let contains =
            |word: &[u8]| statement.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
        // Nearly all statements end here, before they are read word by word.
        if dialect == Dialect::Sqlite || !(contains(b"CONCURRENTLY") || contains(b"EXISTS")) {
            return None;
        }
        let tokens: Vec<_> =
            Lexer::new(dialect, statement).filter(|token| !token.kind.is_trivia()).take(WORDS_MAX).collect();
        let text = |index: usize| tokens.get(index).map_or("", |token| &statement[token.start..token.end]);
        let is = |index: usize, word: &str| text(index).eq_ignore_ascii_case(word);
        let place =
            |word: &str| (1..tokens.len()).find(|&index| tokens[index].kind == TokenKind::Word && is(index, word));
        let concurrently = place("CONCURRENTLY");
        let index = if is(1, "UNIQUE") { 2 } else { 1 };
        let is_create = is(0, "CREATE") && is(index, "INDEX");
        let passes_over = is(index + 1, "IF") || (is(index + 1, "CONCURRENTLY") && is(index + 2, "IF"));
        let is_build = match text(0).to_ascii_uppercase().as_str() {
            "CREATE" => is_create && (concurrently.is_some() || passes_over),
            "DROP" => is(1, "INDEX") && concurrently.is_some(),
            "REINDEX" => concurrently.is_some(),
            "ALTER" => is(1, "TABLE") && place("DETACH").is_some() && concurrently.is_some(),
            _ => false,
        };
        let name = |token: &Token| match token.kind {
            TokenKind::Word => Some(statement[token.start..token.end].to_lowercase()),
            TokenKind::QuotedName => Some(statement[token.start + 1..token.end - 1].replace("\"\"", "\"")),
            _ => None,
        };
        let has_no_name = is_create && concurrently.is_some_and(|at| is(at + 1, "ON"));
        let is_of_tables = has_no_name || (is(0, "REINDEX") && place("INDEX").is_none());
        let build = || Self {
            names: tokens.iter().filter_map(name).collect(),
            is_concurrent: concurrently.is_some(),
            is_of_tables,
        };
        is_build.then(build)
    }

    /// Returns true if the statement has this name or word.
    pub fn names(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Returns true for `REINDEX`.
    pub fn rebuilds(&self) -> bool {
        self.names("reindex")
    }

    /// Returns true for `REINDEX` of a schema, of a database, or of the system.
    pub fn rebuilds_all_of(&self, schema: &str) -> bool {
        let is_of_schema = self.names("schema") && self.names(schema);
        self.rebuilds() && (is_of_schema || self.names("database") || self.names("system"))
    }
}

/// Returns true if the statement is a concurrent build.
pub fn is_concurrent(dialect: Dialect, statement: &str) -> bool {
    Build::of(dialect, statement).is_some_and(|build| build.is_concurrent)
}

/// The words of a statement in capitals, without the contents of parentheses and without other tokens.
#[derive(Debug)]
pub struct Keywords(Vec<String>);

impl Keywords {
    /// Reads the words of `statement`.
    pub fn of(dialect: Dialect, statement: &str) -> Self {
        let mut depth = 0_u64;
        let mut words = Vec::new();
        for token in Lexer::new(dialect, statement) {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                TokenKind::Word if depth == 0 => words.push(statement[token.start..token.end].to_ascii_uppercase()),
                // A quoted name is never a keyword, so its text is dropped.
                TokenKind::QuotedName if depth == 0 => words.push("\"".into()),
                _ => {}
            }
            if words.len() == WORDS_MAX {
                break;
            }
        }
        Self(words)
    }

    fn at(&self, index: usize) -> &str {
        self.0.get(index).map_or("", String::as_str)
    }

    fn has(&self, word: &str) -> bool {
        self.0.iter().any(|other| other == word)
    }

    /// Returns the effect on the transaction, if there is one.
    pub fn transaction_control(&self, dialect: Dialect) -> Option<TransactionControl> {
        use TransactionControl::*;
        match (self.at(0), self.at(1)) {
            ("BEGIN", _) => Some(Opens),
            ("START", "TRANSACTION") if dialect == Dialect::Postgres => Some(Opens),
            ("SAVEPOINT" | "RELEASE", _) => Some(Within),
            ("ROLLBACK", _) if self.has("TO") => Some(Within),
            ("COMMIT" | "END" | "ROLLBACK", _) => Some(Ends),
            ("ABORT", _) | ("PREPARE", "TRANSACTION") if dialect == Dialect::Postgres => Some(Ends),
            _ => None,
        }
    }

    /// Returns true for `RESET ALL`.
    pub fn resets_all(&self) -> bool {
        self.0 == ["RESET", "ALL"]
    }

    /// Returns true for `ROLLBACK`, of the whole transaction or to a savepoint.
    pub fn rolls_back(&self) -> bool {
        self.at(0) == "ROLLBACK"
    }

    /// Returns true for `BEGIN` without a choice that haul's own transaction could differ from.
    pub fn is_plain_begin(&self) -> bool {
        const PLAIN: [&str; 5] = ["BEGIN", "TRANSACTION", "WORK", "IMMEDIATE", "DEFERRED"];
        let is_begin = self.at(0) == "BEGIN" && self.0.iter().all(|word| PLAIN.contains(&word.as_str()));
        is_begin || self.0 == ["START", "TRANSACTION"]
    }

    /// Returns true for `COMMIT` or `END` and nothing more.
    pub fn is_plain_commit(&self) -> bool {
        ["COMMIT", "END"].contains(&self.at(0))
            && self.0[1..].iter().all(|word| ["TRANSACTION", "WORK"].contains(&word.as_str()))
    }

    /// Returns true for a statement that sets the characteristics of its transaction, which has to be the first one.
    pub fn sets_transaction(&self, dialect: Dialect) -> bool {
        let name = if ["LOCAL", "SESSION"].contains(&self.at(1)) { 2 } else { 1 };
        dialect == Dialect::Postgres && self.at(0) == "SET" && self.at(name) == "TRANSACTION"
    }

    /// Returns the name of the statement if the engine refuses or ignores it inside a transaction.
    pub fn refused_in_transaction(&self, dialect: Dialect) -> Option<&'static str> {
        match dialect {
            Dialect::Sqlite => self.sqlite_refuses_in_transaction(),
            Dialect::Postgres => self.postgres_refuses_in_transaction(),
        }
    }

    /// Returns true for a statement of SQLite that rewrites the database in its place.
    pub fn vacuums(&self) -> bool {
        self.at(0) == "VACUUM" && !self.has("INTO")
    }

    /// Returns true for a statement of SQLite that reads or writes another file.
    pub fn reaches_another_file(&self) -> bool {
        self.at(0) == "ATTACH" || (self.at(0) == "VACUUM" && self.has("INTO"))
    }

    /// Returns true if the statement changes something outside of the database: roles and databases of the server, or
    /// another file.
    pub fn leaves_database(&self, dialect: Dialect) -> bool {
        const OF_THE_SERVER: [&str; 7] = ["ROLE", "USER", "GROUP", "TABLESPACE", "DATABASE", "SUBSCRIPTION", "SYSTEM"];
        match dialect {
            Dialect::Sqlite => self.reaches_another_file(),
            Dialect::Postgres => {
                ["CREATE", "ALTER", "DROP"].contains(&self.at(0)) && OF_THE_SERVER.contains(&self.at(1))
            }
        }
    }

    /// Returns true for a statement of SQLite that sets how its file is written.
    pub fn sets_file(&self) -> bool {
        const SETTINGS: [&str; 4] = ["JOURNAL_MODE", "AUTO_VACUUM", "PAGE_SIZE", "ENCODING"];
        // `PRAGMA main.journal_mode` starts with the schema.
        self.at(0) == "PRAGMA" && [self.at(1), self.at(2)].iter().any(|name| SETTINGS.contains(name))
    }

    /// Returns true for a statement of PostgreSQL about privileges or owners, which no dump of a schema has.
    pub fn is_about_privileges(&self) -> bool {
        match (self.at(0), self.at(1)) {
            ("GRANT" | "REVOKE" | "REASSIGN", _) | ("SECURITY", "LABEL") | ("ALTER", "DEFAULT") => true,
            ("ALTER", _) => self.0.windows(2).any(|pair| pair == ["OWNER", "TO"]),
            _ => false,
        }
    }

    fn sqlite_refuses_in_transaction(&self) -> Option<&'static str> {
        // `PRAGMA main.journal_mode` starts with the schema.
        let is_pragma = |name: &str| self.at(0) == "PRAGMA" && [self.at(1), self.at(2)].contains(&name);
        match self.at(0) {
            "VACUUM" => Some("VACUUM"),
            "ATTACH" => Some("ATTACH"),
            "DETACH" => Some("DETACH"),
            _ if is_pragma("JOURNAL_MODE") => Some("PRAGMA journal_mode"),
            _ if is_pragma("SYNCHRONOUS") => Some("PRAGMA synchronous"),
            _ if is_pragma("WAL_CHECKPOINT") => Some("PRAGMA wal_checkpoint"),
            _ if is_pragma("FOREIGN_KEYS") => Some("PRAGMA foreign_keys"),
            _ => None,
        }
    }

    fn postgres_refuses_in_transaction(&self) -> Option<&'static str> {
        let is_concurrent = self.0.iter().take(5).any(|word| word == "CONCURRENTLY");
        match (self.at(0), self.at(1)) {
            ("VACUUM", _) => Some("VACUUM"),
            ("CREATE", "INDEX" | "UNIQUE") if is_concurrent => Some("CREATE INDEX CONCURRENTLY"),
            ("DROP", "INDEX") if is_concurrent => Some("DROP INDEX CONCURRENTLY"),
            ("REINDEX", _) if is_concurrent => Some("REINDEX CONCURRENTLY"),
            ("REINDEX", _)
                if self.0.iter().take(3).any(|word| ["SCHEMA", "DATABASE", "SYSTEM"].contains(&word.as_str())) =>
            {
                Some("REINDEX of a schema or database")
            }
            ("ALTER", "TABLE")
                if self.0.iter().any(|word| word == "DETACH") && self.0.iter().any(|word| word == "CONCURRENTLY") =>
            {
                Some("DETACH PARTITION CONCURRENTLY")
            }
            ("CREATE", "DATABASE") => Some("CREATE DATABASE"),
            ("DROP", "DATABASE") => Some("DROP DATABASE"),
            ("CREATE", "TABLESPACE") => Some("CREATE TABLESPACE"),
            ("DROP", "TABLESPACE") => Some("DROP TABLESPACE"),
            ("ALTER", "SYSTEM") => Some("ALTER SYSTEM"),
            _ => None,
        }
    }

    /// Returns true if the statement switches to strings in which a backslash escapes.
    pub fn changes_strings(&self, statement: &str) -> bool {
        let is_set = self.at(0) == "SET" && self.has("STANDARD_CONFORMING_STRINGS");
        let stays = ["ON", "TRUE", "DEFAULT"].iter().any(|word| self.has(word));
        is_set && !stays && !statement.to_ascii_lowercase().contains("'on'")
    }

    /// Returns true for a query that limits or locks its rows, which cannot be paged.
    pub fn cuts_off_rows(&self) -> bool {
        ["LIMIT", "OFFSET", "FETCH", "FOR"].iter().any(|word| self.has(word))
    }

    /// Returns true for a transfer of data through the client, `COPY … FROM STDIN` or `COPY … TO STDOUT`.
    pub fn is_client_copy(&self, dialect: Dialect) -> bool {
        dialect == Dialect::Postgres && self.at(0) == "COPY" && (self.has("STDIN") || self.has("STDOUT"))
    }

    /// Returns true for a DROP.
    pub fn drops(&self) -> bool {
        self.at(0) == "DROP"
    }

    /// Returns true if it creates something and fails if that is there.
    pub fn creates_once(&self) -> bool {
        let is_temporary = ["TEMP", "TEMPORARY"].contains(&self.at(1));
        self.at(0) == "CREATE" && self.at(1) != "OR" && !is_temporary && !self.has("EXISTS")
    }

    /// Returns how the statement destroys data, if it does.
    pub fn destruction(&self) -> Option<Destruction> {
        match (self.at(0), self.at(1)) {
            ("TRUNCATE", _) => Some(Destruction::Truncate),
            ("DROP", "TABLE") => Some(Destruction::DropTable),
            ("DROP", "FOREIGN") if self.at(2) == "TABLE" => Some(Destruction::DropTable),
            ("DROP", "SCHEMA" | "DATABASE") => Some(Destruction::DropSchema),
            ("DROP", "OWNED") => Some(Destruction::DropOwned),
            ("DROP", kind) if kind != "INDEX" && self.0.last().is_some_and(|last| last == "CASCADE") => {
                Some(Destruction::DropDependents)
            }
            ("ALTER", "TABLE" | "FOREIGN") if self.drops_column() => Some(Destruction::DropColumn),
            ("ALTER", "TYPE") if self.0.windows(2).any(|pair| pair == ["DROP", "ATTRIBUTE"]) => {
                Some(Destruction::DropAttribute)
            }
            ("ALTER", "TYPE") if self.0.windows(2).any(|pair| pair == ["ALTER", "ATTRIBUTE"]) => {
                Some(Destruction::TypeChange)
            }
            ("ALTER", "TABLE" | "FOREIGN") if self.changes_type() => Some(Destruction::TypeChange),
            _ => None,
        }
    }

    /// Returns true for `DROP COLUMN x` and `DROP x`, unless it drops something that holds no data.
    fn drops_column(&self) -> bool {
        const WITHOUT_DATA: [&str; 6] = ["CONSTRAINT", "DEFAULT", "NOT", "EXPRESSION", "IDENTITY", ""];
        let pairs = self.0.windows(2).filter(|pair| pair[0] == "DROP");
        let mut after_drop = pairs.map(|pair| pair[1].as_str());
        after_drop.any(|next| !WITHOUT_DATA.contains(&next))
    }

    fn changes_type(&self) -> bool {
        self.0.iter().skip(2).any(|word| word == "ALTER") && self.0.iter().skip(3).any(|word| word == "TYPE")
    }
}

#[cfg(test)]
mod tests {
    use Dialect::{Postgres, Sqlite};

    use super::*;

    #[test]
    fn transaction_control_is_known_in_each_dialect() {
        use TransactionControl::*;
        let control = |dialect, text| Keywords::of(dialect, text).transaction_control(dialect);
        for text in ["begin;", "BEGIN /* x */ IMMEDIATE"] {
            assert_eq!((control(Sqlite, text), control(Postgres, text)), (Some(Opens), Some(Opens)));
        }
        for text in ["commit", "END;", "ROLLBACK;"] {
            assert_eq!((control(Sqlite, text), control(Postgres, text)), (Some(Ends), Some(Ends)));
        }
        for text in ["SAVEPOINT a", "RELEASE a", "ROLLBACK TO a"] {
            assert_eq!((control(Sqlite, text), control(Postgres, text)), (Some(Within), Some(Within)));
        }
        assert_eq!(control(Postgres, "START TRANSACTION"), Some(Opens));
        assert_eq!(control(Postgres, "ABORT"), Some(Ends));
        assert_eq!(control(Postgres, "PREPARE TRANSACTION 'x'"), Some(Ends));
        for text in ["PREPARE p AS SELECT 1", "INSERT OR ROLLBACK INTO t VALUES (1)", "SELECT 'COMMIT'", "\"BEGIN\""] {
            assert_eq!(control(Postgres, text).or(control(Sqlite, text)), None, "{text}");
        }
    }

    #[test]
    fn statements_refused_in_a_transaction_are_known() {
        let needs = |dialect, text| Keywords::of(dialect, text).refused_in_transaction(dialect);
        assert_eq!(needs(Postgres, "create unique index concurrently i on t (a)"), Some("CREATE INDEX CONCURRENTLY"));
        assert_eq!(needs(Postgres, "VACUUM t"), Some("VACUUM"));
        assert_eq!(needs(Postgres, "CREATE INDEX i ON t (a)"), None);
        assert_eq!(needs(Sqlite, "PRAGMA main.journal_mode = WAL"), Some("PRAGMA journal_mode"));
        assert_eq!(needs(Sqlite, "PRAGMA synchronous = OFF"), Some("PRAGMA synchronous"));
        assert_eq!(needs(Sqlite, "PRAGMA wal_checkpoint(TRUNCATE)"), Some("PRAGMA wal_checkpoint"));
        for of_all in ["REINDEX SCHEMA public", "REINDEX (VERBOSE) DATABASE x", "REINDEX SYSTEM"] {
            assert_eq!(needs(Postgres, of_all), Some("REINDEX of a schema or database"), "{of_all}");
        }
        assert_eq!(needs(Postgres, "REINDEX TABLE public"), None);
        let detach = "ALTER TABLE IF EXISTS ONLY s.log DETACH PARTITION s.log_1 CONCURRENTLY";
        assert_eq!(needs(Postgres, detach), Some("DETACH PARTITION CONCURRENTLY"));
        assert_eq!(needs(Postgres, "ALTER TABLE log DETACH PARTITION log_1"), None);
        assert_eq!(needs(Sqlite, "pragma foreign_keys=off"), Some("PRAGMA foreign_keys"));
        assert_eq!(needs(Sqlite, "PRAGMA user_version = 3"), None);
        assert!(Keywords::of(Postgres, "COPY t (a) FROM STDIN").is_client_copy(Postgres));
        assert!(!Keywords::of(Postgres, "COPY t FROM '/stdin'").is_client_copy(Postgres));
    }

    #[test]
    fn concurrent_statements_are_known_with_their_names() {
        let has = |text: &str, name: &str| Build::of(Postgres, text).is_some_and(|build| build.names(name));
        for text in [
            "CREATE INDEX CONCURRENTLY I ON t (a)",
            "create unique index concurrently if not exists \"i\" on t (a)",
            "REINDEX (VERBOSE, CONCURRENTLY) INDEX i",
            "REINDEX INDEX CONCURRENTLY s.i",
            "DROP INDEX CONCURRENTLY i",
            "ALTER TABLE p DETACH PARTITION i CONCURRENTLY",
        ] {
            assert!(has(text, "i"), "{text}");
        }
        for text in ["CREATE INDEX i ON t (a)", "REFRESH MATERIALIZED VIEW CONCURRENTLY i", "SELECT 'CONCURRENTLY i'"] {
            assert_eq!(Build::of(Postgres, text), None, "{text}");
        }
        let of = |text: &str| Build::of(Postgres, text).map(|build| (build.is_concurrent, build.is_of_tables));
        for (text, expected) in [
            ("CREATE INDEX CONCURRENTLY ON t (a)", Some((true, true))),
            ("CREATE INDEX CONCURRENTLY i ON t (a)", Some((true, false))),
            ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a)", Some((true, false))),
            ("CREATE UNIQUE INDEX IF NOT EXISTS i ON t (a)", Some((false, false))),
            ("REINDEX TABLE CONCURRENTLY t", Some((true, true))),
            ("REINDEX INDEX CONCURRENTLY i", Some((true, false))),
            ("CREATE TABLE IF NOT EXISTS t (a int)", None),
            ("SELECT EXISTS (SELECT 1)", None),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
    }

    #[test]
    fn destructive_statements_are_recognized() {
        use Destruction::*;
        let cases = [
            ("DROP TABLE IF EXISTS t", Some(DropTable)),
            ("TRUNCATE t", Some(Truncate)),
            ("ALTER TABLE t DROP COLUMN a", Some(DropColumn)),
            ("alter table t add b int, drop a", Some(DropColumn)),
            ("ALTER TABLE t DROP \"constraint\"", Some(DropColumn)),
            ("ALTER TABLE t ALTER COLUMN a SET DATA TYPE text", Some(TypeChange)),
            ("ALTER TABLE t ALTER a TYPE text", Some(TypeChange)),
            ("DROP SCHEMA s CASCADE", Some(DropSchema)),
            ("DROP TYPE mood CASCADE", Some(DropDependents)),
            ("drop domain if exists a, b cascade", Some(DropDependents)),
            ("DROP EXTENSION hstore CASCADE;", Some(DropDependents)),
            ("DROP FUNCTION f(int) CASCADE", Some(DropDependents)),
            ("DROP OWNED BY app", Some(DropOwned)),
            ("ALTER TYPE s.pair DROP ATTRIBUTE IF EXISTS b", Some(DropAttribute)),
            ("ALTER TYPE pair ADD ATTRIBUTE c int, DROP ATTRIBUTE b CASCADE", Some(DropAttribute)),
            ("ALTER TYPE pair ALTER ATTRIBUTE b TYPE bigint CASCADE", Some(TypeChange)),
            ("ALTER TYPE pair RENAME ATTRIBUTE a TO b", None),
            ("DROP TYPE mood", None),
            ("DROP TYPE mood RESTRICT", None),
            ("DROP TYPE \"cascade\"", None),
            ("ALTER TABLE t DROP CONSTRAINT c", None),
            ("ALTER TABLE t ALTER COLUMN a DROP NOT NULL", None),
            ("ALTER TABLE t ADD COLUMN type text", None),
            ("DROP INDEX i", None),
            ("CREATE TABLE t (truncate text)", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Keywords::of(Postgres, text).destruction(), expected, "{text}");
        }
    }
}
