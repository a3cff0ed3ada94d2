//! Definitions of objects in a form that can be compared: lines that are equal if the objects work the same way.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension};

use super::head::ObjectKind;
use super::text::{Part, closed_at, joined, normalised, parts};

/// What an object is, as lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// `table`, `index`, `view`, `trigger`.
    pub kind: String,
    lines: BTreeSet<String>,
}

impl Form {
    /// Returns the form of the object with this name, in any case of letters. Nothing if there is none. Triggers have
    /// names of their own: a table may have the name of one.
    pub fn of(connection: &Connection, kind: ObjectKind, name: &str) -> rusqlite::Result<Option<Self>> {
        let sql = "SELECT type, coalesce(sql, ''), name FROM main.sqlite_schema \
                   WHERE name = ?1 COLLATE NOCASE AND (type = 'trigger') = ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let parameters = rusqlite::params![name, kind == ObjectKind::Trigger];
        let found: Option<(String, String, String)> = connection.query_row(sql, parameters, read).optional()?;
        let Some((kind, sql, name)) = found else { return Ok(None) };
        let parts = parts(&sql);
        let is_table = kind == "table" && !parts.get(1).is_some_and(|part| part.is("virtual"));
        let lines = if is_table { table_lines(connection, &name, &parts)? } else { [text_line(&sql)].into() };
        Ok(Some(Self { kind, lines }))
    }

    /// Returns the form of an index, a view, a trigger or a virtual table that a statement makes.
    pub fn of_text(kind: ObjectKind, sql: &str) -> Self {
        let kind = if kind == ObjectKind::VirtualTable { "table" } else { kind.word() };
        Self { kind: kind.to_owned(), lines: [text_line(sql)].into() }
    }

    /// Says how this form differs from the one that is wanted.
    pub fn difference(&self, wanted: &Self) -> String {
        if self.kind != wanted.kind {
            return format!("it is of the kind {}, not {}", self.kind, wanted.kind);
        }
        let only = |a: &Self, b: &Self| a.lines.difference(&b.lines).cloned().collect::<Vec<_>>().join("; ");
        let (more, less) = (only(self, wanted), only(wanted, self));
        match (more.is_empty(), less.is_empty()) {
            (false, false) => format!("it has {more}, and lacks {less}"),
            (false, true) => format!("it has {more}"),
            _ => format!("it lacks {less}"),
        }
    }
}

/// The columns of a table alone, in order.
pub fn column_lines(connection: &Connection, table: &str) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY cid";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([table], |row| {
        let (name, kind): (String, String) = (row.get::<_, String>(0)?.to_ascii_lowercase(), row.get(1)?);
        let mut line = format!("column {name} {}", normalised(&kind));
        if row.get(2)? {
            line.push_str(" not null");
        }
        if let Some(value) = row.get::<_, Option<String>>(3)? {
            line.push_str(&format!(" default {}", normalised(&value)));
        }
        for (at, word) in [(4, "primary key"), (5, "hidden")] {
            let number: i64 = row.get(at)?;
            if number != 0 {
                line.push_str(&format!(" {word} {number}"));
            }
        }
        Ok((name, line))
    })?;
    rows.collect()
}

/// What a table has besides its columns: keys, checks, collations and the like.
pub fn table_clauses(connection: &Connection, table: &str) -> rusqlite::Result<BTreeSet<String>> {
    let sql = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    let text: String = connection.query_row(sql, [table], |row| row.get(0))?;
    let mut lines: BTreeSet<String> = clause_lines(&parts(&text)).into_iter().collect();
    lines.extend(key_lines(connection, table)?);
    Ok(lines)
}

