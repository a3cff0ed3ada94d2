use proptest::prelude::*;
use serde::de::IgnoredAny;

use super::*;

fn error(text: &[u8]) -> (u64, &'static str) {
    let error = Json::parse(text).expect_err("no document");
    (error.offset, error.what)
}

#[test]
fn a_text_that_is_no_document_is_refused_with_its_offset() {
    for (text, offset, what) in [
        (&b""[..], 0, "the text ends where a value is expected"),
        (b" {", 2, "expected the name of a member"),
        (b"{}{}", 2, "more text after the value"),
        (b"\xef\xbb\xbf{}", 0, "no value begins here"),
        (b"{\"a\" 1}", 5, "expected a colon"),
        (b"{\"a\":1 \"b\"", 7, "expected a comma or the end of the object"),
        (b"{\"a\":1,}", 7, "expected the name of a member"),
        (b"[1,]", 3, "no value begins here"),
        (b"[1 2]", 3, "expected a comma or the end of the array"),
        (b"\"a", 2, "the text ends inside a string"),
        (b"\"\\", 1, "the text ends inside a string"),
        (b"\"\\x\"", 1, "unknown escape"),
        (b"\"\\u12g4\"", 1, "\\u without its four digits"),
        (b"\"\\u12", 1, "\\u without its four digits"),
        (b"01", 1, "more text after the value"),
        (b"-", 1, "expected a digit"),
        (b"1.", 2, "expected a digit"),
        (b"1e+", 3, "expected a digit"),
        (b"trve", 0, "no value begins here"),
        (b"NaN", 0, "no value begins here"),
        (b"{\"a\":1,\"b\":{\"c\":1,\"c\":2}}", 18, "duplicate name"),
        (b"{\"a\":1,\"\\u0061\":2}", 7, "duplicate name"),
        (b"{\"u0061\":1,\"\\u0061\":2}", 11, "duplicate name"),
    ] {
        assert_eq!(error(text), (offset, what), "{}", text.escape_ascii());
    }
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    Json::parse(nested(128).as_bytes()).unwrap();
    assert_eq!(error(nested(129).as_bytes()), (128, "arrays and objects are nested too deep"));
    assert_eq!(error("[".repeat(1 << 20).as_bytes()).0, 128);
}

