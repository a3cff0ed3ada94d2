//! Notes on a request: settings that have no effect although they seem to have one, and inputs that its digest does not
//! cover (docs/source-requiem.md, "Requests").

use std::borrow::Cow;

use serde::Serialize;

use super::parse::{OUTPUTS_MAX, REQUEST_BYTES_MAX, Request, SCHEDULER_MODE, string_members, string_of, strings_in};
use crate::requiem::json::Json;

/// The members of a policy that the reference reads.
const POLICY_KEYS: [&str; 5] = ["mode", "scheduler_mode", "time_mode", "deterministic", "allow_outside_workspace"];
/// Names that the reference never passes on.
const DENIED: [&str; 6] = ["RANDOM", "TZ", "HOSTNAME", "PWD", "OLDPWD", "SHLVL"];
/// Endings of names that the reference treats as secrets.
const SECRET_ENDINGS: [&str; 5] = ["_TOKEN", "_SECRET", "_KEY", "_PASSWORD", "_CREDENTIAL"];
/// Beginnings of names that the reference treats as secrets.
const SECRET_BEGINNINGS: [&str; 6] = ["AUTH", "COOKIE", "AWS_SECRET", "GH_TOKEN", "GITHUB_TOKEN", "NPM_TOKEN"];
const SECRET_NAME: &str = "REACH_ENCRYPTION_KEY";
/// The name that the reference sets to 0 if the request does not have it.
const HASH_SEED: &str = "PYTHONHASHSEED";

/// A note on a request. It never has a value of the environment, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What the note says.
    pub kind: NoteKind,
    /// What it is about: a member or a name in the environment.
    pub name: String,
}

/// What a note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// `scheduler_mode` outside of the policy: the reference ignores it.
    TopLevelSchedulerMode,
    /// A member of the policy that the reference does not read.
    PolicyKeyWithoutEffect,
    /// A name in the environment that the reference never passes on.
    EnvDenied,
    /// A name in the environment that the reference treats as a secret and drops.
    EnvDroppedAsSecret,
    /// A string with `\u`, of which the reference reads the digits as they are.
    ReadOtherwise,
    /// More than the reference accepts: it answers `quota_exceeded`.
    OverQuota,
    /// An input of the command that the digest does not cover.
    OutsideOfDigest,
    /// A name that the reference adds to the environment because the request does not have it.
    AddedToEnv,
    /// A path that is relative to the directory in which the reference is started.
    RelativeToStart,
}

impl NoteKind {
    /// Returns the note as a text that follows the name.
    pub fn text(self) -> &'static str {
        match self {
            Self::TopLevelSchedulerMode => "is outside of the policy, where the reference ignores it",
            Self::PolicyKeyWithoutEffect => "has no effect in a policy",
            Self::EnvDenied => "is dropped by the reference: the command does not get it",
            Self::EnvDroppedAsSecret => "is dropped as a secret: the command does not get it",
            Self::ReadOtherwise => "is read as its digits, not as the character",
            Self::OverQuota => "is more than the reference accepts; it answers quota_exceeded",
            Self::OutsideOfDigest => "is an input of the run that request_digest does not cover",
            Self::AddedToEnv => "is set to 0 by the reference, because the request does not have it",
            Self::RelativeToStart => "is relative to the directory in which the reference is started",
        }
    }

    /// Returns true if something in the request has another effect than it seems to have; false for inputs that the
    /// digest does not cover.
    pub fn is_warning(self) -> bool {
        self < Self::OutsideOfDigest
    }
}

impl Request<'_> {
    /// Returns the notes on the request, warnings first.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut note = |kind, name: &str| notes.push(Note { kind, name: name.to_owned() });
        self.scheduling(&mut note);
        self.environment(&mut note);
        self.limits(&mut note);
        for name in ["timeout_ms", "tenant_id"] {
            if self.root.get(name).is_some() {
                note(NoteKind::OutsideOfDigest, name);
            }
        }
        if !string_of(self.root.get("workspace_root")).is_some_and(|path| path.starts_with(b"/")) {
            note(NoteKind::RelativeToStart, "workspace_root");
        }
        notes.sort_by_key(|note| note.kind);
        notes
    }

    fn scheduling(&self, note: &mut impl FnMut(NoteKind, &str)) {
        if self.top_level_scheduler_mode().is_some() {
            note(NoteKind::TopLevelSchedulerMode, SCHEDULER_MODE);
        }
        let keys = self.policy().into_iter().flat_map(Json::members).filter_map(|member| string_of(Some(member.name)));
        for key in keys.map(plain).filter(|key| !POLICY_KEYS.contains(&&**key)) {
            note(NoteKind::PolicyKeyWithoutEffect, &format!("policy.{key}"));
        }
    }

    fn environment(&self, note: &mut impl FnMut(NoteKind, &str)) {
        let mut has_seed = false;
        for name in string_members(self.root.get("env")).map(|(name, _)| plain(name)) {
            has_seed |= name == HASH_SEED;
            let kind = if DENIED.contains(&&*name) {
                NoteKind::EnvDenied
            } else if is_secret(&name) {
                NoteKind::EnvDroppedAsSecret
            } else {
                NoteKind::OutsideOfDigest
            };
            note(kind, &format!("env.{name}"));
        }
        if !has_seed {
            note(NoteKind::AddedToEnv, &format!("env.{HASH_SEED}"));
        }
    }

    fn limits(&self, note: &mut impl FnMut(NoteKind, &str)) {
        if let Some(escape) = first_unicode_escape(self.root.raw()) {
            note(NoteKind::ReadOtherwise, &escape);
        }
        if self.len_bytes > REQUEST_BYTES_MAX {
            note(NoteKind::OverQuota, "a request of more than 1 MiB");
        }
        if strings_in(self.root.get("outputs")).count() > OUTPUTS_MAX {
            note(NoteKind::OverQuota, "outputs: a list of more than 256");
        }
    }
}

