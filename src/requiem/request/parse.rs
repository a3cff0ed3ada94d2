//! The members of a request that the reference reads, and the digest that it makes of them.

use std::borrow::Cow;

use crate::cas::format::key::Key;
use crate::requiem::canonical_json::CanonicalObject;
use crate::requiem::hash_domain::{Domain, digest};
use crate::requiem::json::{Json, JsonError, Member, Reading};

/// Longest request that the reference accepts.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Most outputs that the reference accepts.
pub const OUTPUTS_MAX: usize = 256;
/// Names that this module reads.
pub(in crate::requiem) const POLICY: &str = "policy";
pub(in crate::requiem) const SCHEDULER_MODE: &str = "scheduler_mode";

/// Why a text is not a request, or one that must not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at offset {offset}")]
pub struct RequestFault {
    /// Where that shows, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl From<JsonError> for RequestFault {
    fn from(error: JsonError) -> Self {
        Self { offset: error.offset, what: error.what.into() }
    }
}

/// How the reference schedules a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SchedulerMode {
    /// The mode of a request that names none.
    Turbo,
    /// One task after the other.
    Repro,
}

impl SchedulerMode {
    /// Returns the name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Turbo => "turbo",
            Self::Repro => "repro",
        }
    }
}

/// A request: an object with a command, in UTF-8.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub(super) root: Json<'a>,
    pub(super) len_bytes: usize,
}

impl<'a> Request<'a> {
    /// Reads a request. It is stricter than the reference in three ways: the text must be UTF-8, `policy` must be an
    /// object, and no name in the request or its policy may be written with `\u`, because the reference reads such a
    /// name differently.
    pub fn parse(text: &'a [u8]) -> Result<Self, RequestFault> {
        if let Err(error) = str::from_utf8(text) {
            return Err(RequestFault { offset: error.valid_up_to() as u64, what: "bytes that are not UTF-8".into() });
        }
        let root = Json::parse(text)?;
        if !root.is_object() {
            return fault(root, "a request is an object; this is not one");
        }
        let request = Self { root, len_bytes: text.len() };
        match root.get("command") {
            None => return fault(root, "there is no command"),
            Some(command) if text_of(Some(command)).is_empty() => {
                return fault(command, "the command is empty or not a string");
            }
            Some(_) => {}
        }
        check_names(root)?;
        if let Some(policy) = request.policy() {
            if !policy.is_object() {
                return fault(policy, "a policy is an object; this is not one, and the reference ignores it");
            }
            check_names(policy)?;
        }
        Ok(request)
    }

    /// Returns the object.
    pub fn json(&self) -> Json<'a> {
        self.root
    }

    /// Returns the policy, if the request has one.
    pub fn policy(&self) -> Option<Json<'a>> {
        self.root.get(POLICY)
    }

    /// Returns the mode in the policy. A mode that is not known is a fault.
    pub fn scheduler_mode(&self) -> Result<Option<SchedulerMode>, RequestFault> {
        mode_of(self.policy().and_then(|policy| policy.get(SCHEDULER_MODE)))
    }

    /// Returns the mode outside of the policy, which the reference ignores.
    pub fn top_level_scheduler_mode(&self) -> Option<Json<'a>> {
        self.root.get(SCHEDULER_MODE)
    }

    /// Returns the text of which the reference makes the digest.
    pub fn canonical(&self) -> Vec<u8> {
        let root = self.root;
        let text = |name: &str| text_of(root.get(name));
        let (llm_mode, llm_in_digest) = self.llm();
        let workspace_root = string_of(root.get("workspace_root")).unwrap_or(Cow::Borrowed(b"."));
        let mode = self.policy().and_then(|policy| string_of(policy.get(SCHEDULER_MODE)));
        CanonicalObject::new()
            .strings("argv", strings_in(root.get("argv")))
            .string("command", &text("command"))
            .string("cwd", &text("cwd"))
            .map("inputs", string_members(root.get("inputs")))
            .bool("llm_include_in_digest", llm_in_digest)
            .string("llm_mode", &llm_mode)
            // The reference writes 0 here, whatever nonce the request has.
            .number("nonce", 0)
            .strings("outputs", strings_in(root.get("outputs")))
            .string("request_id", &plain_id(&text("request_id")))
            .string(SCHEDULER_MODE, &mode.unwrap_or(Cow::Borrowed(SchedulerMode::Turbo.name().as_bytes())))
            .string("workspace_root", &workspace_root)
            .finish()
    }

    /// Returns the digest that the reference gives the request; `None` for a request that is too long for it.
    pub fn digest(&self) -> Option<Key> {
        (self.len_bytes <= REQUEST_BYTES_MAX).then(|| digest(Domain::Request, &self.canonical()))
    }

    /// Returns the mode and whether it is part of the digest: from `llm`, or from the top level if there is no such
    /// member.
    fn llm(&self) -> (Cow<'a, [u8]>, bool) {
        let (mode, in_digest) = match self.root.get("llm") {
            Some(llm) => (llm.get("mode"), llm.get("include_in_digest")),
            None => (self.root.get("llm_mode"), self.root.get("llm_include_in_digest")),
        };
        let mode = string_of(mode).unwrap_or(Cow::Borrowed(b"none"));
        (mode, in_digest.and_then(Json::bool).unwrap_or(false))
    }
}

