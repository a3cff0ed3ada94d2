//! Fills values into the `${name}` of a file (docs/source-sql.md, "Placeholders").
//!
//! A value must not change which statements the file has. In quotes it is escaped; elsewhere it may only be letters,
//! digits and underscores. It has no line ends, so lines stay what they are. Values may be secrets: what is shown has the
//! name instead.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::error::ScriptFault;
use super::lexer::{Lexer, Token, TokenKind};
use super::marker::Comment;
use super::sections::FaultAt;
use super::statement::line_ends;
use crate::db::dialect::Dialect;
use crate::migration::Error;

/// The maximum length of a value.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Shorter values are hidden only where they are whole words; they occur in too many others.
const HIDDEN_ANYWHERE_CHARS: usize = 4;

/// The values of placeholders. By default there are no placeholders, and `${name}` is refused.
#[derive(Clone, Default)]
pub struct Placeholders(Option<Arc<BTreeMap<String, String>>>);

/// A value in a text that was filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilledSpan {
    /// Where the value is, in bytes.
    pub range: Range<usize>,
    /// What the file has there.
    pub source: String,
}

/// A text with the values filled in.
#[derive(Debug, Clone)]
pub struct Filled {
    /// The text.
    pub text: Arc<str>,
    /// The values in it, in order.
    pub spans: Arc<[FilledSpan]>,
    /// The placeholders that were not filled, with offsets in the text.
    pub faults: Vec<FaultAt>,
}

/// A placeholder in a text.
struct Found<'a> {
    /// Its first byte.
    at: usize,
    name: &'a str,
    /// What it is in.
    token: Token,
}

impl Placeholders {
    /// Returns placeholders with these values. Any other name is an error in a file.
    pub fn new(values: BTreeMap<String, String>) -> Result<Self, Error> {
        let is_name = |name: &str| name_length(&format!("${{{name}}}")) == Some(name.len());
        if let Some(name) = values.keys().find(|name| !is_name(name)) {
            return Err(Error::Usage {
                what: format!("`{name}` cannot be the name of a placeholder"),
                next: "use letters, digits and underscores, and begin with a letter".into(),
            });
        }
        let is_unfit = |value: &str| value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control);
        match values.iter().find(|(_, value)| is_unfit(value)) {
            Some((name, _)) => Err(Error::Usage {
                what: format!(
                    "the value of the placeholder {name} has a line end or a control character, or is too long"
                ),
                next: format!("give it a value on one line, of at most {VALUE_BYTES_MAX} bytes"),
            }),
            None => Ok(Self(Some(Arc::new(values)))),
        }
    }

    /// Returns true if `${name}` stands for a value.
    pub fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the text with names instead of values.
    pub fn hide(&self, text: &str) -> String {
        let mut values: Vec<_> = self.0.iter().flat_map(|values| values.iter()).collect();
        // A value may be a part of another one.
        values.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        let mut shown = text.to_owned();
        for (name, value) in values.into_iter().filter(|(_, value)| !value.is_empty()) {
            let name = format!("${{{name}}}");
            for form in [value.clone(), value.replace('\'', "''"), value.replace('"', "\"\"")] {
                shown = replace_ignoring_case(&shown, &form, &name);
            }
        }
        shown
    }

    /// Fills a text, except for the ranges in `kept`.
    pub(super) fn fill(&self, dialect: Dialect, text: &Arc<str>, kept: &[Range<usize>]) -> Filled {
        let mut filled = Filling { text, out: String::new(), done: 0, spans: Vec::new(), faults: Vec::new() };
        if let Some(values) = &self.0 {
            for found in find(dialect, text) {
                if kept.iter().any(|range| range.contains(&found.at)) {
                    continue;
                }
                let value = values.get(found.name).ok_or_else(|| ScriptFault::UnknownPlaceholder(found.source(text)));
                filled.put(&found, value.and_then(|value| found.fitted(dialect, text, value)));
            }
        }
        let filled = filled.finish();
        match filled.spans.first() {
            Some(first) if shape(dialect, text) != shape(dialect, &filled.text) => {
                let fault = ScriptFault::PlaceholderValue(first.source.clone(), "it changes the statements around it");
                let before = filled.text[..first.range.start].to_owned();
                Filled {
                    text: text.clone(),
                    spans: Arc::default(),
                    faults: vec![(fault, 1 + line_ends(&before), before.len())],
                }
            }
            _ => filled,
        }
    }
}

impl fmt::Debug for Placeholders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().flat_map(|values| values.keys())).finish()
    }
}