fn is_secret(name: &str) -> bool {
    name == SECRET_NAME
        || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || SECRET_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

fn plain(name: Cow<'_, [u8]>) -> String {
    String::from_utf8_lossy(&name).into_owned()
}

/// Returns the first `\u` with its digits. Backslashes occur in strings only.
fn first_unicode_escape(text: &[u8]) -> Option<String> {
    let mut rest = text;
    loop {
        let backslash = memchr::memchr(b'\\', rest)?;
        rest = &rest[backslash..];
        if let [_, b'u', ..] = rest {
            return Some(String::from_utf8_lossy(rest.get(..6)?).into_owned());
        }
        rest = rest.get(2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(more: &str) -> Vec<(NoteKind, String)> {
        let text = format!("{{\"command\":\"a\",\"workspace_root\":\"/w\"{more}}}");
        let notes = Request::parse(text.as_bytes()).unwrap().notes();
        notes.into_iter().map(|note| (note.kind, note.name)).collect()
    }

    #[test]
    fn a_plain_request_depends_on_the_seed_alone() {
        assert_eq!(notes(""), [(NoteKind::AddedToEnv, "env.PYTHONHASHSEED".into())]);
        let own = notes(r#","env":{"PYTHONHASHSEED":"7"}"#);
        assert_eq!(own, [(NoteKind::OutsideOfDigest, "env.PYTHONHASHSEED".into())]);
    }

    #[test]
    fn names_that_the_command_does_not_get_are_noted() {
        let kind_of = |name: &str| notes(&format!(",\"env\":{{\"PYTHONHASHSEED\":\"0\",\"{name}\":\"v\"}}"))[0].0;
        for name in ["RANDOM", "TZ", "HOSTNAME", "PWD", "OLDPWD", "SHLVL"] {
            assert_eq!(kind_of(name), NoteKind::EnvDenied, "{name}");
        }
        for name in [
            "X_TOKEN",
            "_SECRET",
            "SSH_KEY",
            "DB_PASSWORD",
            "A_CREDENTIAL",
            "AUTHOR",
            "COOKIES",
            "AWS_SECRET_ID",
            "GH_TOKENS",
            "GITHUB_TOKEN2",
            "NPM_TOKEN_X",
            "REACH_ENCRYPTION_KEY",
        ] {
            assert_eq!(kind_of(name), NoteKind::EnvDroppedAsSecret, "{name}");
        }
        for name in ["TOKEN", "KEY", "LANG", "TZ2", "random", "XAUTH", "A_TOKENS"] {
            assert_eq!(kind_of(name), NoteKind::OutsideOfDigest, "{name}");
        }
    }

    #[test]
    fn members_without_effect_are_noted() {
        let found = notes(
            r#","scheduler_mode":"repro","policy":{"mode":"strict","scheduler_mode":"turbo","time_mode":"x",
               "deterministic":true,"allow_outside_workspace":false,"env_allowlist":[],"env_denylist":[],"required_env":{}}"#,
        );
        let warnings: Vec<_> =
            found.iter().filter(|(kind, _)| kind.is_warning()).map(|(_, name)| name.as_str()).collect();
        assert_eq!(warnings, ["scheduler_mode", "policy.env_allowlist", "policy.env_denylist", "policy.required_env"]);
    }

    #[test]
    fn inputs_outside_of_the_digest_are_noted() {
        let text = br#"{"command":"a","workspace_root":"w","timeout_ms":1,"tenant_id":"t","env":{"A":"b"}}"#;
        let notes = Request::parse(text).unwrap().notes();
        let names: Vec<_> = notes.iter().map(|note| note.name.as_str()).collect();
        assert_eq!(names, ["env.A", "timeout_ms", "tenant_id", "env.PYTHONHASHSEED", "workspace_root"]);
        assert!(notes.iter().all(|note| !note.kind.is_warning()));
        assert_eq!(notes[4].kind, NoteKind::RelativeToStart);
    }

    #[test]
    fn escapes_and_quotas_are_noted() {
        assert_eq!(notes(r#","cwd":"a\\u00e9\n""#).len(), 1);
        assert_eq!(notes(r#","cwd":"\\\u00e9\u0041""#)[0], (NoteKind::ReadOtherwise, "\\u00e9".into()));
        let outputs = |count: usize| format!(",\"outputs\":[{}]", vec!["\"o\""; count].join(","));
        assert_eq!(notes(&outputs(256)).len(), 1);
        assert_eq!(notes(&outputs(257))[0].0, NoteKind::OverQuota);
        assert_eq!(notes(&" ".repeat(1 << 20))[0].0, NoteKind::OverQuota);
    }
}
