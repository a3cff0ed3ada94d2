//! Comments with a meaning: section markers of haul and of the tools whose files it reads, batches, and directives.

use super::batch::batch_query;
use super::direction::Direction;
use super::unread_marker::{UnreadMarker, unread_marker};

/// The tool whose markers a file uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerKind {
    /// `-- Up`
    Haul,
    /// `-- migrate:up`
    Dbmate,
    /// `-- +goose Up`
    Goose,
    /// `-- +migrate Up` of sql-migrate, `-- +micrate Up` of micrate
    SqlMigrate,
    /// `-- Up Migration` of node-pg-migrate
    NodePgMigrate,
}

/// The meaning of a line comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comment<'a> {
    /// No meaning to haul.
    Text(&'a str),
    /// A section starts on the next line.
    Marker {
        /// The tool whose marker it is.
        kind: MarkerKind,
        /// The section.
        direction: Direction,
        /// True if the section runs without a transaction.
        no_transaction: bool,
    },
    /// A batch starts on the next line; this is its query.
    Batch(&'a str),
    /// Directives: the text after `haul:`.
    Directives(&'a str),
    /// goose's `NO TRANSACTION`, which applies to the whole file.
    NoTransaction,
    /// `StatementBegin` of goose and sql-migrate, which the lexer does not need.
    StatementBegin,
    /// `StatementEnd` of goose and sql-migrate.
    StatementEnd,
    /// An annotation that another tool would follow and haul does not know.
    Unknown(&'a str),
    /// It is meant as a marker, and haul does not read it.
    Unread(UnreadMarker),
}

impl<'a> Comment<'a> {
    /// Parses a line comment. It is a marker only if it `is_alone` on its line.
    pub fn read(comment: &'a str, is_alone: bool) -> Self {
        let text = comment.strip_prefix("--").unwrap_or(comment).trim();
        if let Some(directives) = text.strip_prefix("haul:") {
            return Self::Directives(directives);
        }
        if !is_alone {
            return Self::Text(text);
        }
        if let Some(annotation) = strip_prefix_ignoring_case(text, "+goose") {
            return Self::goose(annotation.trim());
        }
        if let Some(annotation) =
            ["+migrate", "+micrate"].iter().find_map(|tool| strip_prefix_ignoring_case(text, tool))
        {
            return Self::sql_migrate(annotation.trim());
        }
        if let Some(direction) = node_pg_migrate(text) {
            return Self::Marker { kind: MarkerKind::NodePgMigrate, direction, no_transaction: false };
        }
        if let Some(section) = text.strip_prefix("migrate:") {
            return Self::dbmate(section);
        }
        if let Some(query) = batch_query(text) {
            return Self::Batch(query);
        }
        match direction(text) {
            Some(direction) => Self::Marker { kind: MarkerKind::Haul, direction, no_transaction: false },
            // The dashes of `--- Down` are part of what is judged.
            None => unread_marker(text).map_or(Self::Text(text), Self::Unread),
        }
    }

    fn goose(annotation: &'a str) -> Self {
        let is = |name: &str| annotation.eq_ignore_ascii_case(name);
        match direction(annotation) {
            Some(direction) => Self::Marker { kind: MarkerKind::Goose, direction, no_transaction: false },
            None if is("NO TRANSACTION") => Self::NoTransaction,
            None if is("StatementBegin") => Self::StatementBegin,
            None if is("StatementEnd") => Self::StatementEnd,
            None => Self::Unknown(annotation),
        }
    }

    fn sql_migrate(annotation: &'a str) -> Self {
        let mut words = annotation.split_whitespace();
        let first = words.next().unwrap_or_default();
        let no_transaction = match words.next() {
            None => false,
            Some(option) if option.eq_ignore_ascii_case("notransaction") => true,
            Some(_) => return Self::Unknown(annotation),
        };
        let is = |name: &str| first.eq_ignore_ascii_case(name) && !no_transaction;
        match direction(first) {
            Some(direction) => Self::Marker { kind: MarkerKind::SqlMigrate, direction, no_transaction },
            None if is("StatementBegin") => Self::StatementBegin,
            None if is("StatementEnd") => Self::StatementEnd,
            None => Self::Unknown(annotation),
        }
    }

    fn dbmate(section: &'a str) -> Self {
        let mut words = section.split_whitespace();
        let Some(direction) = words.next().and_then(direction) else { return Self::Unknown(section) };
        let mut no_transaction = false;
        for option in words {
            match option {
                "transaction:false" => no_transaction = true,
                "transaction:true" => {}
                _ => return Self::Unknown(option),
            }
        }
        Self::Marker { kind: MarkerKind::Dbmate, direction, no_transaction }
    }
}

fn direction(word: &str) -> Option<Direction> {
    if word.eq_ignore_ascii_case("up") {
        Some(Direction::Up)
    } else if word.eq_ignore_ascii_case("down") {
        Some(Direction::Down)
    } else {
        None
    }
}

/// Returns the section of `Up Migration` and `Down Migration`, before which node-pg-migrate allows more dashes.
fn node_pg_migrate(text: &str) -> Option<Direction> {
    let mut words = text.trim_start_matches(['-', ' ']).split_whitespace();
    let direction = words.next().and_then(direction)?;
    let is_marker = words.next().is_some_and(|word| word.eq_ignore_ascii_case("migration")) && words.next().is_none();
    is_marker.then_some(direction)
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_of_each_tool_are_known() {
        use Direction::*;
        use MarkerKind::*;
        let marker = |kind, direction, no_transaction| Comment::Marker { kind, direction, no_transaction };
        for (text, expected) in [
            ("-- Up", marker(Haul, Up, false)),
            ("--   DOWN  ", marker(Haul, Down, false)),
            ("-- migrate:up", marker(Dbmate, Up, false)),
            ("-- migrate:down transaction:false", marker(Dbmate, Down, true)),
            ("-- +goose Up", marker(Goose, Up, false)),
            ("-- +goose NO TRANSACTION", Comment::NoTransaction),
            ("-- +goose StatementBegin", Comment::StatementBegin),
            ("-- +goose ENVSUB ON", Comment::Unknown("ENVSUB ON")),
            ("-- migrate:sideways", Comment::Unknown("sideways")),
            ("-- +migrate Up", marker(SqlMigrate, Up, false)),
            ("-- +migrate Down notransaction", marker(SqlMigrate, Down, true)),
            ("-- +micrate Down", marker(SqlMigrate, Down, false)),
            ("-- +migrate StatementBegin", Comment::StatementBegin),
            ("-- +migrate Up later", Comment::Unknown("Up later")),
            ("-- Up Migration", marker(NodePgMigrate, Up, false)),
            ("--- down  MIGRATION", marker(NodePgMigrate, Down, false)),
            ("-- Down:", Comment::Unread(UnreadMarker::Section { direction: Some(Down), is_firm: true })),
            ("-- haul: no-transaction", Comment::Directives(" no-transaction")),
            ("-- Up and away", Comment::Text("Up and away")),
            ("-- é", Comment::Text("é")),
        ] {
            assert_eq!(Comment::read(text, true), expected);
        }
        assert_eq!(Comment::read("-- Down", false), Comment::Text("Down"));
    }
}
