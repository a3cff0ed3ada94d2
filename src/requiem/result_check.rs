//! Compares the digests in result files with what the files contain (docs/source-requiem.md, "Results").
//!
//! A digest of an older generation is never accepted as one of today: it is recognised by its prefix or by its input,
//! and the run must be repeated. No prefix is ever removed to make an old digest look like a new one.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::canonical_json::CanonicalObject;
use super::hash_domain::{Domain, digest};
use super::json::{Json, Reading};
use super::small_file::{SmallFile, error_chain};
use crate::cas::format::digest::key_of;
use crate::cas::format::key::{Algorithm, Key};

/// Digests of texts, and the members with the texts.
const TEXTS: [(&str, &str); 2] = [("stderr_digest", "stderr"), ("stdout_digest", "stdout")];
/// Digests whose inputs are not in the file.
const OTHERS: [&str; 2] = ["request_digest", "trace_digest"];
const RESULT_DIGEST: &str = "result_digest";
const OUTPUT_DIGESTS: &str = "output_digests";

/// The verdict on a result, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// `result_digest` is right, and no digest is wrong.
    Fine,
    /// `result_digest` cannot be made again from the file; no digest is wrong.
    Unchecked,
    /// The result has digests of an older generation.
    MustBeRerun,
    /// A digest does not match its input.
    Wrong,
    /// The file cannot be read or is not a result.
    Unreadable,
}

/// What was found about a digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum DigestFinding {
    /// It matches its input.
    Holds,
    /// It cannot be made again.
    NotChecked {
        /// The reason.
        why: String,
    },
    /// It is written with a prefix, which no digest of today has.
    Prefixed {
        /// The prefix without its colon.
        prefix: String,
    },
    /// It matches its input as older generations made it: by this algorithm, without a domain.
    OlderGeneration {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// It does not match its input.
    Wrong {
        /// The digest of the input.
        expected: Key,
    },
    /// It is not a digest.
    NoDigest,
}

impl DigestFinding {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Holds | Self::NotChecked { .. } => Verdict::Fine,
            Self::Prefixed { .. } | Self::OlderGeneration { .. } => Verdict::MustBeRerun,
            Self::Wrong { .. } | Self::NoDigest => Verdict::Wrong,
        }
    }
}

/// One digest of a result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The name of the digest in the file.
    pub digest: String,
    /// What was found about it.
    #[serde(flatten)]
    pub finding: DigestFinding,
}

/// The report on one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResultReport {
    /// The path of the file.
    pub file: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why the file could not be read.
    pub reason: Option<String>,
    /// `error_code` as it is in the file; `None` if it is empty.
    pub error_code: Option<String>,
    /// Each digest that could be compared, or that is not as it should be.
    pub checks: Vec<Check>,
}

/// The report on all files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResultsReport {
    /// The files in the order in which they were named.
    pub files: Vec<ResultReport>,
    /// Files that are fine.
    pub fine: u64,
    /// Files whose `result_digest` could not be checked.
    pub unchecked: u64,
    /// Files whose run must be repeated.
    pub must_be_rerun: u64,
    /// Files with a wrong digest.
    pub wrong: u64,
    /// Files that could not be read.
    pub unreadable: u64,
}

impl ResultsReport {
    /// Returns the worst verdict.
    pub fn worst(&self) -> Verdict {
        self.files.iter().map(|file| file.verdict).max().unwrap_or(Verdict::Fine)
    }
}

/// Reads and checks each file.
pub fn check_results(paths: &[PathBuf]) -> ResultsReport {
    let files: Vec<_> = paths.iter().map(|path| check_file(path)).collect();
    let count = |verdict| files.iter().filter(|file| file.verdict == verdict).count() as u64;
    ResultsReport {
        fine: count(Verdict::Fine),
        unchecked: count(Verdict::Unchecked),
        must_be_rerun: count(Verdict::MustBeRerun),
        wrong: count(Verdict::Wrong),
        unreadable: count(Verdict::Unreadable),
        files,
    }
}

