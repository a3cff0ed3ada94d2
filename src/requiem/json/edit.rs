//! Edits of one member that leave every byte outside of it as it is.

use super::value::{Json, Member};

/// Returns the document with one more member at the end of `object`, laid out like the member before it. `name` needs
/// no escape, and `value` is a JSON text.
///
/// # Panics
/// If `object` is not an object.
pub fn append_member(object: Json<'_>, name: &str, value: &str) -> Vec<u8> {
    assert!(object.is_object(), "members are of objects");
    let text = object.text;
    match object.members().last() {
        None => splice(text, object.start + 1..object.start + 1, &format!("\"{name}\":{value}")),
        Some(Member { name: last, value: end }) => {
            let blank_before = text[..last.start].iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
            let blank = lossless(&text[last.start - blank_before..last.start]);
            let colon = lossless(&text[last.end..end.start]);
            splice(text, end.end..end.end, &format!(",{blank}\"{name}\"{colon}{value}"))
        }
    }
}

/// Returns the document without the member `name` of `object`, its comma and its white space; the same document if
/// `object` has no such member.
pub fn remove_member(object: Json<'_>, name: &str) -> Vec<u8> {
    let members: Vec<_> = object.members().collect();
    // The member is found by the position of its value, because its name may be written in several ways.
    let value = object.get(name).map(|value| value.start);
    let Some(index) = members.iter().position(|member| Some(member.value.start) == value) else {
        return object.text.to_vec();
    };
    let removed = match (members.get(index.wrapping_sub(1)), members.get(index + 1)) {
        (_, Some(next)) => members[index].name.start..next.name.start,
        (Some(previous), None) => previous.value.end..members[index].value.end,
        (None, None) => members[index].name.start..members[index].value.end,
    };
    splice(object.text, removed, "")
}

fn splice(text: &[u8], range: std::ops::Range<usize>, with: &str) -> Vec<u8> {
    [&text[..range.start], with.as_bytes(), &text[range.end..]].concat()
}

/// White space and colons are ASCII.
fn lossless(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("blanks and a colon")
}
