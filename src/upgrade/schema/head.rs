//! What a statement of a script makes.

use std::ops::Range;

use super::text::{Part, parts, unquoted};

/// The kinds of objects that scripts make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A table with rows of its own.
    Table,
    /// A table of a module, such as a full-text index.
    VirtualTable,
    /// An index.
    Index,
    /// A view.
    View,
    /// A trigger.
    Trigger,
    /// A column that is added to a table.
    Column,
}

impl ObjectKind {
    /// Returns its name for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::VirtualTable => "virtual table",
            Self::Index => "index",
            Self::View => "view",
            Self::Trigger => "trigger",
            Self::Column => "column",
        }
    }
}

/// What a statement makes, and where its name stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The kind of the object.
    pub kind: ObjectKind,
    /// Its name as it is written, without quotes.
    pub name: String,
    /// Where the name stands in the statement.
    pub name_range: Range<usize>,
    /// The table of an index, a trigger or a column, in small letters; else the name in small letters.
    pub table: String,
}

impl Head {
    /// Reads the first words of a statement. Nothing for a statement that a script may not hold.
    pub fn of(sql: &str) -> Option<Self> {
        let parts = parts(sql);
        let mut reader = Reader { sql, parts: &parts, at: 0 };
        if reader.takes(&["alter", "table"]) {
            return reader.column();
        }
        if !reader.takes(&["create"]) {
            return None;
        }
        let kind = reader.kind()?;
        reader.takes(&["if", "not", "exists"]);
        let (name, name_range) = reader.object_name()?;
        let table = match kind {
            ObjectKind::Index | ObjectKind::Trigger => reader.table_after_on()?,
            _ => name.to_ascii_lowercase(),
        };
        Some(Self { kind, name, name_range, table })
    }
}

struct Reader<'a> {
    sql: &'a str,
    parts: &'a [Part],
    at: usize,
}

impl Reader<'_> {
    /// Goes over these keywords, if they stand here.
    fn takes(&mut self, keywords: &[&str]) -> bool {
        let rest = &self.parts[self.at.min(self.parts.len())..];
        let found = rest.len() >= keywords.len() && rest.iter().zip(keywords).all(|(part, keyword)| part.is(keyword));
        self.at += if found { keywords.len() } else { 0 };
        found
    }

    fn kind(&mut self) -> Option<ObjectKind> {
        let kinds: [(&[&str], ObjectKind); 6] = [
            (&["table"], ObjectKind::Table),
            (&["virtual", "table"], ObjectKind::VirtualTable),
            (&["index"], ObjectKind::Index),
            (&["unique", "index"], ObjectKind::Index),
            (&["view"], ObjectKind::View),
            (&["trigger"], ObjectKind::Trigger),
        ];
        kinds.into_iter().find_map(|(words, kind)| self.takes(words).then_some(kind))
    }

    fn name(&mut self) -> Option<(String, Range<usize>)> {
        let part = self.parts.get(self.at)?;
        self.at += 1;
        Some((unquoted(&self.sql[part.range.clone()]), part.range.clone()))
    }

    /// Reads a name, with the name of the main database before it or without.
    fn object_name(&mut self) -> Option<(String, Range<usize>)> {
        let first = self.name()?;
        if self.parts.get(self.at).is_none_or(|part| part.text != ".") {
            return Some(first);
        }
        self.at += 1;
        self.name().filter(|_| first.0.eq_ignore_ascii_case("main"))
    }

    fn table_after_on(&mut self) -> Option<String> {
        let on = self.parts[self.at..].iter().position(|part| part.is("on"))?;
        self.at += on + 1;
        self.object_name().map(|(name, _)| name.to_ascii_lowercase())
    }

    fn column(&mut self) -> Option<Head> {
        let (table, _) = self.object_name()?;
        if !self.takes(&["add"]) {
            return None;
        }
        self.takes(&["column"]);
        let (name, name_range) = self.name()?;
        Some(Head { kind: ObjectKind::Column, name, name_range, table: table.to_ascii_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_name_what_they_make() {
        let cases = [
            ("CREATE TABLE IF NOT EXISTS main.\"A b\" (x)", ObjectKind::Table, "A b", "a b"),
            ("create virtual table v using fts5(a)", ObjectKind::VirtualTable, "v", "v"),
            ("CREATE UNIQUE INDEX u ON T(a)", ObjectKind::Index, "u", "t"),
            ("CREATE INDEX IF NOT EXISTS i ON t(a)", ObjectKind::Index, "i", "t"),
            ("CREATE TRIGGER r AFTER UPDATE OF a ON t BEGIN SELECT 1; END", ObjectKind::Trigger, "r", "t"),
            ("CREATE VIEW w AS SELECT 1", ObjectKind::View, "w", "w"),
            ("ALTER TABLE t ADD COLUMN c TEXT", ObjectKind::Column, "c", "t"),
            ("alter table T add C text", ObjectKind::Column, "C", "t"),
        ];
        for (sql, kind, name, table) in cases {
            let head = Head::of(sql).unwrap_or_else(|| panic!("{sql}"));
            assert_eq!((head.kind, head.name.as_str(), head.table.as_str()), (kind, name, table), "{sql}");
            assert!(sql[head.name_range].contains(name));
        }
    }

    #[test]
    fn other_statements_have_none() {
        for sql in [
            "",
            "COMMIT",
            "DROP TABLE t",
            "ALTER TABLE t RENAME TO u",
            "CREATE TEMP TABLE t (a)",
            "CREATE TABLE temp.t (a)",
        ] {
            assert_eq!(Head::of(sql), None, "{sql}");
        }
    }
}
