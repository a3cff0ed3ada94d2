//! Any bytes are JSON to haul where they are JSON to another parser, mean the same, and are read back as what is written.

use haul::manifest::document::json::{
    Document, Formatting, Numbers, ReadOptions, is_equal, push_canonical, push_formatted,
};
use haul::manifest::{ErrorCode, NoInputs, Registry, TransformOptions, Transformer, Verdict, prove};
use serde_json::Value as Json;
use std::sync::{Arc, LazyLock};

static TRANSFORMER: LazyLock<Transformer> = LazyLock::new(|| {
    let registry = Arc::new(Registry::built_in());
    let options = TransformOptions { shape_any: true, accept_incomplete: true, ..TransformOptions::default() };
    let now = "2026-03-01T12:34:56Z".parse().expect("an instant");
    let target = registry.latest();
    let registry = prove(registry).expect("built-in steps fit together");
    Transformer::new(registry, target, now, options).expect("a known version")
});

pub fn fuzz(bytes: &[u8]) {
    // The other parser stops at 128 levels and takes the last of members with one name.
    let options = ReadOptions { depth_max: 127, last_member_wins: true, ..ReadOptions::default() };
    let own = Document::parse(bytes, &options);
    let other = serde_json::from_slice::<Json>(bytes);
    match (&own, &other) {
        (Ok(own), Ok(other)) => check_same(own, other),
        (Ok(_), Err(error)) => assert!(error.to_string().contains("out of range"), "{error}"),
        (Err(fault), Ok(_)) => panic!("{fault}"),
        (Err(fault), Err(_)) => assert!(fault.offset <= bytes.len()),
    }
    if let Ok(own) = &own {
        check_written(own);
    }
    check_verdict(bytes);
}

/// What is written, as it was or for a checksum, means to the other parser what it means to it as it was read.
fn check_same(own: &Document<'_>, other: &Json) {
    let mut text = Vec::new();
    push_formatted(&mut text, own.root(), Formatting { numbers: Numbers::Lexemes, final_newline: true });
    assert_eq!(&serde_json::from_slice::<Json>(&text).expect("the numbers are as they were"), other);
    text.clear();
    push_canonical(&mut text, own.root());
    // A checksum is made of numbers as Python writes them: some are out of the other parser's range.
    if let Ok(again) = serde_json::from_slice::<Json>(&text) {
        assert!(is_same(&again, other), "{again} is not {other}");
    }
}

/// Numbers by value: the integer `-0` is written `0`.
fn is_same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && is_same(a.1, b.1))
        }
        (a, b) => a == b,
    }
}

fn check_written(document: &Document<'_>) {
    let mut text = Vec::new();
    push_formatted(&mut text, document.root(), Formatting { numbers: Numbers::Lexemes, final_newline: true });
    let again = Document::parse(&text, &ReadOptions::default()).expect("what is written is read");
    assert!(is_equal(document.root(), again.root(), Numbers::Lexemes));
}

fn check_verdict(bytes: &[u8]) {
    if let Verdict::Migrated(migrated) = TRANSFORMER.transform(bytes, &NoInputs) {
        assert!(matches!(TRANSFORMER.transform(&migrated.bytes, &NoInputs), Verdict::Current(_)));
    } else if let Verdict::Refused(refusal) = TRANSFORMER.transform(bytes, &NoInputs) {
        assert!(![ErrorCode::Drift, ErrorCode::Compatibility].contains(&refusal.code), "{refusal:?}");
    }
}
