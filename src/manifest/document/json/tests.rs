use super::*;
use crate::manifest::document::error_codes::ErrorCode;

fn parse(text: &str) -> Document<'_> {
    Document::parse(text.as_bytes(), &ReadOptions::default()).unwrap()
}

fn fault(bytes: &[u8]) -> (ErrorCode, u64, u64, u64) {
    let fault = Document::parse(bytes, &ReadOptions::default()).unwrap_err();
    let place = fault.position(bytes);
    (fault.code, place.offset, place.line, place.column)
}

fn canonical(text: &str) -> String {
    let mut out = Vec::new();
    push_canonical(&mut out, parse(text).root());
    String::from_utf8(out).unwrap()
}

fn laid_out(text: &str, numbers: Numbers) -> String {
    let mut out = Vec::new();
    push_formatted(&mut out, parse(text).root(), Formatting { numbers, final_newline: false });
    String::from_utf8(out).unwrap()
}

#[test]
fn numbers_keep_their_lexemes_on_disk_and_have_one_text_in_checksums() {
    let text = "[1E5, 1e400, 12345678901234567890, 0.1000, -0, -0.0, 1e-7, 1e16, 123456789012345.6, 5e-324]";
    let lexemes = laid_out(text, Numbers::Lexemes);
    assert_eq!(lexemes.split_whitespace().collect::<String>(), text.replace(' ', ""));
    let checksum = "[100000.0, 1e400, 12345678901234567890, 0.1, 0, -0.0, 1e-07, 1e+16, 123456789012345.6, 5e-324]";
    assert_eq!(canonical(text), checksum);
}

#[test]
fn a_reserved_key_of_other_parsers_is_a_key() {
    let text = r#"{"$serde_json::private::Number": "1", "$serde_json::private::RawValue": "2"}"#;
    assert_eq!(canonical(text), text);
}