fn check_file(path: &Path) -> ResultReport {
    let file = path.display().to_string();
    let input = SmallFile::read(path).map_err(|error| error_chain(&error));
    match input.and_then(|input| check_result(&input.bytes)) {
        Ok(result) => ResultReport {
            file,
            verdict: result.verdict(),
            reason: None,
            error_code: result.error_code,
            checks: result.checks,
        },
        Err(reason) => ResultReport {
            file,
            verdict: Verdict::Unreadable,
            reason: Some(reason),
            error_code: None,
            checks: Vec::new(),
        },
    }
}

/// A result that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedResult {
    /// `error_code` as it is in the text; `None` if it is empty.
    pub error_code: Option<String>,
    /// Each digest that could be compared, or that is not as it should be.
    pub checks: Vec<Check>,
}

impl CheckedResult {
    /// Returns the verdict.
    pub fn verdict(&self) -> Verdict {
        let worst = self.checks.iter().map(|check| check.finding.verdict()).max().unwrap_or(Verdict::Fine);
        let holds =
            self.checks.iter().any(|check| check.digest == RESULT_DIGEST && check.finding == DigestFinding::Holds);
        if worst == Verdict::Fine && !holds { Verdict::Unchecked } else { worst }
    }
}

/// Checks the text of a result. The error says why it is not a result.
pub fn check_result(text: &[u8]) -> Result<CheckedResult, String> {
    let root = Json::parse(text).map_err(|error| error.to_string())?;
    let Some(result_digest) = root.get(RESULT_DIGEST) else {
        return Err("there is no result_digest".into());
    };
    let mut checks = Vec::new();
    let mut push = |digest: &str, finding| {
        if let Some(finding) = finding {
            checks.push(Check { digest: digest.to_owned(), finding });
        }
    };
    for name in OTHERS {
        push(name, root.get(name).and_then(|value| unusual(&WrittenDigest::read(value))));
    }
    for member in root.get(OUTPUT_DIGESTS).into_iter().flat_map(Json::members) {
        push(&format!("{OUTPUT_DIGESTS}.{}", plain(member.name)), unusual(&WrittenDigest::read(member.value)));
    }
    for (name, text) in TEXTS {
        push(name, root.get(name).and_then(|value| text_finding(&WrittenDigest::read(value), root.get(text))));
    }
    push(RESULT_DIGEST, Some(result_finding(&WrittenDigest::read(result_digest), root)));
    let error_code = root.get("error_code").map(plain).filter(|code| !code.is_empty());
    Ok(CheckedResult { error_code, checks })
}

/// A digest as it is written.
enum WrittenDigest {
    /// As today.
    Bare(Key),
    /// With a prefix.
    Prefixed(String),
    /// Empty: the run ended before there was an input.
    Empty,
    /// As no generation writes a digest.
    Other,
}

impl WrittenDigest {
    fn read(value: Json<'_>) -> Self {
        let Some(text) = value.string(Reading::Standard) else { return Self::Other };
        if text.is_empty() {
            return Self::Empty;
        }
        if let Some(key) = Key::parse(&text) {
            return Self::Bare(key);
        }
        match str::from_utf8(&text).ok().and_then(|text| text.split_once(':')) {
            Some((prefix, digits)) if is_name(prefix) && is_hex(digits) => Self::Prefixed(prefix.to_owned()),
            _ => Self::Other,
        }
    }
}

