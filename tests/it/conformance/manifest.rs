//! Every golden case of the original, through the library, in each mode: bytes, outcome, code and kept values.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::support::conformance::conformance;
use haul::manifest::document::history::{HistoryCheck, check_last_record};
use haul::manifest::document::json::{
    Document, Numbers, ReadOptions, first_difference, is_equal, push_canonical, push_float,
};
use haul::manifest::{
    Checksum, Migrated, Mode, NoInputs, Registry, TransformOptions, Transformer, Verdict, Version, prove,
};
use serde_json::Value as Json;

const MODES: [&str; 3] = ["compat", "strict", "strict_relaxed"];
const HISTORY: &str = "migration_history";

fn options(mode: &str) -> TransformOptions {
    let named = TransformOptions { named: true, ..TransformOptions::default() };
    match mode {
        "compat" => TransformOptions { mode: Mode::Compat, ..named },
        "strict" => named,
        _ => {
            TransformOptions { shape_any: true, accept_incomplete: true, assume_version: Some(Version::FIRST), ..named }
        }
    }
}

/// Returns `None` if the target is a usage error.
fn transformer(case: &Json, mode: &str, clock: &str) -> Option<Transformer> {
    let registry = Arc::new(Registry::built_in());
    let target = match case["target"].as_str() {
        None => registry.latest(),
        Some(text) => text.parse().ok()?,
    };
    let error = |error: haul::migration::Error| assert_eq!(error.exit_code(), haul::migration::exit::USAGE);
    Transformer::new(prove(registry).unwrap(), target, clock.parse().unwrap(), options(mode)).map_err(error).ok()
}

fn parse(bytes: &[u8]) -> Document<'_> {
    let options = ReadOptions { last_member_wins: true, depth_max: 1005, ..ReadOptions::default() };
    Document::parse(bytes, &options).unwrap()
}

