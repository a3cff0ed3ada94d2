//! Recognizes `COPY … FROM STDIN;` of PostgreSQL, whose data are in the lines below it, as `pg_dump` writes them.

use super::token::{Token, TokenKind, Unclosed};

/// The line that ends the data.
pub(super) const END: &str = "\\.";

/// How much of `COPY … FROM STDIN;` has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CopyHead {
    state: State,
    parentheses: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Before the first word of a statement.
    #[default]
    Start,
    /// Another statement.
    Other,
    Copy,
    From,
    Stdin,
    /// The statement has ended, and data follow.
    Complete,
}

impl CopyHead {
    /// Returns true if the data follow.
    pub fn is_complete(self) -> bool {
        self.state == State::Complete
    }

    /// Returns the state after a token of `text`.
    pub fn after(self, token: Token, text: &str) -> Self {
        let Self { state, parentheses } = self;
        let is = |word: &str| token.kind == TokenKind::Word && text[token.start..token.end].eq_ignore_ascii_case(word);
        match (token.kind, state) {
            (kind, _) if kind.is_trivia() => self,
            (_, State::Complete) => Self::default(),
            (TokenKind::Semicolon, State::Stdin) if has_data(&text[token.end..]) => {
                Self { state: State::Complete, parentheses: 0 }
            }
            (TokenKind::Semicolon, _) => Self::default(),
            (TokenKind::Open, _) => Self { parentheses: parentheses.saturating_add(1), ..self },
            (TokenKind::Close, _) => Self { parentheses: parentheses.saturating_sub(1), ..self },
            (_, State::Start) if is("COPY") => Self { state: State::Copy, parentheses },
            (_, State::Start) => Self { state: State::Other, parentheses },
            (_, State::Copy) if is("FROM") && parentheses == 0 => Self { state: State::From, parentheses },
            (_, State::From) if is("STDIN") => Self { state: State::Stdin, parentheses },
            (_, State::From) => Self { state: State::Copy, parentheses },
            _ => self,
        }
    }
}

/// Returns true if data can begin in the next line: there is one, and nothing but a comment is before it.
fn has_data(rest: &str) -> bool {
    let Some((line, _)) = rest.split_once('\n') else { return false };
    let line = line.trim();
    line.is_empty() || line.starts_with("--")
}

/// Returns kind and end of the data from `start`, which is behind the semicolon.
pub(super) fn data(text: &str, start: usize) -> (TokenKind, usize) {
    let mut at = text[start..].find('\n').map_or(text.len(), |length| start + length + 1);
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        if &text[at..end] == END {
            return (TokenKind::CopyData, end);
        }
        at = end + 1;
    }
    (TokenKind::Unclosed(Unclosed::Data), text.len())
}