/// Returns a part of a filled text as the file has it.
pub(super) fn as_written<'a>(text: &'a str, spans: &[FilledSpan], range: Range<usize>) -> Cow<'a, str> {
    let first = spans.partition_point(|span| span.range.start < range.start);
    let inside = spans[first..].iter().take_while(|span| span.range.end <= range.end);
    let (mut written, mut done) = (String::new(), range.start);
    for span in inside {
        written.push_str(&text[done..span.range.start]);
        written.push_str(&span.source);
        done = span.range.end;
    }
    if done == range.start && written.is_empty() {
        return Cow::Borrowed(&text[range]);
    }
    written.push_str(&text[done..range.end]);
    Cow::Owned(written)
}

/// Returns the first placeholder of a text, as it is written.
pub(super) fn first_placeholder(dialect: Dialect, text: &str) -> Option<String> {
    find(dialect, text).first().map(|found| found.source(text))
}

/// Finds the placeholders outside of comments and of the data of COPY, and those in the queries of batches.
fn find(dialect: Dialect, text: &str) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    if !text.contains("${") {
        return found;
    }
    for token in Lexer::new(dialect, text) {
        let part = &text[token.start..token.end];
        match token.kind {
            TokenKind::CopyData | TokenKind::BlockComment | TokenKind::Restrict | TokenKind::Unclosed(_) => {}
            TokenKind::LineComment => {
                let Comment::Batch(query) = Comment::read(part, true) else { continue };
                let base = token.start + part.find(query).unwrap_or_default();
                let shifted = |found: Found<'_>| Found {
                    at: found.at + base,
                    name: &text[found.at + base + 2..][..found.name.len()],
                    token: Token { start: found.token.start + base, end: found.token.end + base, ..found.token },
                };
                found.extend(find(dialect, query).into_iter().map(shifted));
            }
            _ => {
                // A name such as `t_${x}` ends in the dollar sign of the placeholder.
                let starts = part.match_indices('$').map(|(at, _)| at + token.start);
                found.extend(starts.filter_map(|at| {
                    let length = name_length(&text[at..])?;
                    Some(Found { at, name: &text[at + 2..at + 2 + length], token })
                }));
            }
        }
    }
    found
}

/// Returns the length of the name if a placeholder starts here.
fn name_length(text: &str) -> Option<usize> {
    let is_name = |c: char| c.is_alphanumeric() || "_.:-".contains(c);
    let name = text.strip_prefix("${")?.split_once('}').map(|(name, _)| name)?;
    let is_one = name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(is_name);
    is_one.then_some(name.len())
}

impl Found<'_> {
    fn end(&self) -> usize {
        self.at + 2 + self.name.len() + 1
    }

    fn source(&self, text: &str) -> String {
        text[self.at..self.end()].to_owned()
    }

    /// Returns the value as it is written at this place.
    fn fitted(&self, dialect: Dialect, text: &str, value: &str) -> Result<String, ScriptFault> {
        let refused = |why| Err(ScriptFault::PlaceholderValue(self.source(text), why));
        let token = &text[self.token.start..self.token.end];
        let is_unicode = text[..self.token.start].ends_with("U&") || text[..self.token.start].ends_with("u&");
        match (self.token.kind, token.as_bytes()[0]) {
            (TokenKind::Literal | TokenKind::QuotedName, _) if is_unicode => refused("it is in U&'…'"),
            (TokenKind::Literal, b'\'') => Ok(value.replace('\'', "''")),
            (TokenKind::Literal, b'e' | b'E') => {
                let before = &text[self.token.start..self.at];
                let backslashes = before.len() - before.trim_end_matches('\\').len();
                if backslashes % 2 == 1 {
                    return refused("a backslash stands before it");
                }
                Ok(value.replace('\\', "\\\\").replace('\'', "''"))
            }
            (TokenKind::QuotedName, b'[') if value.contains(']') => refused("it has a bracket"),
            (TokenKind::QuotedName, b'[') => Ok(value.to_owned()),
            (TokenKind::QuotedName, quote) => {
                let quote = char::from(quote);
                Ok(value.replace(quote, &format!("{quote}{quote}")))
            }
            (TokenKind::Literal, _) if !is_word(value) => {
                refused("in dollar quotes it must be letters, digits and underscores only")
            }
            (TokenKind::Literal, _) if self.could_be_tag(text) => refused("it would be a part of a dollar quote"),
            (TokenKind::Literal, _) => Ok(value.to_owned()),
            _ if !is_word(value) => refused("outside of quotes it must be letters, digits and underscores only"),
            _ if self.has_neighbour(dialect, text) => refused("a quote or a sign of a parameter stands next to it"),
            _ => Ok(value.to_owned()),
        }
    }

    /// Returns true if the value could become the name in `$name$`, which may end the literal.
    fn could_be_tag(&self, text: &str) -> bool {
        let before = text[..self.at].trim_end_matches(is_word_char);
        before.ends_with('$') && text[self.end()..].trim_start_matches(is_word_char).starts_with('$')
    }

    /// Returns true if what is next to it would read the value in another way: `E` before a quote, a name after `$`.
    fn has_neighbour(&self, dialect: Dialect, text: &str) -> bool {
        let (before, after) = (&text[..self.at], &text[self.end()..]);
        let is_next = after.starts_with(['\'', '"', '`', '&']) || (after.starts_with('$') && !after.starts_with("${"));
        let is_variable = dialect == Dialect::Sqlite && before.ends_with([':', '@', '#', '?']);
        is_next || is_variable || before.ends_with('$')
    }
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_word(value: &str) -> bool {
    !value.is_empty() && value.chars().all(is_word_char)
}