struct Case<'c> {
    index: &'c Json,
    expect: &'c Json,
    label: String,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Case<'_> {
    fn check(&self, verdict: &Verdict) {
        let outcome = match verdict {
            Verdict::Migrated(migrated) => {
                self.check_bytes(migrated);
                "migrated"
            }
            Verdict::Current(current) => {
                let is_found = |code: &str| current.findings.iter().any(|finding| finding.code == code);
                let expected = self.expect["finding"].as_str();
                assert!(expected.is_none_or(is_found), "{}: {current:?}", self.label);
                "already_current"
            }
            Verdict::Refused(refusal) => {
                assert_eq!(Some(refusal.code.name()), self.expect["code"].as_str(), "{}: {refusal:?}", self.label);
                "refused"
            }
            Verdict::Skipped(skip) => panic!("{}: {skip:?}", self.label),
        };
        assert_eq!(self.expect["outcome"], outcome, "{}: {verdict:?}", self.label);
    }

    fn check_bytes(&self, migrated: &Migrated) {
        let applied = self.index["observed"]["migrations_applied"].as_array().unwrap();
        if !applied.is_empty() {
            assert_eq!(applied[..], migrated.applied[..], "{}", self.label);
        }
        if let Some(warning) = self.expect["warning"].as_str() {
            assert!(migrated.notices.iter().any(|notice| notice.code == warning), "{}", self.label);
        }
        let dry_run = self.index["dry_run"].as_bool().unwrap();
        match self.expect["manifest"].as_str().unwrap() {
            "equal_out" => assert_eq!(text(&migrated.bytes), text(&self.output), "{}", self.label),
            "out_plus_newline" => {
                let expected = [&self.output[..], b"\n"].concat();
                assert_eq!(text(&migrated.bytes), text(&expected), "{}", self.label);
            }
            "keep" => self.check_kept(migrated),
            "lexemes" => self.check_lexemes(migrated),
            "unchanged" => assert!(dry_run, "{}", self.label),
            other => panic!("{}: {other}", self.label),
        }
        self.check_checksums(migrated);
    }

    fn kept(&self) -> Vec<&str> {
        self.expect["keep"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
    }

    fn check_kept(&self, migrated: &Migrated) {
        let (before, original, after) = (parse(&self.input), parse(&self.output), parse(&migrated.bytes));
        let kept = self.kept();
        for (name, value) in after.root().members() {
            let name = name.as_str().unwrap();
            let expected = if kept.contains(&&*name) { &before } else { &original };
            let is_same = expected.root().get(&name).is_some_and(|other| is_equal(other, value, Numbers::Values));
            assert!(is_same || name == HISTORY, "{}: {name}", self.label);
        }
        for name in kept {
            assert!(migrated.changes[0].contains(&format!("Keep existing {name}")), "{}: {migrated:?}", self.label);
            assert!(!migrated.changes.concat().iter().any(|text| text.starts_with(&format!("Add {name} "))));
        }
    }

    /// Checks that every number of the input keeps its text.
    fn check_lexemes(&self, migrated: &Migrated) {
        let (before, after) = (parse(&self.input), parse(&migrated.bytes));
        for (name, value) in before.root().members().filter(|(name, _)| !name.is_str("schema_version")) {
            let name = name.as_str().unwrap();
            let found = after.root().get(&name).unwrap();
            assert!(is_equal(value, found, Numbers::Lexemes), "{}: {name}", self.label);
        }
        if self.index["observed"]["output_is_strict_json"] == true && self.index["observed"]["changed"] == true {
            let difference = first_difference(parse(&self.output).root(), after.root(), Numbers::Values);
            assert_eq!(difference, None, "{}", self.label);
        }
    }

    fn check_checksums(&self, migrated: &Migrated) {
        let before = Checksum::of_value(parse(&self.input).root(), &mut Vec::new());
        assert_eq!(before, migrated.checksum_before, "{}", self.label);
        let check = check_last_record(&mut parse(&migrated.bytes)).unwrap();
        assert!(matches!(check, HistoryCheck::Matches(_)), "{}: {check:?}", self.label);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn read_json(path: &Path) -> Json {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
#[ignore = "needs the conformance data"]
fn every_case_ends_as_its_index_says() {
    let data = conformance("sigilzero");
    let index = read_json(&data.join("index.json"));
    let clock = index["frozen_clock"].as_str().unwrap();
    let cases = index["cases"].as_array().unwrap();
    assert!(cases.len() >= 69);
    for case in cases {
        let (name, file) = (case["name"].as_str().unwrap(), case["file"].as_str().unwrap());
        let input = fs::read(data.join("in").join(name).join(file)).unwrap();
        let output = fs::read(data.join("out").join(name).join(file)).unwrap();
        for mode in MODES {
            let expect = &case["expect"][mode];
            let Some(transformer) = transformer(case, mode, clock) else {
                assert_eq!(expect["outcome"], "usage_error", "{name} {mode}");
                continue;
            };
            let label = format!("{name} {mode}");
            let case = Case { index: case, expect, label, input: input.clone(), output: output.clone() };
            let verdict = transformer.transform(&input, &NoInputs);
            case.check(&verdict);
            check_second_time(&case, &transformer, &verdict);
        }
    }
}

/// Checks that a second migration changes nothing, and that an inspection agrees with the migration.
fn check_second_time(case: &Case<'_>, transformer: &Transformer, verdict: &Verdict) {
    let inspection = transformer.inspect(&case.input);
    match verdict {
        Verdict::Migrated(migrated) => {
            let again = transformer.transform(&migrated.bytes, &NoInputs);
            assert!(matches!(again, Verdict::Current(_)), "{}: {again:?}", case.label);
            assert_eq!(inspection.status.name(), "pending", "{}", case.label);
            assert_eq!(inspection.version, Some(migrated.from));
        }
        Verdict::Current(current) => assert_eq!(inspection.version, Some(current.version), "{}", case.label),
        Verdict::Refused(_) | Verdict::Skipped(_) => {
            assert!(inspection.status.name() != "current", "{}", case.label);
        }
    }
}

#[test]
#[ignore = "needs the conformance data"]
fn checksum_texts_are_those_of_the_original() {
    let data = conformance("sigilzero");
    for vector in read_json(&data.join("checksum_vectors.json")).as_array().unwrap() {
        let name = vector["case"].as_str().unwrap();
        let canonical = vector["canonical_checksum_text"].as_str().unwrap();
        assert_eq!(Checksum::of_bytes(canonical.as_bytes()).to_string(), vector["sha256"].as_str().unwrap(), "{name}");
        if canonical.contains("Infinity") {
            continue;
        }
        let input = fs::read(data.join("in").join(name).join("manifest.json")).unwrap();
        let mut own = Vec::new();
        push_canonical(&mut own, parse(&input).root());
        assert_eq!(text(&own), canonical, "{name}");
    }
}

#[test]
#[ignore = "needs the conformance data"]
fn floats_are_written_as_the_original_writes_them() {
    let data = conformance("sigilzero");
    let vectors = read_json(&data.join("float_repr_vectors.json"));
    for vector in vectors.as_array().unwrap() {
        let (hex, repr) = (vector["hex"].as_str().unwrap(), vector["repr"].as_str().unwrap());
        let mut own = Vec::new();
        push_float(&mut own, float_of_hex(hex));
        assert_eq!(text(&own), repr, "{hex}");
    }
}

/// Parses an exact binary64 in the notation of C: `-0x1.8p+3`.
fn float_of_hex(text: &str) -> f64 {
    let (sign, digits) = text.strip_prefix('-').map_or((1.0, text), |digits| (-1.0, digits));
    let (mantissa, exponent) = digits.strip_prefix("0x").unwrap().split_once('p').unwrap();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let units = u64::from_str_radix(&format!("{whole}{fraction}"), 16).unwrap();
    let mut exponent = exponent.parse::<i32>().unwrap() - 4 * fraction.len() as i32;
    let mut value = units as f64;
    while exponent != 0 {
        let step = exponent.clamp(-1000, 1000);
        value *= 2f64.powi(step);
        exponent -= step;
    }
    sign * value
}