/// Returns the mode that a value names.
pub(in crate::requiem) fn mode_of(value: Option<Json<'_>>) -> Result<Option<SchedulerMode>, RequestFault> {
    let Some(value) = value else { return Ok(None) };
    match string_of(Some(value)).as_deref() {
        Some(b"turbo") => Ok(Some(SchedulerMode::Turbo)),
        Some(b"repro") => Ok(Some(SchedulerMode::Repro)),
        _ => fault(value, "a scheduler_mode that is neither \"turbo\" nor \"repro\""),
    }
}

pub(in crate::requiem) fn fault<T>(json: Json<'_>, what: impl Into<String>) -> Result<T, RequestFault> {
    Err(RequestFault { offset: json.offset() as u64, what: what.into() })
}

fn check_names(object: Json<'_>) -> Result<(), RequestFault> {
    let reads_twice = |name: Json<'_>| name.string(Reading::Standard) != name.string(Reading::Reference);
    match object.members().find(|member| reads_twice(member.name)) {
        Some(member) => fault(member.name, "a name written with \\u, which the reference reads differently"),
        None => Ok(()),
    }
}

pub(super) fn string_of(json: Option<Json<'_>>) -> Option<Cow<'_, [u8]>> {
    json?.string(Reading::Reference)
}

fn text_of(json: Option<Json<'_>>) -> Cow<'_, [u8]> {
    string_of(json).unwrap_or_default()
}

/// Returns the strings in an array; the reference ignores all other items.
pub(super) fn strings_in(json: Option<Json<'_>>) -> impl Iterator<Item = Cow<'_, [u8]>> {
    json.into_iter().flat_map(Json::items).filter_map(|item| string_of(Some(item)))
}

/// Returns the members of an object whose values are strings.
pub(super) fn string_members(json: Option<Json<'_>>) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    let members = json.into_iter().flat_map(Json::members);
    members.filter_map(|Member { name, value }| Some((string_of(Some(name))?, string_of(Some(value))?)))
}

/// The reference keeps letters, digits, `-` and `_` of an id.
fn plain_id(id: &[u8]) -> Vec<u8> {
    id.iter().copied().filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str =
        r#"{"request_id":"r1","command":"/bin/sh","argv":["-c","echo hi; env | sort"],"workspace_root":"ws"}"#;
    const TURBO: &str = "e15c8072b04cf38c758fd30aa98319c261cb74c50e4799cc0a3384be07b8c85c";
    const REPRO: &str = "273ff22f86eb04b226af76f2c09e64de3eae1a215cd29c78f83ea549357304ea";

    fn digest_of(text: &str) -> String {
        Request::parse(text.as_bytes()).unwrap().digest().unwrap().to_string()
    }

    fn with(more: &str) -> String {
        format!("{},{more}}}", &REQUEST[..REQUEST.len() - 1])
    }

    #[test]
    fn digests_are_those_of_the_reference() {
        assert_eq!(digest_of(REQUEST), TURBO);
        assert_eq!(digest_of(&with(r#""policy":{"scheduler_mode":"turbo"}"#)), TURBO);
        assert_eq!(digest_of(&with(r#""policy":{"scheduler_mode":"repro"}"#)), REPRO);
        assert_eq!(digest_of(&with(r#""scheduler_mode":"repro""#)), TURBO);
    }

    #[test]
    fn members_outside_of_the_digest_do_not_change_it() {
        for more in [
            r#""env":{"A":"b"},"timeout_ms":1,"tenant_id":"t","nonce":7,"x":[]"#,
            r#""cwd":"","inputs":{},"outputs":[],"llm_mode":"none","llm_include_in_digest":false"#,
            r#""policy":{"mode":"permissive","scheduler_mode":17}"#,
            r#""llm":{}"#,
            r#""llm":[],"llm_mode":"live","cwd":null,"inputs":[],"outputs":{}"#,
        ] {
            assert_eq!(digest_of(&with(more)), TURBO, "{more}");
        }
        assert_eq!(digest_of(&REQUEST.replace("\"r1\"", "\"r/ .1é\"")), TURBO);
        assert_eq!(digest_of(&REQUEST.replace("\"-c\"", "1,\"-c\",null")), TURBO);
    }

    #[test]
    fn the_canonical_request_has_what_the_reference_reads() {
        let text = with(concat!(
            r#""cwd":"caf\u00e9\/\n","inputs":{"b":"2","a":"1","n":3},"outputs":["z","a"],"#,
            r#""llm":{"mode":"live","include_in_digest":true},"llm_mode":"other""#
        ));
        let text = text.replace("\"workspace_root\":\"ws\"", "\"y\":0");
        let expected = concat!(
            r#"{"argv":["-c","echo hi; env | sort"],"command":"/bin/sh","cwd":"cafu00e9/\n","inputs":{"a":"1","b":"2"},"#,
            r#""llm_include_in_digest":true,"llm_mode":"live","nonce":0,"outputs":["z","a"],"request_id":"r1","#,
            r#""scheduler_mode":"turbo","workspace_root":"."}"#
        );
        let canonical = Request::parse(text.as_bytes()).unwrap().canonical();
        assert_eq!(String::from_utf8(canonical).unwrap(), expected);
    }

    #[test]
    fn a_request_that_is_too_long_has_no_digest() {
        let padded = format!("{REQUEST}{}", " ".repeat(REQUEST_BYTES_MAX - REQUEST.len()));
        assert_eq!(digest_of(&padded), TURBO);
        assert_eq!(Request::parse(format!("{padded} ").as_bytes()).unwrap().digest(), None);
    }

    #[test]
    fn a_text_that_is_no_request_is_refused_with_its_offset() {
        for (text, offset, what) in [
            (&b"{\"command\":\"a\xff\"}"[..], 13, "bytes that are not UTF-8"),
            (b"{\"command\":\"a\"}x", 15, "more text after the value"),
            (b"{\"command\":\"a\",\"command\":\"a\"}", 15, "duplicate name"),
            (b" []", 1, "a request is an object; this is not one"),
            (b"{}", 0, "there is no command"),
            (b"{\"command\":\"\"}", 11, "the command is empty or not a string"),
            (b"{\"command\":[]}", 11, "the command is empty or not a string"),
            (
                b"{\"command\":\"a\",\"\\u0070olicy\":{}}",
                15,
                "a name written with \\u, which the reference reads differently",
            ),
            (
                b"{\"command\":\"a\",\"policy\":{\"scheduler\\u005fmode\":\"repro\"}}",
                25,
                "a name written with \\u, which the reference reads differently",
            ),
            (
                b"{\"command\":\"a\",\"policy\":null}",
                24,
                "a policy is an object; this is not one, and the reference ignores it",
            ),
        ] {
            let fault = Request::parse(text).unwrap_err();
            assert_eq!((fault.offset, fault.what.as_str()), (offset, what));
        }
        let text = with(r#""policy":{"scheduler_mode":"fast"}"#);
        let fault = Request::parse(text.as_bytes()).unwrap().scheduler_mode().unwrap_err();
        assert_eq!(fault.offset as usize, text.find("\"fast\"").unwrap());
    }
}
