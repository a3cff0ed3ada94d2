//! Reads a script: header comments, and statements that may be there.

use super::file::line_at;
use super::scripts::{Script, ScriptStatement};
use super::tiers::Files;
use crate::db::Dialect;
use crate::db::script::{Lexer, TokenKind, statements};

/// What is wrong with a script, and in which line; 0 for the whole file.
pub type Fault = (u64, String);

/// Reads a script of a group.
pub fn parse(name: &str, text: &str) -> Result<Script, Fault> {
    let mut script = Script { name: name.to_owned(), text: text.to_owned(), ..Script::default() };
    script.statements = ddl(text)?;
    let first = script.statements.first().map_or(0, |first| first.line);
    read_header((1..first).zip(text.lines()), &mut script)?;
    if script.tiers.is_empty() {
        return Err((1, "no comment at its head names tiers: add `-- tiers: NAME, NAME`".into()));
    }
    Ok(script)
}

/// Reads comments such as `-- tiers: tier1, tier2` in the lines before the first statement.
fn read_header<'a>(head: impl Iterator<Item = (u64, &'a str)>, script: &mut Script) -> Result<(), Fault> {
    let mut seen = Vec::new();
    for (line, comment) in head {
        let Some((key, value)) = comment.trim().strip_prefix("--").and_then(|rest| rest.split_once(':')) else {
            continue;
        };
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        if !["tiers", "files", "table"].contains(&key.as_str()) {
            continue;
        }
        if seen.contains(&key) {
            return Err((line, format!("`{key}` is named twice")));
        }
        match (key.as_str(), value) {
            (_, "") => return Err((line, format!("`{key}` has no value"))),
            ("tiers", names) => script.tiers = names.split(',').map(|name| name.trim().to_owned()).collect(),
            ("table", table) => script.table = Some(table.to_owned()),
            (_, "primary") => script.files = Files::Primary,
            (_, "all") => script.files = Files::All,
            (_, other) => return Err((line, format!("`files` is `primary` or `all`, not `{other}`"))),
        }
        seen.push(key);
    }
    Ok(())
}

fn ddl(text: &str) -> Result<Vec<ScriptStatement>, Fault> {
    let found = split(text)?;
    if found.is_empty() {
        return Err((0, "it has no statement".into()));
    }
    for statement in &found {
        refuse_unless_ddl(&words(&statement.text)).map_err(|what| (statement.line, what))?;
    }
    Ok(found)
}

/// Reads the statements of a rebuild.
pub fn changes(text: &str) -> Result<Vec<ScriptStatement>, Fault> {
    let found = split(text)?;
    if found.is_empty() {
        return Err((0, "it has no statement".into()));
    }
    for statement in &found {
        refuse_unless_change(&words(&statement.text)).map_err(|what| (statement.line, what))?;
    }
    Ok(found)
}

/// Returns the one statement of a text, without a semicolon, whose first word is one of `heads`.
pub fn single(text: &str, heads: &[&str]) -> Result<String, Fault> {
    let mut found = split(text)?;
    if let Some(second) = found.get(1) {
        return Err((second.line, "it has a second statement; one is allowed".into()));
    }
    let Some(only) = found.pop() else { return Err((1, "it has no statement".into())) };
    let words = words(&only.text);
    let head = words.first().map_or("", String::as_str);
    if !heads.contains(&head) {
        return Err((only.line, format!("it begins with `{head}`; allowed is {}", heads.join(", "))));
    }
    Ok(only.text)
}

fn split(text: &str) -> Result<Vec<ScriptStatement>, Fault> {
    let unclosed = Lexer::new(Dialect::Sqlite, text).find(|token| matches!(token.kind, TokenKind::Unclosed(_)));
    if let Some(token) = unclosed {
        let line = line_at(text.as_bytes(), token.start);
        return Err((line, "a text, name or comment that begins here has no end".into()));
    }
    let found = statements(Dialect::Sqlite, text).into_iter().map(|found| ScriptStatement {
        text: text[found.range].trim_end_matches(';').trim_end().to_owned(),
        line: found.line,
    });
    Ok(found.collect())
}

/// Returns the tokens that mean something. Words are in upper case; quoted names and texts stand as they are.
fn words(statement: &str) -> Vec<String> {
    let tokens = Lexer::new(Dialect::Sqlite, statement).filter(|token| !token.kind.is_trivia());
    let texts = tokens.map(|token| {
        let text = &statement[token.start..token.end];
        if token.kind == TokenKind::Word { text.to_ascii_uppercase() } else { text.to_owned() }
    });
    texts.collect()
}

