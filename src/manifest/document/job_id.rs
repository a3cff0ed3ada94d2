//! Derives the `job_id` of manifests that have none (docs/source-sigilzero.md, D6).

use super::error_codes::ErrorCode;
use super::inputs::DocumentInputs;
use super::json::{Document, ReadOptions};
use super::options::DeriveJobId;
use super::verdict::Refusal;

/// The name of the member.
pub(in crate::manifest) const JOB_ID: &str = "job_id";

const RESOLVED_BRIEF: &str = "inputs/brief.resolved.json";
const BRIEF: &str = "inputs/brief.yaml";
const BRIEF_LEN_MAX_BYTES: u64 = 4 << 20;

/// Returns the id and the text of the history record that names its origin, or `None` if it cannot be derived.
pub(in crate::manifest) fn derive(
    how: DeriveJobId,
    inputs: &dyn DocumentInputs,
) -> Result<Option<(String, String)>, Refusal> {
    let said = |id: String, source: &str| (id, format!("Add job_id field (from {source})"));
    match how {
        DeriveJobId::Directory => Ok(inputs.job_directory().map(|id| said(id, "the job's directory"))),
        DeriveJobId::Brief => {
            if let Some(bytes) = read(inputs, RESOLVED_BRIEF)? {
                return Ok(of_json(&bytes).map(|id| said(id, RESOLVED_BRIEF)));
            }
            let brief = read(inputs, BRIEF)?;
            Ok(brief.and_then(|bytes| of_yaml(&bytes)).map(|id| said(id, BRIEF)))
        }
    }
}

fn read(inputs: &dyn DocumentInputs, path: &str) -> Result<Option<Vec<u8>>, Refusal> {
    let refuse = |what| Refusal::new(ErrorCode::Io, format!("{path} cannot be read for job_id: {what}"));
    inputs.read(path, BRIEF_LEN_MAX_BYTES).map_err(refuse)
}

fn of_json(bytes: &[u8]) -> Option<String> {
    let brief = Document::parse(bytes, &ReadOptions::default()).ok()?;
    let id = brief.root().get(JOB_ID)?.as_str()?;
    (!id.is_empty()).then(|| id.into_owned())
}

/// Returns the plain or quoted scalar of a line `job_id: …` without indentation, or `None`.
// No YAML reader: ids of jobs are single words in practice, and anything that needs more of YAML is better refused than
// guessed.
fn of_yaml(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix("job_id:"))?;
    let value = value.split_once(" #").map_or(value, |(value, _)| value).trim();
    let quoted = ['"', '\''].iter().find_map(|&quote| value.strip_prefix(quote)?.strip_suffix(quote));
    let id = quoted.unwrap_or(value);
    let is_plain = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte));
    is_plain.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_scalars_of_a_brief_are_ids() {
        for (text, id) in [
            ("title: x\njob_id: ig-test-001\n", Some("ig-test-001")),
            ("job_id: \"a_b\" # ours\n", Some("a_b")),
            ("job_id: 'a/b'", Some("a/b")),
            ("  job_id: nested\n", None),
            ("job_id:\n", None),
            ("job_id: &anchor x\n", None),
            ("job_id: \"a\\n\"\n", None),
        ] {
            assert_eq!(of_yaml(text.as_bytes()).as_deref(), id, "{text:?}");
        }
        assert_eq!(of_json(br#"{"job_id": "j"}"#).as_deref(), Some("j"));
        assert_eq!(of_json(br#"{"job_id": ""}"#), None);
        assert_eq!(of_json(br#"{"job_id": 1}"#), None);
    }
}
