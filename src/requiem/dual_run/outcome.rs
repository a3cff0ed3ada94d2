//! The parts of a result file that are compared.

use crate::requiem::json::{Json, Reading};

/// The compared parts of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunResult {
    pub(super) ok: bool,
    pub(super) exit_code: i64,
    /// The bytes that the command wrote, as far as the program kept them.
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
    /// As it is written: a digest by any algorithm, or nothing.
    pub(super) request_digest: String,
    pub(super) result_digest: String,
    pub(super) truncated: bool,
}

impl RunResult {
    /// Reads a result. The error continues a sentence that begins with "a result that".
    pub(super) fn read(text: &[u8]) -> Result<Self, String> {
        let json = Json::parse(text).map_err(|error| format!("is not a JSON document: {error}"))?;
        let lacks = |name: &str| format!("has no readable {name:?}");
        let bytes = |name: &str| json.get(name)?.string(Reading::Standard);
        let required = |name: &str| bytes(name).map(|bytes| bytes.into_owned()).ok_or_else(|| lacks(name));
        let digest = |name: &str| required(name).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let is_true = |name: &str| json.get(name).and_then(Json::bool).unwrap_or(false);
        Ok(Self {
            ok: json.get("ok").and_then(Json::bool).ok_or_else(|| lacks("ok"))?,
            exit_code: json.get("exit_code").and_then(Json::integer).ok_or_else(|| lacks("exit_code"))?,
            stdout: required("stdout")?,
            stderr: required("stderr")?,
            request_digest: digest("request_digest")?,
            result_digest: digest("result_digest")?,
            truncated: is_true("stdout_truncated") || is_true("stderr_truncated"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULT: &str = concat!(
        r#"{"ok":true,"exit_code":124,"error_code":"timeout","stdout":"a\n"#,
        "\u{1b}",
        r#"[m","stderr":"","request_digest":"q","result_digest":"r","stderr_truncated":true}"#
    );

    #[test]
    fn a_result_is_read_with_the_bytes_that_the_reference_does_not_escape() {
        let outcome = RunResult::read(RESULT.as_bytes()).unwrap();
        assert_eq!((outcome.exit_code, &outcome.stdout[..], outcome.truncated), (124, &b"a\n\x1b[m"[..], true));
        let not_utf8 = [&RESULT.as_bytes()[..RESULT.len() - 1], b",\"x\":\"\xff\"}"].concat();
        assert_eq!(RunResult::read(&not_utf8).unwrap(), outcome);
    }

    #[test]
    fn a_result_without_one_of_its_parts_is_refused() {
        for name in ["ok", "exit_code", "stdout", "stderr", "request_digest", "result_digest"] {
            let text = RESULT.replace(&format!("\"{name}\""), "\"other\"");
            assert_eq!(RunResult::read(text.as_bytes()), Err(format!("has no readable {name:?}")));
        }
        let error = RunResult::read(&RESULT.as_bytes()[..10]).unwrap_err();
        assert_eq!(error, "is not a JSON document: expected a comma or the end of the object at offset 10");
    }
}
