//! The members of a request that the reference reads, and the digest that it makes of them.

use std::borrow::Cow;

use crate::cas::format::key::Key;
use crate::requiem::canonical_json::CanonicalObject;
use crate::requiem::hash_domain::{Domain, digest};
use crate::requiem::json::{Json, JsonError, Member, Reading};

/// Longest request that the reference takes.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Most outputs that it takes.
pub const OUTPUTS_MAX: usize = 256;
/// Names that matter here.
pub(in crate::requiem) const POLICY: &str = "policy";
pub(in crate::requiem) const SCHEDULER_MODE: &str = "scheduler_mode";

/// A text that is no request, or one that is not to be touched, with the offset at which that shows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at offset {offset}")]
pub struct RequestFault {
    /// Where, in bytes.
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
    /// What it takes where nothing is said.
    Turbo,
    /// One after the other.
    Repro,
}

impl SchedulerMode {
    /// Its name in requests.
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
    /// Reads a request. Beyond what the reference refuses, it must be UTF-8, `policy` must be an object, and no name in
    /// the request or in its policy may be written with `\u`, for the reference reads such a name otherwise.
    pub fn parse(text: &'a [u8]) -> Result<Self, RequestFault> {
        if let Err(error) = str::from_utf8(text) {
            return Err(RequestFault { offset: error.valid_up_to() as u64, what: "bytes that are not UTF-8".into() });
        }
        let root = Json::parse(text)?;
        if !root.is_object() {
            return fault(root, "a request is an object; this is none");
        }
        let request = Self { root, len_bytes: text.len() };
        match root.get("command") {
            None => return fault(root, "no command, as every request has"),
            Some(command) if text_of(Some(command)).is_empty() => return fault(command, "no name of a command"),
            Some(_) => {}
        }
        check_names(root)?;
        if let Some(policy) = request.policy() {
            if !policy.is_object() {
                return fault(policy, "a policy is an object; this is none, and the reference takes no notice of it");
            }
            check_names(policy)?;
        }
        Ok(request)
    }

    /// The object.
    pub fn json(&self) -> Json<'a> {
        self.root
    }

    /// The policy, if it has one.
    pub fn policy(&self) -> Option<Json<'a>> {
        self.root.get(POLICY)
    }

    /// The mode in its policy; a fault if it is there and not one that is known.
    pub fn scheduler_mode(&self) -> Result<Option<SchedulerMode>, RequestFault> {
        mode_of(self.policy().and_then(|policy| policy.get(SCHEDULER_MODE)))
    }

    /// The mode beside the policy, of which the reference takes no notice.
    pub fn top_level_scheduler_mode(&self) -> Option<Json<'a>> {
        self.root.get(SCHEDULER_MODE)
    }

    /// What the reference makes the digest of.
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
            .number("nonce", 0)
            .strings("outputs", strings_in(root.get("outputs")))
            .string("request_id", &plain_id(&text("request_id")))
            .string(SCHEDULER_MODE, &mode.unwrap_or(Cow::Borrowed(SchedulerMode::Turbo.name().as_bytes())))
            .string("workspace_root", &workspace_root)
            .finish()
    }

    /// The digest that the reference gives it; none for a request that is too long for it.
    pub fn digest(&self) -> Option<Key> {
        (self.len_bytes <= REQUEST_BYTES_MAX).then(|| digest(Domain::Request, &self.canonical()))
    }

    /// Mode and whether it is in the digest: from `llm`, and only without such a member from beside it.
    fn llm(&self) -> (Cow<'a, [u8]>, bool) {
        let (mode, in_digest) = match self.root.get("llm") {
            Some(llm) => (llm.get("mode"), llm.get("include_in_digest")),
            None => (self.root.get("llm_mode"), self.root.get("llm_include_in_digest")),
        };
        let mode = string_of(mode).unwrap_or(Cow::Borrowed(b"none"));
        (mode, in_digest.and_then(Json::bool).unwrap_or(false))
    }
}

/// The mode that a value names.
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
        Some(member) => fault(member.name, "a name written with \\u, which the reference reads otherwise"),
        None => Ok(()),
    }
}

pub(super) fn string_of(json: Option<Json<'_>>) -> Option<Cow<'_, [u8]>> {
    json?.string(Reading::Reference)
}

fn text_of(json: Option<Json<'_>>) -> Cow<'_, [u8]> {
    string_of(json).unwrap_or_default()
}

/// The strings in an array; the reference passes over all else.
pub(super) fn strings_in(json: Option<Json<'_>>) -> impl Iterator<Item = Cow<'_, [u8]>> {
    json.into_iter().flat_map(Json::items).filter_map(|item| string_of(Some(item)))
}

/// The members of an object that are strings.
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
    fn digests_are_those_of_the_specification() {
        assert_eq!(digest_of(REQUEST), TURBO);
        assert_eq!(digest_of(&with(r#""policy":{"scheduler_mode":"turbo"}"#)), TURBO);
        assert_eq!(digest_of(&with(r#""policy":{"scheduler_mode":"repro"}"#)), REPRO);
        assert_eq!(digest_of(&with(r#""scheduler_mode":"repro""#)), TURBO);
    }

    #[test]
    fn what_is_outside_of_the_digest_does_not_change_it() {
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
    fn the_canonical_request_holds_what_the_reference_reads() {
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
    fn what_is_no_request_is_refused_where_it_shows() {
        for (text, offset, what) in [
            (&b"{\"command\":\"a\xff\"}"[..], 13, "bytes that are not UTF-8"),
            (b"{\"command\":\"a\"}x", 15, "more text after the value"),
            (b"{\"command\":\"a\",\"command\":\"a\"}", 15, "duplicate name"),
            (b" []", 1, "a request is an object; this is none"),
            (b"{}", 0, "no command, as every request has"),
            (b"{\"command\":\"\"}", 11, "no name of a command"),
            (b"{\"command\":[]}", 11, "no name of a command"),
            (
                b"{\"command\":\"a\",\"\\u0070olicy\":{}}",
                15,
                "a name written with \\u, which the reference reads otherwise",
            ),
            (
                b"{\"command\":\"a\",\"policy\":{\"scheduler\\u005fmode\":\"repro\"}}",
                25,
                "a name written with \\u, which the reference reads otherwise",
            ),
            (
                b"{\"command\":\"a\",\"policy\":null}",
                24,
                "a policy is an object; this is none, and the reference takes no notice of it",
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
