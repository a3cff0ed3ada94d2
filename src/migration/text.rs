//! Text from stores and file systems, as it is shown to people and programs.
//!
//! A name may hold anything: a line break that forges a line, an escape sequence that drives the terminal, a mark that
//! turns the order of letters round. What is for people shows each such character as `\u{1b}`, its number in hex digits.
//! What is for programs has the same characters as JSON writes them.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serializer;

/// How an escape begins. A text that has this of its own gets its backslash escaped.
const ESCAPE: &str = "\\u{";

/// Serialises a path as it is shown to people. A path need not be text: bytes that are no UTF-8 become `U+FFFD`, where
/// serde's own way would fail.
pub fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Returns the text for a terminal or a log: control characters, line ends, and characters that cannot be seen become
/// `\u{…}`. [`unescaped`] reverses it.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) && !text.contains(ESCAPE) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (at, character) in text.char_indices() {
        if is_unseen(character) || text[at..].starts_with(ESCAPE) {
            write!(shown, "{ESCAPE}{:x}}}", u32::from(character)).expect("a string takes any text");
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// Returns the text that [`escaped`] made `shown` of.
pub fn unescaped(shown: &str) -> Cow<'_, str> {
    let mut text = String::new();
    let mut rest = shown;
    while let Some((before, escape)) = rest.split_once(ESCAPE) {
        let number = escape
            .split_once('}')
            .and_then(|(digits, after)| Some((u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?, after)));
        let Some((character, after)) = number else { break };
        text.push_str(before);
        text.push(character);
        rest = after;
    }
    if text.is_empty() {
        return shown.into();
    }
    (text + rest).into()
}

/// Returns a JSON document in which characters that cannot be seen are escaped. It says the same.
pub fn escaped_json(document: &str) -> Cow<'_, str> {
    // Line ends are the layout of the document. In its texts they are escaped already, as is all of ASCII below U+0020.
    let is_raw = |character: char| character >= '\u{7f}' && is_unseen(character);
    if !document.contains(is_raw) {
        return document.into();
    }
    let mut shown = String::with_capacity(document.len() + 16);
    for character in document.chars() {
        if is_raw(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(shown, "\\u{unit:04x}").expect("a string takes any text");
            }
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

/// Returns the word as a shell reads it back unchanged: as it is, in quotes, or with escapes as in `$'a\x0ab'`.
pub fn shell_word(word: impl AsRef<OsStr>) -> String {
    let bytes = word.as_ref().as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(byte);
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && bytes.iter().all(is_plain) => text.to_owned(),
        Ok(text) if !text.contains(is_unseen) && !text.contains(ESCAPE) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => bytes_in_quotes(bytes),
    }
}

fn bytes_in_quotes(bytes: &[u8]) -> String {
    let mut quoted = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' | '\'' => quoted.extend(['\\', character]),
                // Nothing that looks like an escape of `escaped` may be left: the word is shown through it.
                _ if is_unseen(character) || character == '{' => {
                    push_hex(&mut quoted, character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                // A hex digit after an escape would be read as a part of it: Bash takes two digits, other shells more.
                _ if character.is_ascii_hexdigit() && ends_in_escape(&quoted) => {
                    push_hex(&mut quoted, &[character as u8]);
                }
                _ => quoted.push(character),
            }
        }
        push_hex(&mut quoted, chunk.invalid());
    }
    quoted.push('\'');
    quoted
}

fn push_hex(quoted: &mut String, bytes: &[u8]) {
    bytes.iter().for_each(|byte| write!(quoted, "\\x{byte:02x}").expect("a string takes any text"));
}

fn ends_in_escape(quoted: &str) -> bool {
    let at = quoted.len().checked_sub(4);
    at.and_then(|at| quoted.get(at..))
        .is_some_and(|end| end.starts_with("\\x") && end[2..].bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Returns true for control characters, line ends, marks of direction, and others that have no glyph.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_that_is_no_text_is_shown_all_the_same() {
        let text = |bytes: &[u8]| serialize_path(Path::new(OsStr::from_bytes(bytes)), serde_json::value::Serializer);
        assert_eq!(text(b"a/b").unwrap(), "a/b");
        assert_eq!(text(b"a/\xff").unwrap(), "a/\u{fffd}");
    }

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        let cases = [
            ("größe 'a\\x0a' é", "größe 'a\\x0a' é"),
            ("a\u{1b}[2J\nb\t\u{7f}", "a\\u{1b}[2J\\u{a}b\\u{9}\\u{7f}"),
            (
                "\u{9b}\u{202e}\u{2028}\u{feff}\u{2066}\u{e0041}",
                "\\u{9b}\\u{202e}\\u{2028}\\u{feff}\\u{2066}\\u{e0041}",
            ),
            ("\\u{1b}", "\\u{5c}u{1b}"),
        ];
        for (text, shown) in cases {
            assert_eq!(escaped(text), shown);
            assert_eq!(unescaped(shown), text);
        }
        for half in ["\\u{", "\\u{}", "\\u{110000}", "\\u{x}"] {
            assert_eq!(unescaped(half), half);
        }
    }

    #[test]
    fn a_document_says_the_same_when_it_is_escaped() {
        let value = serde_json::json!({"a\u{9b}": "\u{202e}\n\u{1b}\u{7f}\u{e0041}é"});
        let document = serde_json::to_string_pretty(&value).unwrap();
        let shown = escaped_json(&document);
        assert!(shown.contains("a\\u009b") && shown.contains("\\u202e\\n\\u001b\\u007f\\udb40\\udc41é"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        let words = ["a/b-c", "", "a b", "it's", "$x", "a\nb'\\", "\\u{1b}"].map(shell_word);
        assert_eq!(words, ["a/b-c", "''", "'a b'", r"'it'\''s'", "'$x'", r"$'a\x0a\x62\'\\'", r"$'\\u\x7b\x31\x62}'"]);
        assert_eq!(shell_word(OsStr::from_bytes(b"\xff\x01")), r"$'\xff\x01'");
    }

    #[test]
    fn a_shell_reads_words_back() {
        let names: [&[u8]; 4] = [b"a\nb \x1b[2J'\\u{1b}", "\u{202e}0\u{9b}1f".as_bytes(), b"\xff\xfe'$x`", b"\\x41{}"];
        for name in names {
            let script = format!("printf %s {}", shell_word(OsStr::from_bytes(name)));
            assert_eq!(Command::new("bash").args(["-c", &script]).output().unwrap().stdout, name, "{script}");
        }
    }

    proptest! {
        #[test]
        fn escapes_are_unambiguous(text in "(\\PC|\\\\u\\{|[\\\\u{}1b\u{0}-\u{20}\u{7f}-\u{a0}\u{2028}-\u{202e}]){0,20}") {
            let shown = escaped(&text);
            prop_assert!(!shown.contains(is_unseen));
            prop_assert_eq!(unescaped(&shown), text.as_str());
            let word = shell_word(&text);
            prop_assert_eq!(escaped(&word), word.as_str());
        }
    }
}
