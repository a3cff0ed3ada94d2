use proptest::prelude::*;

use super::object_record::NumberText;
use super::*;
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Key;

const SAMPLE: &str = r#"{"digest":"888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d","encoding":"identity","original_size":5,"stored_size":5,"stored_blob_hash":"ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f","created_at":1795207503}"#;

fn sample() -> ObjectRecord {
    let key = |text: &str| Key::parse(text.as_bytes()).expect("a key");
    ObjectRecord {
        digest: key("888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d"),
        encoding: Encoding::Identity,
        original_size: 5,
        stored_size: 5,
        stored_blob_hash: key("ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"),
        created_at: 1795207503,
    }
}

fn json(record: &ObjectRecord) -> Vec<u8> {
    let mut text = Vec::new();
    record.push_json(&mut text);
    text
}

fn without_created_at(record: &ObjectRecord) -> Vec<u8> {
    let mut text = Vec::new();
    record.push_json_without_created_at(&mut text);
    text
}

fn fault(text: impl AsRef<[u8]>) -> RecordFault {
    parse(text.as_ref()).expect_err("a fault")
}

#[test]
fn the_bytes_are_those_of_the_specification() {
    assert_eq!(String::from_utf8(json(&sample())).unwrap(), SAMPLE);
    let expected = SAMPLE.replace(",\"created_at\":1795207503", "");
    assert_eq!(String::from_utf8(without_created_at(&sample())).unwrap(), expected);
}

#[test]
fn numbers_are_written_whole() {
    for number in [0, 9, 10, 1_234_567, u64::MAX] {
        assert_eq!(NumberText::default().digits(number), number.to_string().as_bytes());
    }
}

#[test]
fn what_the_reference_accepts_is_read() {
    let accepted = [
        SAMPLE.to_owned(),
        format!("{SAMPLE}\n"),
        format!("  {}\r\n", SAMPLE.replace(',', " ,\n\t")),
        SAMPLE.replace("{", r#"{"extra":{"a":[1,-2.5,null,true,{"b":"\u00e9"}],"b":2},"#),
        SAMPLE.replace("identity", r"identit\u0079").replace("digest", r"diges\u0074"),
        {
            let (head, tail) = SAMPLE.split_once("\"encoding\"").unwrap();
            format!("{{\"encoding\"{},{}}}", tail.strip_suffix('}').unwrap(), &head[1..head.len() - 1])
        },
    ];
    for (number, text) in accepted.iter().enumerate() {
        let parsed = parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!((parsed.record, parsed.created_at_present), (sample(), true), "{text}");
        assert_eq!(parsed.is_canonical, number == 0, "{text}");
        assert_eq!(parse_hint(text.as_bytes()).fault, None);
    }
}

#[test]
fn an_unknown_age_differs_from_the_age_zero() {
    let unknown = parse(&without_created_at(&sample())).unwrap();
    let zero = ObjectRecord { created_at: 0, ..sample() };
    assert_eq!(unknown, Parsed { record: zero, created_at_present: false, is_canonical: true });
    assert_eq!(parse(&json(&zero)).unwrap(), Parsed { record: zero, created_at_present: true, is_canonical: true });
}

#[test]
fn what_is_no_object_is_a_fault() {
    assert_eq!(fault(""), RecordFault::Empty);
    assert_eq!(fault(" \n"), RecordFault::Empty);
    assert_eq!(fault(vec![b' '; RECORD_BYTES_MAX + 1]), RecordFault::TooLong);
    assert_eq!(fault(b"{\"digest\":\"\xff\"}"), RecordFault::NotUtf8 { offset: 11 });
    assert_eq!(fault(format!("{SAMPLE} {SAMPLE}")), RecordFault::TrailingData { offset: SAMPLE.len() + 1 });
    for text in ["[]", "null", "7", "\"digest\"", "\u{feff}{}", "{1:2}", "{\"a\":1,}", "{'a':1}", &SAMPLE[..100]] {
        assert!(matches!(fault(text), RecordFault::NotAnObject { .. }), "{text}: {}", fault(text));
    }
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(1000), "]".repeat(1000));
    assert!(matches!(fault(deep), RecordFault::NotAnObject { .. }));
    let second_line = fault("{\n\"digest\": nothing}");
    let expected = "it is not a JSON object: expected ident at offset 13";
    assert_eq!(second_line.to_string(), expected);
}

#[test]
fn a_key_that_stands_twice_is_a_fault_wherever_it_stands() {
    let twice = |key: &str| RecordFault::DuplicateKey { key: key.into() };
    assert_eq!(fault(SAMPLE.replace('{', "{\"created_at\":1795207503,")), twice("created_at"));
    assert_eq!(fault(SAMPLE.replace('{', "{\"x\":1,\"\\u0078\":1,")), twice("x"));
    assert_eq!(fault(SAMPLE.replace('{', "{\"x\":[{\"y\":1,\"y\":1}],")), twice("y"));
    let long = "k".repeat(1000);
    assert_eq!(fault(SAMPLE.replace('{', &format!("{{\"{long}\":1,\"{long}\":1,"))), twice(&long[..64]));
}