fn is_name(prefix: &str) -> bool {
    !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn is_hex(digits: &str) -> bool {
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns what can be said without the input of the digest.
fn unusual(written: &WrittenDigest) -> Option<DigestFinding> {
    match written {
        WrittenDigest::Bare(_) | WrittenDigest::Empty => None,
        WrittenDigest::Prefixed(prefix) => Some(DigestFinding::Prefixed { prefix: prefix.clone() }),
        WrittenDigest::Other => Some(DigestFinding::NoDigest),
    }
}

fn text_finding(written: &WrittenDigest, text: Option<Json<'_>>) -> Option<DigestFinding> {
    let WrittenDigest::Bare(key) = written else { return unusual(written) };
    let Some(text) = text.and_then(|text| text.string(Reading::Standard)) else {
        return Some(DigestFinding::NotChecked { why: "the text is not in the file".into() });
    };
    let expected = key_of(Algorithm::Blake3, &text);
    Some(if *key == expected {
        DigestFinding::Holds
    } else {
        older(*key, &text, &[Algorithm::Sha256, Algorithm::Blake2s]).unwrap_or(DigestFinding::Wrong { expected })
    })
}

fn result_finding(written: &WrittenDigest, root: Json<'_>) -> DigestFinding {
    let not_checked = |why: &str| DigestFinding::NotChecked { why: why.to_owned() };
    let key = match written {
        WrittenDigest::Bare(key) => *key,
        WrittenDigest::Empty => return not_checked("it is empty, because the run ended before it had a result"),
        other => return unusual(other).unwrap_or(DigestFinding::NoDigest),
    };
    let canonical = match canonical(root) {
        Ok(canonical) => canonical,
        Err(why) => return not_checked(&why),
    };
    let expected = digest(Domain::Result, &canonical);
    if key == expected {
        return DigestFinding::Holds;
    }
    // Older generations hashed the same text without a domain.
    let algorithms = [Algorithm::Blake3, Algorithm::Sha256, Algorithm::Blake2s];
    older(key, &canonical, &algorithms).unwrap_or(DigestFinding::Wrong { expected })
}

fn older(key: Key, content: &[u8], algorithms: &[Algorithm]) -> Option<DigestFinding> {
    let algorithm = algorithms.iter().find(|algorithm| key_of(**algorithm, content) == key)?;
    Some(DigestFinding::OlderGeneration { algorithm: *algorithm })
}

/// Returns the canonical result if the file has all of it, else what is missing.
fn canonical(root: Json<'_>) -> Result<Vec<u8>, String> {
    let lacks = |name: &str| format!("the file has no readable {name}");
    let string =
        |name: &str| root.get(name).and_then(|value| value.string(Reading::Standard)).ok_or_else(|| lacks(name));
    let exit_code = root.get("exit_code").and_then(Json::integer).ok_or_else(|| lacks("exit_code"))?;
    let ok = root.get("ok").and_then(Json::bool).ok_or_else(|| lacks("ok"))?;
    let outputs =
        root.get(OUTPUT_DIGESTS).filter(|outputs| outputs.is_object()).ok_or_else(|| lacks(OUTPUT_DIGESTS))?;
    let read = |value: Json<'_>| value.string(Reading::Standard).unwrap_or_default().into_owned();
    Ok(CanonicalObject::new()
        // The reference prints the bits of a negative exit code as an unsigned number.
        .number("exit_code", exit_code as u64)
        .bool("ok", ok)
        .map(OUTPUT_DIGESTS, outputs.members().map(|member| (read(member.name), read(member.value))))
        .string("request_digest", &string("request_digest")?)
        .string("stderr_digest", &string("stderr_digest")?)
        .string("stdout_digest", &string("stdout_digest")?)
        .string("termination_reason", &string("termination_reason")?)
        .string("trace_digest", &string("trace_digest")?)
        .finish())
}

fn plain(value: Json<'_>) -> String {
    String::from_utf8_lossy(&value.string(Reading::Standard).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The result of the known vectors, as the reference writes it except for the texts.
    const RESULT: &str = concat!(
        r#"{"ok":true,"exit_code":0,"error_code":"","termination_reason":"","stderr":"","#,
        r#""request_digest":"e15c8072b04cf38c758fd30aa98319c261cb74c50e4799cc0a3384be07b8c85c","#,
        r#""trace_digest":"91b6f3ad2d5063ce390659caeb1ee61eccb618d150b907f253c296812f28380c","#,
        r#""stdout_digest":"b429a4378ceba8adf029b4b3b010ba063f17a6d3bcc33f5b2914864f682eb70c","#,
        r#""stderr_digest":"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262","#,
        r#""result_digest":"e7cbecf555cea46872d7ac9eab7bfb48ce289d1e35008addbb74a36d272f41bd","output_digests":{}}"#
    );
    const RESULT_KEY: &str = "e7cbecf555cea46872d7ac9eab7bfb48ce289d1e35008addbb74a36d272f41bd";

    fn check(text: &str) -> (Verdict, Vec<(String, DigestFinding)>) {
        let result = check_result(text.as_bytes()).unwrap();
        (result.verdict(), result.checks.into_iter().map(|check| (check.digest, check.finding)).collect())
    }

    fn finding(text: &str, digest: &str) -> (Verdict, DigestFinding) {
        let (verdict, checks) = check(text);
        (verdict, checks.into_iter().find(|(name, _)| name == digest).expect("a finding").1)
    }

    fn not_checked(why: &str) -> DigestFinding {
        DigestFinding::NotChecked { why: why.into() }
    }

    #[test]
    fn the_result_of_the_vectors_is_fine() {
        let (verdict, checks) = check(RESULT);
        assert_eq!(verdict, Verdict::Fine);
        let expected = [
            ("stderr_digest".to_owned(), DigestFinding::Holds),
            ("stdout_digest".to_owned(), not_checked("the text is not in the file")),
            ("result_digest".to_owned(), DigestFinding::Holds),
        ];
        assert_eq!(checks, expected);
    }

    #[test]
    fn texts_are_compared_with_their_digests() {
        let with = |stderr: &str, digest: Key| {
            let text = RESULT.replace("\"stderr\":\"\"", &format!("\"stderr\":\"{stderr}\""));
            let empty = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
            finding(&text.replace(empty, &digest.to_string()), "stderr_digest").1
        };
        let said = b"a\n\"\x1b[m \xc3\xa9";
        assert_eq!(with("a\\n\\\"\u{1b}[m é", key_of(Algorithm::Blake3, said)), DigestFinding::Holds);
        assert_eq!(with("a\\n\\\"\\u001b[m \\u00e9", key_of(Algorithm::Blake3, said)), DigestFinding::Holds);
        for algorithm in [Algorithm::Sha256, Algorithm::Blake2s] {
            let older = DigestFinding::OlderGeneration { algorithm };
            assert_eq!(with("a\\n\\\"\u{1b}[m é", key_of(algorithm, said)), older);
        }
        let expected = key_of(Algorithm::Blake3, b"b");
        assert_eq!(with("b", key_of(Algorithm::Blake3, said)), DigestFinding::Wrong { expected });
    }

    #[test]
    fn a_change_in_any_part_of_the_canonical_result_is_seen() {
        for (from, to) in [
            ("\"ok\":true", "\"ok\":false"),
            ("\"exit_code\":0", "\"exit_code\":1"),
            ("\"termination_reason\":\"\"", "\"termination_reason\":\"timeout\""),
            ("e15c", "e15d"),
            ("91b6", "91b7"),
            ("b429", "b428"),
            ("\"output_digests\":{}", "\"output_digests\":{\"o\":\"\"}"),
        ] {
            let (verdict, found) = finding(&RESULT.replace(from, to), RESULT_DIGEST);
            assert!(verdict == Verdict::Wrong && matches!(found, DigestFinding::Wrong { .. }), "{from}");
        }
        let DigestFinding::Wrong { expected } = finding(&RESULT.replace("e7cb", "e7cc"), RESULT_DIGEST).1 else {
            panic!()
        };
        assert_eq!(expected.to_string(), RESULT_KEY);
    }

    #[test]
    fn prefixed_digests_are_recognised_and_never_stripped() {
        for prefix in ["sha256", "blake3", "cas"] {
            let (verdict, found) = finding(&RESULT.replace("\"e7cb", &format!("\"{prefix}:e7cb")), RESULT_DIGEST);
            assert_eq!((verdict, found), (Verdict::MustBeRerun, DigestFinding::Prefixed { prefix: prefix.into() }));
        }
        let text = RESULT.replace("\"e15c", "\"sha256:e15c");
        assert_eq!(finding(&text, "request_digest").1, DigestFinding::Prefixed { prefix: "sha256".into() });
        let outputs = format!("\"output_digests\":{{\"a/b\":\"sha256:{RESULT_KEY}\"}}");
        let found = finding(&RESULT.replace("\"output_digests\":{}", &outputs), "output_digests.a/b").1;
        assert_eq!(found, DigestFinding::Prefixed { prefix: "sha256".into() });
        for broken in ["\"sha256:e7c", "\":e7cb", "\"E7cb", "\"e7c", "\"sha256 :e7cb"] {
            assert_eq!(
                finding(&RESULT.replace("\"e7cb", broken), RESULT_DIGEST),
                (Verdict::Wrong, DigestFinding::NoDigest)
            );
        }
    }

    #[test]
    fn digests_of_older_generations_are_recognised_by_their_inputs() {
        let canonical = canonical(Json::parse(RESULT.as_bytes()).unwrap()).unwrap();
        for algorithm in [Algorithm::Blake3, Algorithm::Sha256, Algorithm::Blake2s] {
            let text = RESULT.replace(RESULT_KEY, &key_of(algorithm, &canonical).to_string());
            let expected = (Verdict::MustBeRerun, DigestFinding::OlderGeneration { algorithm });
            assert_eq!(finding(&text, RESULT_DIGEST), expected);
        }
    }

    #[test]
    fn a_digest_that_cannot_be_checked_is_not_called_fine() {
        for name in [
            "ok",
            "exit_code",
            "termination_reason",
            "request_digest",
            "trace_digest",
            "stdout_digest",
            "output_digests",
        ] {
            let text = RESULT.replace(&format!("\"{name}\":"), "\"other\":");
            let why = format!("the file has no readable {name}");
            assert_eq!(finding(&text, RESULT_DIGEST), (Verdict::Unchecked, not_checked(&why)));
        }
        let ended = RESULT.replace(RESULT_KEY, "").replace("\"error_code\":\"\"", "\"error_code\":\"path_escape\"");
        let result = check_result(ended.as_bytes()).unwrap();
        assert_eq!((result.verdict(), result.error_code.as_deref()), (Verdict::Unchecked, Some("path_escape")));
        for (text, why) in [
            ("{}", "there is no result_digest"),
            ("[]", "there is no result_digest"),
            ("{\"result_digest\":\"\"", "expected a comma or the end of the object at offset 19"),
        ] {
            assert_eq!(check_result(text.as_bytes()), Err(why.to_owned()));
        }
    }

    proptest! {
            #[test]
            fn arbitrary_bytes_are_checked_or_refused(bytes: Vec<u8>, at in 0..RESULT.len(), byte: u8) {
                let _ = check_result(&bytes);
                let mut damaged = RESULT.as_bytes().to_vec();
                damaged[at] = byte;
                let _ = check_result(&damaged);
            }

            #[test]
            fn no_digit_of_a_digest_can_be_changed(digest in 0..5_usize, digit in 0..64_usize, to in "[0-9a-f]") {
                let start = RESULT.match_indices("_digest\":\"").nth(digest).expect("a digest").0 + "_digest\":\"".len();
                let mut text = RESULT.to_owned();
                text.replace_range(start + digit..=start + digit, &to);
                prop_assert_eq!(check(&text).0, if text == RESULT { Verdict::Fine } else { Verdict::Wrong });
            }
    }
}
