//! Previews of statements for messages: short, and without passwords.

use super::lexer::{Lexer, TokenKind};
use crate::db::dialect::Dialect;
use crate::migration::redacted;

/// The maximum number of characters in a preview.
const CHARS_MAX: usize = 80;

/// The maximum number of characters that are searched for such words.
const CHARS_READ_MAX: usize = 4096;
/// Parts of words that say that a statement holds a secret.
const SECRETS: [&str; 9] =
    ["password", "passwd", "passphrase", "secret", "token", "api_key", "private_key", "credential", "crypt"];

/// Returns the start of a statement on one line. Hides the literals of a statement that speaks of a secret, and passwords in
/// connection strings.
pub fn statement_preview(dialect: Dialect, statement: &str) -> String {
    let mut shown = String::new();
    let words = statement.chars().take(CHARS_READ_MAX).collect::<String>().to_ascii_lowercase();
    let is_secret = SECRETS.iter().any(|secret| words.contains(secret));
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
        for text in [
            "ALTER ROLE me PASSWORD U&'k3y'",
            "INSERT INTO users (password) VALUES ('k3y')",
            "SELECT set_config('app.api_key', 'k3y', false)",
            "ALTER DATABASE x SET app.secret TO $$k3y$$",
            "SELECT crypt('k3y', gen_salt('bf'))",
        ] {
            assert!(!shown(text).contains("k3y"), "{}", shown(text));
        }
        assert_eq!(shown("SELECT f('postgres://me:k3y@h/x');"), "SELECT f('postgres://me:***@h/x');");
        assert_eq!(shown(&format!("SELECT {}", "é".repeat(200))), format!("SELECT {} …", "é".repeat(73)));
    }
}