/// A text that is being filled.
struct Filling<'a> {
    text: &'a Arc<str>,
    out: String,
    /// The number of bytes of the text that are done.
    done: usize,
    spans: Vec<FilledSpan>,
    faults: Vec<FaultAt>,
}

impl Filling<'_> {
    fn put(&mut self, found: &Found<'_>, value: Result<String, ScriptFault>) {
        self.out.push_str(&self.text[self.done..found.at]);
        let start = self.out.len();
        let source = found.source(self.text);
        match value {
            Ok(value) => {
                self.out.push_str(&value);
                self.spans.push(FilledSpan { range: start..self.out.len(), source });
            }
            Err(fault) => {
                self.faults.push((fault, 1 + line_ends(&self.text[..found.at]), start));
                self.out.push_str(&source);
            }
        }
        self.done = found.end();
    }

    fn finish(mut self) -> Filled {
        if self.spans.is_empty() {
            return Filled { text: self.text.clone(), spans: Arc::default(), faults: self.faults };
        }
        self.out.push_str(&self.text[self.done..]);
        Filled { text: self.out.into(), spans: self.spans.into(), faults: self.faults }
    }
}

/// Returns the tokens that decide where statements and their parts end.
fn shape(dialect: Dialect, text: &str) -> Vec<TokenKind> {
    let is_part = |kind: &TokenKind| !matches!(kind, TokenKind::Word | TokenKind::Other | TokenKind::Blank);
    Lexer::new(dialect, text).map(|token| token.kind).filter(is_part).collect()
}

fn replace_ignoring_case(text: &str, part: &str, by: &str) -> String {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let is_short = part.chars().count() < HIDDEN_ANYWHERE_CHARS;
    // Only ASCII changes its case here, so offsets are the same.
    let (lower, part) = (text.to_ascii_lowercase(), part.to_ascii_lowercase());
    let (mut out, mut done) = (String::new(), 0);
    for (at, _) in lower.match_indices(&part) {
        let end = at + part.len();
        let is_in_word = text[..at].ends_with(is_name) || text[end..].starts_with(is_name);
        if !(is_short && is_in_word) {
            out.push_str(&text[done..at]);
            out.push_str(by);
            done = end;
        }
    }
    out.push_str(&text[done..]);
    out
}

#[cfg(test)]
mod tests {
    use Dialect::{Postgres, Sqlite};
    use proptest::prelude::*;

    use super::*;
    use crate::db::script::statement::statements;

    fn filled(dialect: Dialect, text: &str, value: &str) -> Result<String, ScriptFault> {
        let placeholders = Placeholders::new([("x".into(), value.into())].into()).unwrap();
        let filled = placeholders.fill(dialect, &text.into(), &[]);
        assert_eq!(as_written(&filled.text, &filled.spans, 0..filled.text.len()), text);
        match filled.faults.into_iter().next() {
            Some((fault, ..)) => Err(fault),
            None => Ok(filled.text.to_string()),
        }
    }

    #[test]
    fn values_are_escaped_where_they_stand() {
        for (text, value, expected) in [
            ("SELECT '${x}';", "it's; -- \\", "SELECT 'it''s; -- \\';"),
            ("SELECT \"${x}\";", "a\"b", "SELECT \"a\"\"b\";"),
            ("SELECT '''${x}''';", "'", "SELECT '''''''';"),
            ("CREATE TABLE t_${x} (a INT);", "1", "CREATE TABLE t_1 (a INT);"),
            ("GRANT SELECT ON t TO ${x}; -- ${y}", "app", "GRANT SELECT ON t TO app; -- ${y}"),
            ("-- Batch: SELECT id FROM ${x}\n", "t", "-- Batch: SELECT id FROM t\n"),
        ] {
            for dialect in [Sqlite, Postgres] {
                assert_eq!(filled(dialect, text, value).unwrap(), expected, "{dialect} {text}");
            }
        }
        assert_eq!(filled(Postgres, "SELECT E'\\\\${x}';", "'\\").unwrap(), "SELECT E'\\\\''\\\\';");
        assert_eq!(filled(Postgres, "DO $$ GRANT a TO ${x} $$;", "app").unwrap(), "DO $$ GRANT a TO app $$;");
        assert_eq!(filled(Postgres, "SELECT 1::${x};", "int").unwrap(), "SELECT 1::int;");
        assert_eq!(filled(Sqlite, "SELECT `${x}`, [${x}];", "a`b").unwrap(), "SELECT `a``b`, [a`b];");
    }

