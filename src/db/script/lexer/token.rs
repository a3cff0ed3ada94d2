//! The parts of a script.

/// A token, as a range of bytes in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The kind.
    pub kind: TokenKind,
    /// The first byte.
    pub start: usize,
    /// The byte after the last one.
    pub end: usize,
}

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Blanks and line ends.
    Blank,
    /// `-- …`, without its line end.
    LineComment,
    /// `/* … */`, nested in PostgreSQL.
    BlockComment,
    /// A keyword or a name.
    Word,
    /// A quoted name.
    QuotedName,
    /// A string literal of any kind.
    Literal,
    /// `;`
    Semicolon,
    /// `(`
    Open,
    /// `)`
    Close,
    /// `\`, which SQL does not use outside of literals.
    Backslash,
    /// `\restrict KEY` or `\unrestrict KEY` of `pg_dump`, which mean something to psql only.
    Restrict,
    /// The rest of the line behind `COPY … FROM STDIN;` and the data below it, with the line `\.` that ends them.
    CopyData,
    /// Anything else.
    Other,
    /// A literal, name or comment whose end is missing.
    Unclosed(Unclosed),
}

/// The kind of an unclosed token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unclosed {
    /// A string literal.
    Literal,
    /// A quoted name.
    Name,
    /// A block comment.
    Comment,
    /// The data of `COPY … FROM STDIN`.
    Data,
}

impl TokenKind {
    /// Returns true for blanks and comments, which mean nothing to the engine.
    pub fn is_trivia(self) -> bool {
        matches!(self, Self::Blank | Self::LineComment | Self::BlockComment | Self::Restrict)
    }
}