#[test]
fn strings_are_read_in_both_ways() {
    let read = |text: &str, reading| {
        let bytes = Json::parse(text.as_bytes()).unwrap().string(reading).unwrap().into_owned();
        String::from_utf8(bytes).unwrap()
    };
    for (text, standard, reference) in [
        (r#""plain""#, "plain", "plain"),
        (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t", "\"\\/\u{8}\u{c}\n\r\t"),
        (r#""caf\u00e9!""#, "café!", "cafu00e9!"),
        (r#""\uD83D\uDE80""#, "🚀", "uD83DuDE80"),
        (r#""\ud83dx\ude80""#, "\u{fffd}x\u{fffd}", "ud83dxude80"),
        (r#""\ud83d\u0041""#, "\u{fffd}A", "ud83du0041"),
    ] {
        assert_eq!(read(text, Reading::Standard), standard);
        assert_eq!(read(text, Reading::Reference), reference);
    }
    // What the reference writes into results.
    assert_eq!(
        Json::parse(b"\"\x1b[1m\xff\"").unwrap().string(Reading::Standard).as_deref(),
        Some(&b"\x1b[1m\xff"[..])
    );
}

#[test]
fn values_are_found_where_they_stand() {
    let text = br#" {"a": [1, "x,]}", {"b": -0.5e3}] , "c":{},"d":true,"e":12,"\u0066":null} "#;
    let root = Json::parse(text).unwrap();
    let names: Vec<_> = root.members().map(|member| (member.name.raw(), member.value.raw())).collect();
    assert_eq!(
        names,
        [
            (&br#""a""#[..], &br#"[1, "x,]}", {"b": -0.5e3}]"#[..]),
            (br#""c""#, b"{}"),
            (br#""d""#, b"true"),
            (br#""e""#, b"12"),
            (br#""\u0066""#, b"null"),
        ]
    );
    let items: Vec<_> = root.get("a").unwrap().items().map(Json::raw).collect();
    assert_eq!(items, [&b"1"[..], br#""x,]}""#, br#"{"b": -0.5e3}"#]);
    assert_eq!(root.get("a").unwrap().offset(), 7);
    assert_eq!((root.get("d").unwrap().bool(), root.get("e").unwrap().integer()), (Some(true), Some(12)));
    assert!(root.get("u0066").is_some() && root.get("f").is_none());
    assert_eq!(root.items().count() + root.get("a").unwrap().members().count(), 0);
}

#[test]
fn integers_are_whole_numbers_that_fit() {
    let integer = |text: &str| Json::parse(text.as_bytes()).unwrap().integer();
    assert_eq!(
        ["0", "-7", "9223372036854775807", "9223372036854775808", "1.0", "1e2", "-0", "\"1\""].map(integer),
        [Some(0), Some(-7), Some(i64::MAX), None, None, None, None, None]
    );
}

#[test]
fn a_member_is_appended_in_the_style_of_its_neighbours() {
    for (before, after) in [
        (r#"{}"#, r#"{"n":1}"#),
        ("{\n}\n", "{\"n\":1\n}\n"),
        (r#"{"a":2}"#, r#"{"a":2,"n":1}"#),
        (r#"{"a": 2, "b" : 3 }"#, r#"{"a": 2, "b" : 3, "n" : 1 }"#),
        ("{\r\n\t\"a\": [\r\n]\r\n}", "{\r\n\t\"a\": [\r\n],\r\n\t\"n\": 1\r\n}"),
    ] {
        let text = append_member(Json::parse(before.as_bytes()).unwrap(), "n", "1");
        assert_eq!(String::from_utf8(text).unwrap(), after);
    }
}

#[test]
fn a_member_is_removed_with_its_comma() {
    for (before, after) in [
        (r#"{"n":1}"#, r#"{}"#),
        (r#"{ "n":1 }"#, r#"{  }"#),
        (r#"{"n":1,"a":2}"#, r#"{"a":2}"#),
        (r#"{"a":2,"n":1}"#, r#"{"a":2}"#),
        ("{\n  \"a\":2,\n  \"n\":1,\n  \"b\":{\"n\":3}\n}", "{\n  \"a\":2,\n  \"b\":{\"n\":3}\n}"),
        (r#"{"a":{"n":1}}"#, r#"{"a":{"n":1}}"#),
    ] {
        let text = remove_member(Json::parse(before.as_bytes()).unwrap(), "n");
        assert_eq!(String::from_utf8(text).unwrap(), after);
    }
}

/// Pieces of documents, whole and broken.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just(" "),
        Just("\n"),
        Just("\"a\""),
        Just("\"b\""),
        Just("\"\\u0061\""),
        Just("\"\\"),
        Just("\""),
        Just("\\"),
        Just("é"),
        Just("-1"),
        Just("0"),
        Just("2.5"),
        Just("1e9"),
        Just("."),
        Just("true"),
        Just("null"),
        Just("fals"),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        prop_oneof![Just(0.5), Just(-2.25e30)].prop_map(Into::into),
        "\\PC{0,8}|[\"\\\\/\n\t]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            proptest::collection::btree_map("[a-z\"\\\\é]{0,3}", inner, 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Reads a value through this module and back into the other's form.
fn converted(json: Json<'_>) -> serde_json::Value {
    let text = |json: Json<'_>| String::from_utf8(json.string(Reading::Standard).unwrap().into_owned()).unwrap();
    match json.raw()[0] {
        b'{' => json.members().map(|member| (text(member.name), converted(member.value))).collect(),
        b'[' => json.items().map(converted).collect::<Vec<_>>().into(),
        b'"' => text(json).into(),
        _ => serde_json::from_slice(json.raw()).unwrap(),
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_give_a_document_or_an_error(bytes: Vec<u8>) {
        if let Err(error) = Json::parse(&bytes) {
            prop_assert!(error.offset <= bytes.len() as u64);
        }
    }

    #[test]
    fn the_grammar_is_that_of_another_parser(bytes in near_json()) {
        let other = serde_json::from_slice::<IgnoredAny>(&bytes);
        match Json::parse(&bytes) {
            Ok(json) => {
                // A control character in a string is all that is taken besides.
                let escaped = json.raw().iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte });
                let escaped: Vec<_> = escaped.collect();
                prop_assert!(serde_json::from_slice::<IgnoredAny>(&escaped).is_ok());
            }
            Err(error) => prop_assert!(other.is_err() || error.what == "duplicate name", "{}", error),
        }
    }

    #[test]
    fn documents_are_read_as_another_parser_reads_them(value in any_value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(converted(Json::parse(text.as_bytes()).unwrap()), serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }

    #[test]
    fn an_appended_member_is_the_only_change(value in any_value(), pretty: bool) {
        let serde_json::Value::Object(mut members) = value else { return Ok(()) };
        members.remove("new name");
        let text = if pretty { serde_json::to_string_pretty(&members) } else { serde_json::to_string(&members) }.unwrap();
        let appended = append_member(Json::parse(text.as_bytes()).unwrap(), "new name", "[1]");
        let removed = remove_member(Json::parse(&appended).unwrap(), "new name");
        prop_assert_eq!(String::from_utf8(removed).unwrap(), text);
        members.insert("new name".into(), serde_json::json!([1]));
        prop_assert_eq!(converted(Json::parse(&appended).unwrap()), serde_json::Value::Object(members));
    }
}
