//! Comparison of values.

use super::document::Value;
use super::node::Kind;
use super::{number, string};

/// How numbers are compared and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// By their text: `1e5` is not `100000.0`.
    Lexemes,
    /// By their canonical text.
    Values,
}

/// Returns true if two values, of one document or of two, are equal.
pub fn is_equal(a: Value<'_>, b: Value<'_>, numbers: Numbers) -> bool {
    let (first, second) = (a, b);
    // Pairs of ids take an eighth of what pairs of values do, which counts where there are millions.
    let mut pairs = vec![(a.id(), b.id())];
    while let Some((a, b)) = pairs.pop() {
        let (a, b) = (first.at(a), second.at(b));
        let is_same = match (a.kind(), b.kind()) {
            (Kind::Object, Kind::Object) => {
                let (own, other) = (a.members(), b.members());
                let is_same =
                    own.len() == other.len() && own.clone().zip(other.clone()).all(|(a, b)| is_same_text(a.0, b.0));
                pairs.extend(own.zip(other).map(|(a, b)| (a.1.id(), b.1.id())));
                is_same
            }
            (Kind::Array, Kind::Array) => {
                let is_same = a.items().len() == b.items().len();
                pairs.extend(a.items().zip(b.items()).map(|(a, b)| (a.id(), b.id())));
                is_same
            }
            (Kind::String, Kind::String) => is_same_text(a, b),
            (Kind::Integer | Kind::Float, Kind::Integer | Kind::Float) => is_same_number(a, b, numbers),
            (a, b) => a == b,
        };
        if !is_same {
            return false;
        }
    }
    true
}

fn is_same_text(a: Value<'_>, b: Value<'_>) -> bool {
    let name = |value: Value<'_>| value.node().flags;
    string::Name { lexeme: a.lexeme(), flags: name(a) } == string::Name { lexeme: b.lexeme(), flags: name(b) }
}

fn is_same_number(a: Value<'_>, b: Value<'_>, numbers: Numbers) -> bool {
    let canonical = |value: Value<'_>| {
        let mut text = Vec::new();
        number::push_canonical(&mut text, value.kind(), value.lexeme());
        text
    };
    a.lexeme() == b.lexeme() || (numbers == Numbers::Values && canonical(a) == canonical(b))
}

/// Returns the name of the first member in which two objects differ, or `None` if they are equal.
pub fn first_difference(a: Value<'_>, b: Value<'_>, numbers: Numbers) -> Option<String> {
    let text = |value: Value<'_>| value.as_str().map(|text| text.into_owned());
    let (mut own, mut other) = (a.members().peekable(), b.members().peekable());
    loop {
        match (own.next(), other.next()) {
            (None, None) => return None,
            (Some((key, _)), None) | (None, Some((key, _))) => return text(key),
            (Some((a_key, a)), Some((b_key, b))) => {
                if !is_same_text(a_key, b_key) {
                    return text(a_key).min(text(b_key));
                }
                if !is_equal(a, b, numbers) {
                    return text(a_key);
                }
            }
        }
    }
}