fn table_lines(connection: &Connection, table: &str, parts: &[Part]) -> rusqlite::Result<BTreeSet<String>> {
    let mut lines = BTreeSet::new();
    for (number, (_, line)) in column_lines(connection, table)?.into_iter().enumerate() {
        lines.insert(format!("{line} at {}", number + 1));
    }
    lines.extend(key_lines(connection, table)?);
    lines.extend(unique_lines(connection, table)?);
    lines.extend(clause_lines(parts));
    let sql = "SELECT wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?1";
    let (without_rowid, strict): (bool, bool) =
        connection.query_row(sql, [table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    lines.extend(without_rowid.then(|| "without rowid".to_owned()));
    lines.extend(strict.then(|| "strict".to_owned()));
    Ok(lines)
}

/// The foreign keys of a table. Each is a line with all of its columns.
fn key_lines(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT group_concat(lower(\"from\"), ', '), lower(\"table\"), group_concat(lower(\"to\"), ', '), on_update, \
               on_delete, match FROM (SELECT * FROM pragma_foreign_key_list(?1, 'main') ORDER BY id, seq) GROUP BY id";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([table], |row| {
        let text = |at| row.get::<_, Option<String>>(at).map(Option::unwrap_or_default);
        let (from, parent, to, update, delete, matched) = (text(0)?, text(1)?, text(2)?, text(3)?, text(4)?, text(5)?);
        let actions = format!("on update {update} on delete {delete} match {matched}").to_ascii_lowercase();
        Ok(format!("key ({from}) references {parent} ({to}) {actions}"))
    })?;
    rows.collect()
}

/// The unique and primary keys that are part of a table.
fn unique_lines(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT l.origin, group_concat(lower(x.name) || ' ' || lower(x.coll) || iif(x.\"desc\", ' desc', ''), ', ') \
               FROM pragma_index_list(?1, 'main') l, pragma_index_xinfo(l.name, 'main') x \
               WHERE l.origin <> 'c' AND x.key GROUP BY l.name";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([table], |row| {
        let origin: String = row.get(0)?;
        let kind = if origin == "pk" { "primary key" } else { "unique" };
        Ok(format!("{kind} ({})", row.get::<_, String>(1)?))
    })?;
    rows.collect()
}

/// Clauses that no pragma shows: checks, collations, generated values, reactions to conflicts.
fn clause_lines(parts: &[Part]) -> Vec<String> {
    let Some(open) = parts.iter().position(|part| part.text == "(") else { return Vec::new() };
    let body = &parts[open + 1..closed_at(parts, open).saturating_sub(1).max(open + 1)];
    let (mut lines, mut at, mut label) = (Vec::new(), 0, String::new());
    let mut is_first = true;
    while at < body.len() {
        let part = &body[at];
        if is_first {
            (label, is_first) = (part.text.clone(), false);
        }
        let end = if part.text == "(" { closed_at(body, at) } else { at + 1 };
        let after = body.get(end);
        if part.text == "," {
            is_first = true;
        } else if part.is("check") && after.is_some_and(|part| part.text == "(") {
            let close = closed_at(body, end);
            lines.push(joined(&body[at..close]));
            at = close;
            continue;
        } else if part.is("as") && after.is_some_and(|part| part.text == "(") {
            let close = closed_at(body, end);
            let stored = body.get(close).is_some_and(|part| part.is("stored"));
            lines.push(format!("{label} {}{}", joined(&body[at..close]), if stored { " stored" } else { "" }));
            at = close;
            continue;
        } else if part.is("collate")
            && let Some(name) = after
        {
            lines.push(format!("{label} collate {}", name.text));
        } else if part.is("conflict")
            && let Some(reaction) = after
        {
            lines.push(format!("{label} on conflict {}", reaction.text));
        } else if part.is("autoincrement") || part.is("initially") {
            lines.push(format!(
                "{label} {}",
                joined(body.iter().skip(at).take(if part.is("initially") { 2 } else { 1 }))
            ));
        }
        at = end;
    }
    lines
}

/// The text of a definition from behind its name on: what the object is, whatever its name and its writing.
fn text_line(sql: &str) -> String {
    let parts = parts(sql);
    let mut kept: Vec<&Part> = Vec::new();
    let mut at = 0;
    while at < parts.len() {
        if parts[at..].iter().zip(["if", "not", "exists"]).filter(|(part, word)| part.is(word)).count() == 3 {
            at += 3;
        } else {
            // ASC is what an index does without it.
            kept.extend(Some(&parts[at]).filter(|part| !part.is("asc")));
            at += 1;
        }
    }
    let kinds = ["table", "index", "view", "trigger"];
    let Some(kind) = kept.iter().position(|part| kinds.iter().any(|kind| part.is(kind))) else { return joined(kept) };
    let has_schema = kept.get(kind + 2).is_some_and(|part| part.text == ".");
    kept.drain(kind + 1..(kind + if has_schema { 4 } else { 2 }).min(kept.len()));
    joined(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(sql: &str, name: &str) -> Form {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        Form::of(&connection, ObjectKind::Table, name).unwrap().unwrap()
    }

    #[test]
    fn tables_that_work_the_same_have_one_form() {
        let a = "CREATE TABLE p (id INTEGER PRIMARY KEY); \
                 CREATE TABLE t (a INTEGER NOT NULL DEFAULT 1 CHECK (a > 0), b TEXT UNIQUE REFERENCES p(id) ON DELETE CASCADE)";
        let b = "CREATE TABLE p (id INTEGER PRIMARY KEY); \
                 create table \"T\" (\"A\" integer default 1 not null, b text, /* x */ CHECK(a>0), unique (b), \
                 foreign key (b) references p (id) on delete cascade)";
        assert_eq!(form(a, "t"), form(b, "T"));
    }

    #[test]
    fn each_part_of_a_table_counts() {
        let base = form("CREATE TABLE t (a TEXT, b TEXT)", "t");
        for other in [
            "CREATE TABLE t (b TEXT, a TEXT)",
            "CREATE TABLE t (a TEXT, b INTEGER)",
            "CREATE TABLE t (a TEXT, b TEXT NOT NULL)",
            "CREATE TABLE t (a TEXT, b TEXT DEFAULT 'x')",
            "CREATE TABLE t (a TEXT, b TEXT CHECK (b <> ''))",
            "CREATE TABLE t (a TEXT, b TEXT COLLATE NOCASE)",
            "CREATE TABLE t (a TEXT, b TEXT UNIQUE)",
            "CREATE TABLE t (a TEXT, b TEXT PRIMARY KEY)",
            "CREATE TABLE t (a TEXT PRIMARY KEY, b TEXT) WITHOUT ROWID",
            "CREATE TABLE t (a TEXT, b TEXT) STRICT",
            "CREATE TABLE t (a TEXT, b TEXT REFERENCES t (a))",
            "CREATE TABLE t (a TEXT, b TEXT AS (a || 'x'))",
            "CREATE TABLE t (a TEXT, b TEXT, c TEXT)",
            "CREATE TABLE t (a TEXT)",
            "CREATE VIEW t AS SELECT 1",
        ] {
            let found = form(other, "t");
            assert_ne!(found, base, "{other}");
            assert!(found.difference(&base).starts_with("it "), "{other}");
        }
        let increment = form("CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)", "t");
        assert_ne!(increment, form("CREATE TABLE t (a INTEGER PRIMARY KEY)", "t"));
    }

    #[test]
    fn an_index_is_what_it_indexes_and_not_its_name() {
        let wanted =
            Form::of_text(ObjectKind::Index, "CREATE INDEX IF NOT EXISTS main.i ON t (a ASC, b DESC) WHERE a > 'X'");
        let table = "CREATE TABLE t (a, b); ";
        assert_eq!(form(&format!("{table} CREATE INDEX other ON \"t\"(a, b desc) where A>'X'"), "other"), wanted);
        for other in
            ["t(a, b) WHERE a > 'X'", "t(a, b DESC)", "t(b DESC, a) WHERE a > 'X'", "t(a, b DESC) WHERE a > 'x'"]
        {
            assert_ne!(form(&format!("{table} CREATE INDEX i ON {other}"), "i"), wanted, "{other}");
        }
        assert_ne!(form(&format!("{table} CREATE UNIQUE INDEX i ON t(a, b DESC) WHERE a > 'X'"), "i"), wanted);
    }
}