#[test]
fn each_value_is_checked() {
    let changed = |old: &str, new: &str| {
        assert!(SAMPLE.contains(old));
        fault(SAMPLE.replace(old, new))
    };
    for field in ["digest", "encoding", "original_size", "stored_size", "stored_blob_hash"] {
        let missing = changed(&format!("\"{field}\""), "\"other\"").to_string();
        assert_eq!(missing, format!("the key {field} is missing"));
    }
    for digest in ["888C953E", "888c953", "888c953e0", "xyzw953e"] {
        assert_eq!(changed("888c953e", digest), RecordFault::NotADigest(Field::Digest));
    }
    assert_eq!(changed("\"digest\":\"", "\"digest\":7,\"x\":\""), RecordFault::NotADigest(Field::Digest));
    assert_eq!(changed("ea8f", "EA8F"), RecordFault::NotADigest(Field::StoredBlobHash));
    for encoding in ["\"gzip\"", "\"Identity\"", "\"\"", "0", "null"] {
        assert_eq!(changed("\"identity\"", encoding), RecordFault::UnknownEncoding);
    }
    for number in ["-1", "5.0", "5e0", "\"5\"", "null", "true", "18446744073709551616", "-0", "[5]"] {
        let in_size = changed("\"stored_size\":5", &format!("\"stored_size\":{number}"));
        assert_eq!(in_size, RecordFault::NotANumber(Field::StoredSize), "{number}");
        assert_eq!(changed("1795207503", number), RecordFault::NotANumber(Field::CreatedAt), "{number}");
    }
}

#[test]
fn a_hint_keeps_every_value_that_can_be_read() {
    let whole = parse_hint(SAMPLE.as_bytes());
    assert_eq!((whole.digest, whole.encoding), (Some(sample().digest), Some(Encoding::Identity)));
    assert_eq!((whole.original_size, whole.stored_size), (Some(5), Some(5)));
    assert_eq!((whole.stored_blob_hash, whole.created_at), (Some(sample().stored_blob_hash), Some(1795207503)));

    let early = parse_hint(&without_created_at(&sample()));
    assert_eq!(early, Hint { created_at: None, ..whole.clone() });

    let partial = parse_hint(br#"{"encoding":"zstd","original_size":-5,"created_at":7}"#);
    let fault = Some(RecordFault::MissingKey(Field::Digest));
    let expected = Hint { encoding: Some(Encoding::Zstd), created_at: Some(7), fault, ..Hint::default() };
    assert_eq!(partial, expected);

    let twice = parse_hint(br#"{"encoding":"zstd","created_at":7,"created_at":8}"#);
    assert_eq!((twice.encoding, twice.created_at), (Some(Encoding::Zstd), None));
    for torn in [&SAMPLE[..SAMPLE.len() - 1], "", "[]"] {
        let hint = parse_hint(torn.as_bytes());
        assert!(hint.fault.is_some());
        assert_eq!(hint, Hint { fault: hint.fault.clone(), ..Hint::default() });
    }
}

prop_compose! {
    fn any_record()(
        digest: [u8; 32],
        is_zstd: bool,
        original_size: u64,
        stored_size: u64,
        stored_blob_hash: [u8; 32],
        created_at in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
    ) -> ObjectRecord {
        let encoding = if is_zstd { Encoding::Zstd } else { Encoding::Identity };
        let (digest, stored_blob_hash) = (Key(digest), Key(stored_blob_hash));
        ObjectRecord { digest, encoding, original_size, stored_size, stored_blob_hash, created_at }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(record in any_record()) {
        let parsed = parse(&json(&record)).unwrap();
        prop_assert_eq!(parsed, Parsed { record, created_at_present: true, is_canonical: true });
        let early = parse(&without_created_at(&record)).unwrap();
        let record = ObjectRecord { created_at: 0, ..record };
        prop_assert_eq!(early, Parsed { record, created_at_present: false, is_canonical: true });
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in "[\\[\\]{}\",:0-9a-f\\\\ \n]{0,60}") {
        for bytes in [&*bytes, text.as_bytes()] {
            let hint = parse_hint(bytes);
            prop_assert_eq!(parse(bytes).err(), hint.fault);
        }
    }

    /// No change of a byte goes unseen: it is a fault, or another record, or the same in another writing.
    #[test]
    fn every_flip_of_a_byte_is_seen(record in any_record(), flip in 1_u8..) {
        for text in [json(&record), without_created_at(&record)] {
            for at in 0..text.len() {
                let mut flipped = text.clone();
                flipped[at] ^= flip;
                let Ok(parsed) = parse(&flipped) else { continue };
                prop_assert!(!parsed.is_canonical || json(&parsed.record) != text);
                prop_assert!(!parsed.is_canonical || without_created_at(&parsed.record) != text);
            }
        }
    }
}