fn refuse_unless_ddl(words: &[String]) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["CREATE", "TABLE", ref rest @ ..] => named(rest).and_then(|rest| match rest {
            ["(", ..] => Ok(()),
            _ => Err("a table is created from its columns, not from a query".into()),
        }),
        ["CREATE", "INDEX" | "VIEW" | "TRIGGER", ref rest @ ..]
        | ["CREATE", "UNIQUE", "INDEX", ref rest @ ..]
        | ["CREATE", "VIRTUAL", "TABLE", ref rest @ ..] => named(rest).map(|_| ()),
        ["ALTER", "TABLE", _, "ADD", "COLUMN", _, ref rest @ ..] | ["ALTER", "TABLE", _, "ADD", _, ref rest @ ..] => {
            refuse_column(rest)
        }
        [head, ..] => Err(refused(head)),
        [] => Err("it has no statement".into()),
    }
}

fn refuse_unless_change(words: &[String]) -> Result<(), String> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["CREATE", "TABLE" | "INDEX" | "TRIGGER", ref rest @ ..]
        | ["CREATE", "UNIQUE", "INDEX", ref rest @ ..]
        | ["CREATE", "VIRTUAL", "TABLE", ref rest @ ..] => named(rest).map(|_| ()),
        ["DROP", "TABLE" | "INDEX" | "TRIGGER", ..] | ["ALTER", "TABLE", ..] => Ok(()),
        ["INSERT" | "UPDATE" | "DELETE" | "WITH", ..] => Ok(()),
        [head @ ("BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE"), ..] => {
            Err(format!("`{head}` is refused: haul runs each rebuild in a transaction of its own"))
        }
        [head, ..] => Err(format!(
            "`{head}` is refused: a rebuild makes, changes and drops tables, indexes and triggers, and their rows"
        )),
        [] => Err("it has no statement".into()),
    }
}

/// Returns what follows the name of an object.
fn named<'a, 'b>(rest: &'a [&'b str]) -> Result<&'a [&'b str], String> {
    let rest = if let ["IF", "NOT", "EXISTS", rest @ ..] = rest { rest } else { rest };
    match rest {
        [_, ".", ..] => Err("a name stands without the name of a schema: each file is changed for itself".into()),
        [_, rest @ ..] => Ok(rest),
        [] => Err("it names no object".into()),
    }
}

fn refused(head: &str) -> String {
    match head {
        "BEGIN" | "COMMIT" | "END" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" => {
            format!("`{head}` is refused: haul runs each group in a transaction of its own")
        }
        "ATTACH" | "DETACH" | "PRAGMA" | "VACUUM" => {
            format!("`{head}` is refused: scripts change the schema of one file")
        }
        "INSERT" | "UPDATE" | "DELETE" | "REPLACE" | "WITH" => {
            format!("`{head}` is refused: what fills tables and columns is a [[backfill]]")
        }
        _ => format!("`{head}` is refused: scripts create tables, indexes, views and triggers, and add columns"),
    }
}