    #[test]
    fn values_that_could_change_a_statement_are_refused() {
        for value in ["", "a; DROP TABLE t", "a b", "--", "/*", "'", "a.b", "-1", "$$", "(", "a\"b"] {
            for (dialect, text) in
                [(Sqlite, "SELECT ${x};"), (Postgres, "SELECT ${x};"), (Postgres, "DO $a$ ${x} $a$;")]
            {
                let fault = filled(dialect, text, value).unwrap_err();
                assert!(matches!(fault, ScriptFault::PlaceholderValue(..)), "{value}: {fault}");
            }
        }
        for text in
            ["SELECT ${x}'\\';", "SELECT ${x}$$a$$;", "SELECT E'\\${x}';", "SELECT U&'${x}';", "SELECT ${x}&'a';"]
        {
            assert!(matches!(filled(Postgres, text, "E"), Err(ScriptFault::PlaceholderValue(..))), "{text}");
        }
        for text in ["DO $a$ $${x}$ $a$;", "DO $a$ $b${x}b$ $a$;", "DO $a$ $${x}${x}$ $a$;"] {
            assert!(matches!(filled(Postgres, text, "a"), Err(ScriptFault::PlaceholderValue(..))), "{text}");
        }
        for text in ["SELECT :${x};", "SELECT @${x};", "SELECT $${x};"] {
            assert!(matches!(filled(Sqlite, text, "a"), Err(ScriptFault::PlaceholderValue(..))), "{text}");
        }
        assert!(filled(Sqlite, "SELECT [${x}];", "a]").is_err());
        // The word makes data of the lines that follow it.
        assert!(filled(Postgres, "COPY t FROM ${x};\nSELECT 1;\n\\.\n", "STDIN").is_err());
        assert_eq!(filled(Sqlite, "SELECT ${y.z};", "a"), Err(ScriptFault::UnknownPlaceholder("${y.z}".into())));
        for value in ["a\nb", "a\0", "\u{85}"] {
            let error = Placeholders::new([("x".into(), value.into())].into()).unwrap_err().to_string();
            assert!(error.contains("placeholder x") && !error.contains(value), "{error}");
        }
        assert!(Placeholders::new([("a b".into(), String::new())].into()).is_err());
    }

    proptest! {
        #[test]
        fn a_value_that_is_accepted_leaves_the_statements_as_they_are(
            parts in prop::collection::vec(prop::sample::select(PARTS), 1..9),
            value in "[aE1_&U'\"`;$:\\\\/*()\\[\\]. -]{0,6}",
        ) {
            let text = parts.concat();
            for dialect in [Sqlite, Postgres] {
                // Lines of the statements show that none begins or ends elsewhere.
                let lines = |text: &str| statements(dialect, text).iter().map(|found| found.line).collect::<Vec<_>>();
                let (Ok(plain), Ok(filled)) = (filled(dialect, &text, "word"), filled(dialect, &text, &value)) else { continue };
                prop_assert_eq!(lines(&filled), lines(&plain), "{} with {}", text, value);
            }
        }
    }

    /// Parts of scripts in which values may do harm.
    const PARTS: &[&str] = &[
        "SELECT ",
        "'${x}'",
        "'a''${x}",
        "'",
        "E'\\n${x}'",
        "\"${x}\"",
        "[${x}]",
        "$$ ${x} $$",
        "$a$",
        "${x}",
        "t_${x}",
        "::${x}",
        ";\n",
        "\n",
        "-- ${x}\n",
        "/* ${x} */",
        ", ",
        "(",
        ")",
        "-",
    ];

    #[test]
    fn values_are_hidden_in_what_is_shown() {
        let values = [("a", "Secret'Word"), ("b", "x"), ("c", "secret"), ("d", "")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let placeholders = Placeholders::new(values.into()).unwrap();
        let shown = placeholders.hide("role \"SECRET\" in 'secret''word', x but not next, Secret'Word");
        assert_eq!(shown, "role \"${c}\" in '${a}', ${b} but not next, ${a}");
        assert!(!format!("{placeholders:?}").to_lowercase().contains("secret"));
    }
}
