//! Previews of statements for messages: short, and without passwords.

use super::lexer::{Lexer, TokenKind};
use crate::db::dialect::Dialect;
use crate::migration::redacted;

/// The maximum number of characters in a preview.
const CHARS_MAX: usize = 80;

/// Returns the start of a statement on one line. Hides literals after the word PASSWORD and passwords in connection
/// strings.
pub fn statement_preview(dialect: Dialect, statement: &str) -> String {
    let mut shown = String::new();
    let mut is_secret = false;
    for token in Lexer::new(dialect, statement) {
        let text = &statement[token.start..token.end];
        match token.kind {
            TokenKind::Blank | TokenKind::LineComment | TokenKind::BlockComment => {
                if !shown.ends_with(' ') {
                    shown.push(' ');
                }
                continue;
            }
            TokenKind::Restrict => continue,
            TokenKind::CopyData => {
                shown.push_str(" …");
                break;
            }
            TokenKind::Literal if is_secret => shown.push_str("'***'"),
            _ => shown.push_str(text),
        }
        is_secret = text.eq_ignore_ascii_case("PASSWORD");
        // A character has at most four bytes, so this is enough for the preview.
        if shown.len() > 4 * CHARS_MAX {
            break;
        }
    }
    let shown = redacted(&shown);
    match shown.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{} …", shown[..end].trim_end()),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_short_and_without_passwords() {
        let shown = |text| statement_preview(Dialect::Postgres, text);
        assert_eq!(shown("SELECT\n  1 -- one\n;"), "SELECT 1 ;");
        assert_eq!(shown("ALTER ROLE me PASSWORD 'secret';"), "ALTER ROLE me PASSWORD '***';");
        let subscription = "CREATE SUBSCRIPTION s CONNECTION 'host=h password=secret' PUBLICATION p;";
        assert!(!shown(subscription).contains("secret"), "{}", shown(subscription));
        assert_eq!(shown("SELECT f('postgres://me:secret@h/x');"), "SELECT f('postgres://me:***@h/x');");
        assert_eq!(shown(&format!("SELECT {}", "é".repeat(200))), format!("SELECT {} …", "é".repeat(73)));
    }
}
