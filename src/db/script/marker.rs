//! Comments with a meaning: section markers of haul, dbmate and goose, batches, and directives.

use super::batch::batch_query;

/// The tool whose markers a file uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerKind {
    /// `-- Up`
    Haul,
    /// `-- migrate:up`
    Dbmate,
    /// `-- +goose Up`
    Goose,
}

/// The section of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The section that applies the migration.
    Up,
    /// The section that rolls it back.
    Down,
}

impl Direction {
    /// Returns `Up` or `Down`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "Up",
            Self::Down => "Down",
        }
    }
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
    /// goose's `StatementBegin`, which the lexer does not need.
    StatementBegin,
    /// goose's `StatementEnd`.
    StatementEnd,
    /// An annotation that another tool would follow and haul does not know.
    Unknown(&'a str),
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
        if let Some(section) = text.strip_prefix("migrate:") {
            return Self::dbmate(section);
        }
        if let Some(query) = batch_query(text) {
            return Self::Batch(query);
        }
        match direction(text) {
            Some(direction) => Self::Marker { kind: MarkerKind::Haul, direction, no_transaction: false },
            None => Self::Text(text),
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
            ("-- haul: no-transaction", Comment::Directives(" no-transaction")),
            ("-- Up and away", Comment::Text("Up and away")),
            ("-- é", Comment::Text("é")),
        ] {
            assert_eq!(Comment::read(text, true), expected);
        }
        assert_eq!(Comment::read("-- Down", false), Comment::Text("Down"));
    }
}