/// Refuses what SQLite cannot add to a table that has rows. Only a constant can be the value of rows that are there.
fn refuse_column(definition: &[&str]) -> Result<(), String> {
    let at = |word: &str| definition.iter().position(|other| *other == word);
    if let Some(word) = ["UNIQUE", "PRIMARY", "GENERATED", "AS"].iter().find(|word| at(word).is_some()) {
        return Err(format!("a column with `{word}` cannot be added to a table"));
    }
    let default = at("DEFAULT").and_then(|at| definition.get(at + 1).copied());
    let is_constant = |value: &str| match value.chars().next() {
        Some('(') => false,
        Some(first) if first.is_alphabetic() => ["NULL", "TRUE", "FALSE"].contains(&value) || value.starts_with("X'"),
        _ => true,
    };
    if let Some(value) = default.filter(|value| !is_constant(value)) {
        return Err(format!("the default of an added column is a constant, not `{value}`"));
    }
    let is_not_null = definition.windows(2).any(|pair| pair == ["NOT", "NULL"]);
    if is_not_null && default.is_none_or(|value| value == "NULL") {
        return Err("an added column that is NOT NULL needs a default".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        let (line, what) = parse("x.sql", text).expect_err(text);
        format!("{line}: {what}")
    }

    #[test]
    fn a_header_names_tiers_files_and_a_table() {
        let text = "-- Adds a mark: see the manual.\n--  Tiers: one, two\n-- files: all\n\n-- table: loans\nALTER TABLE loans \
                    ADD COLUMN mark TEXT DEFAULT 'x';\n\n-- tiers: three\nCREATE INDEX i ON loans(mark)";
        let script = parse("x.sql", text).expect("a script");
        assert_eq!(script.tiers, ["one", "two"]);
        assert_eq!((script.files, script.table.as_deref()), (Files::All, Some("loans")));
        let lines: Vec<_> = script.statements.iter().map(|statement| statement.line).collect();
        assert_eq!(lines, [6, 9]);
        assert_eq!(script.statements[0].text, "ALTER TABLE loans ADD COLUMN mark TEXT DEFAULT 'x'");
    }

    #[test]
    fn faults_of_a_header_name_the_line() {
        assert!(fault("CREATE TABLE t (a);").starts_with("1: no comment at its head names tiers"));
        assert_eq!(
            fault("-- tiers: a\n-- files: most\nCREATE TABLE t (a);"),
            "2: `files` is `primary` or `all`, not `most`"
        );
        assert_eq!(fault("-- tiers: a\n-- tiers: b\nCREATE TABLE t (a);"), "2: `tiers` is named twice");
        assert_eq!(fault("-- tiers:\nCREATE TABLE t (a);"), "1: `tiers` has no value");
        assert_eq!(fault("-- tiers: a\n"), "0: it has no statement");
    }

    #[test]
    fn ddl_is_allowed() {
        for statement in [
            "CREATE TABLE IF NOT EXISTS t (a INTEGER PRIMARY KEY)",
            "create unique index u on t(a)",
            "CREATE VIRTUAL TABLE f USING fts5(a)",
            "CREATE VIEW v AS SELECT 1",
            "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET a = 1; END",
            "ALTER TABLE t ADD b INTEGER NOT NULL DEFAULT -1",
            "ALTER TABLE t ADD COLUMN c TEXT DEFAULT NULL",
        ] {
            assert!(parse("x.sql", &format!("-- tiers: a\n{statement};")).is_ok(), "{statement}");
        }
    }

    #[test]
    fn everything_else_is_refused_in_its_line() {
        for (statement, part) in [
            ("BEGIN", "transaction of its own"),
            ("ROLLBACK", "transaction of its own"),
            ("SAVEPOINT s", "transaction of its own"),
            ("ATTACH 'x' AS y", "one file"),
            ("PRAGMA user_version = 2", "one file"),
            ("VACUUM", "one file"),
            ("INSERT INTO t VALUES (1)", "[[backfill]]"),
            ("DROP TABLE t", "`DROP` is refused"),
            ("CREATE TEMP TABLE t (a)", "`CREATE` is refused"),
            ("CREATE TABLE main.t (a)", "without the name of a schema"),
            ("CREATE TABLE t AS SELECT 1", "not from a query"),
            ("ALTER TABLE t RENAME TO u", "`ALTER` is refused"),
            ("ALTER TABLE t ADD COLUMN a TIMESTAMP DEFAULT CURRENT_TIMESTAMP", "not `CURRENT_TIMESTAMP`"),
            ("ALTER TABLE t ADD COLUMN a TEXT DEFAULT (1 + 1)", "not `(`"),
            ("ALTER TABLE t ADD COLUMN a TEXT UNIQUE", "`UNIQUE`"),
            ("ALTER TABLE t ADD COLUMN a TEXT NOT NULL", "needs a default"),
        ] {
            let found = fault(&format!("-- tiers: a\nCREATE TABLE ok (a);\n\n{statement};"));
            assert!(found.starts_with("4: ") && found.contains(part), "{statement}: {found}");
        }
        assert!(fault("-- tiers: a\nCREATE TABLE t (a, 'b);").starts_with("2: a text, name or comment"));
    }

    #[test]
    fn a_rebuild_changes_tables_and_nothing_else() {
        let good = "CREATE TABLE n (a);\nINSERT INTO n SELECT a FROM t;\nDROP TABLE t;\nALTER TABLE n RENAME TO t;";
        assert_eq!(changes(good).expect("statements").len(), 4);
        for head in
            ["BEGIN", "PRAGMA legacy_alter_table = ON", "ATTACH 'x' AS y", "VACUUM", "CREATE VIEW v AS SELECT 1"]
        {
            let (line, what) = changes(&format!("DELETE FROM t;\n{head};")).expect_err(head);
            assert!(line == 2 && what.contains("is refused"), "{what}");
        }
        assert_eq!(changes("-- nothing").expect_err("nothing").1, "it has no statement");
    }

    #[test]
    fn a_query_is_one_statement_of_a_kind() {
        assert_eq!(single("-- c\nSELECT 1 ; -- d", &["SELECT"]), Ok("SELECT 1".into()));
        let fault = |text: &str| single(text, &["SELECT", "WITH"]).expect_err(text);
        assert_eq!(fault("SELECT 1;\nSELECT 2").0, 2);
        assert_eq!(fault("\nDELETE FROM t"), (2, "it begins with `DELETE`; allowed is SELECT, WITH".into()));
        assert_eq!(fault("-- nothing").1, "it has no statement");
    }
}