#[test]
fn keys_are_sorted_by_code_point_whatever_their_escapes() {
    assert_eq!(
        canonical(r#"{"b": 1, "\u0061": 2, "😀": 3, "\uffff": 4, "": 5}"#),
        r#"{"": 5, "a": 2, "b": 1, "\uffff": 4, "\ud83d\ude00": 3}"#
    );
}

#[test]
fn the_layout_is_that_of_the_original() {
    let text = "{\"b\": [1, {\"x\": null}], \"a\": {}, \"c\": [], \"d\": \"é\\u001f\\u007f\\u2028\\/\"}";
    let expected = "{\n  \"a\": {},\n  \"b\": [\n    1,\n    {\n      \"x\": null\n    }\n  ],\n  \"c\": [],\n  \"d\": \"é\\u001f\u{7f}\u{2028}/\"\n}";
    assert_eq!(laid_out(text, Numbers::Values), expected);
}

#[test]
fn each_fault_has_its_code_and_place() {
    for (bytes, expected) in [
        (&b""[..], (ErrorCode::Empty, 0, 1, 1)),
        (b" \n\t", (ErrorCode::Empty, 3, 2, 2)),
        (b"\xef\xbb\xbf{}", (ErrorCode::Bom, 0, 1, 1)),
        (b"{\n \"a\xff\": 1}", (ErrorCode::Encoding, 5, 2, 4)),
        (b"{\"a\": 01}", (ErrorCode::Json, 7, 1, 8)),
        (b"{} x", (ErrorCode::Json, 3, 1, 4)),
        (b"[1,]", (ErrorCode::Json, 3, 1, 4)),
        (b"[\"\x01\"]", (ErrorCode::Json, 2, 1, 3)),
        (b"[\"\\x\"]", (ErrorCode::Json, 2, 1, 3)),
        (b"[+1]", (ErrorCode::Json, 1, 1, 2)),
        (b"[1.]", (ErrorCode::Json, 3, 1, 4)),
        (b"[-]", (ErrorCode::Json, 2, 1, 3)),
        (b"[tru]", (ErrorCode::Json, 1, 1, 2)),
        (b"{\"a\" 1}", (ErrorCode::Json, 5, 1, 6)),
        (b"[\"abc", (ErrorCode::Json, 5, 1, 6)),
        (b"{\"\xc3\xa9\": NaN}", (ErrorCode::Nonfinite, 7, 1, 7)),
        (b"[-Infinity]", (ErrorCode::Nonfinite, 1, 1, 2)),
        (b"[\"\\ud800\"]", (ErrorCode::Surrogate, 2, 1, 3)),
        (b"[\"\\ud800\\u0041\"]", (ErrorCode::Surrogate, 2, 1, 3)),
        (b"[\"\\udc00\"]", (ErrorCode::Surrogate, 2, 1, 3)),
        (b"{\"a\": 1,\n\"\\u0061\": 2}", (ErrorCode::DuplicateKey, 9, 2, 1)),
    ] {
        assert_eq!(fault(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn depth_is_bounded_and_not_by_the_stack() {
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(canonical(&deep(1000)), deep(1000));
    assert_eq!(fault(deep(1001).as_bytes()), (ErrorCode::Depth, 1000, 1, 1001));
    let options = ReadOptions { depth_max: usize::MAX, ..ReadOptions::default() };
    let text = deep(1_000_000);
    let document = Document::parse(text.as_bytes(), &options).unwrap();
    let mut out = Vec::new();
    push_canonical(&mut out, document.root());
    assert_eq!(out, text.as_bytes());
    assert!(is_equal(document.root(), document.root(), Numbers::Lexemes));
}

#[test]
fn a_mark_is_stripped_and_the_last_member_wins_on_request() {
    let options = ReadOptions { bom_strip: true, last_member_wins: true, ..ReadOptions::default() };
    let document = Document::parse(b"\xef\xbb\xbf{\"a\": 1, \"b\": 2, \"a\": 3, \"a\": 4}", &options).unwrap();
    let mut out = Vec::new();
    push_canonical(&mut out, document.root());
    assert_eq!(out, b"{\"a\": 4, \"b\": 2}");
}

#[test]
fn compat_refuses_numbers_that_the_original_cannot_keep() {
    let options = ReadOptions { compat_numbers: true, ..ReadOptions::default() };
    let code = |text: &str| Document::parse(text.as_bytes(), &options).map(|_| ()).map_err(|fault| fault.code);
    assert_eq!(code("[-1e309]"), Err(ErrorCode::Nonfinite));
    assert_eq!(code(&format!("[-{}]", "1".repeat(4301))), Err(ErrorCode::Number));
    assert_eq!(code(&format!("[-{}, 1e308]", "1".repeat(4300))), Ok(()));
}

#[test]
fn edits_leave_the_old_value_standing() {
    let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
    let mut document = parse(r#"{"a": {"x": 1}, "z": [1]}"#);
    let root = document.root().id();
    let two = document.parse_fragment("[2, \"é\"]").unwrap();
    let edited = document.with(root, &path("a.b.c"), two).unwrap().unwrap();
    let edited = document.without(edited, &path("a.x")).unwrap();
    let array = document.value(edited).get("z").unwrap().id();
    let longer = document.with_item(array, two);
    let edited = document.with(edited, &path("z"), longer).unwrap().unwrap();
    let text = |document: &Document<'_>, id| {
        let mut out = Vec::new();
        push_canonical(&mut out, document.value(id));
        String::from_utf8(out).unwrap()
    };
    assert_eq!(text(&document, edited), r#"{"a": {"b": {"c": [2, "\u00e9"]}}, "z": [1, [2, "\u00e9"]]}"#);
    assert_eq!(text(&document, root), r#"{"a": {"x": 1}, "z": [1]}"#);
    assert_eq!(document.with(root, &path("z.q"), two).unwrap(), None);
    assert_eq!(document.without(root, &path("q.r")).unwrap(), root);
}

#[test]
fn differences_are_named() {
    let difference = |a, b, numbers| first_difference(parse(a).root(), parse(b).root(), numbers);
    assert_eq!(difference(r#"{"a": 1e5, "b": "x"}"#, r#"{"a": 100000.0, "b": "\u0078"}"#, Numbers::Values), None);
    assert_eq!(difference(r#"{"a": 1e5}"#, r#"{"a": 100000.0}"#, Numbers::Lexemes), Some("a".into()));
    assert_eq!(
        difference(r#"{"a": 1, "c": [{"d": 1}]}"#, r#"{"a": 1, "c": [{"d": 2}]}"#, Numbers::Values),
        Some("c".into())
    );
    assert_eq!(difference(r#"{"a": 1}"#, r#"{"a": 1, "b": 1}"#, Numbers::Values), Some("b".into()));
}
