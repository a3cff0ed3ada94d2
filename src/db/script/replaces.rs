//! The migrations that a squashed file replaces: `-- haul: replaces=VERSION:CHECKSUM`, a line of its header for each.

use serde::Serialize;

use super::error::ScriptFault;
use crate::db::version::Version;

const NAME: &str = "replaces";
/// The hexadecimal digits of a checksum.
const CHECKSUM_DIGITS: usize = 64;

/// A migration that a squashed file replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// Its version.
    pub version: Version,
    /// The checksum of its text.
    pub checksum: String,
}

impl Replaced {
    /// Reads a directive. Returns `None` for another one.
    pub fn read(directive: &str) -> Option<Result<Self, ScriptFault>> {
        let (name, value) = directive.split_once('=')?;
        if name.trim() != NAME {
            return None;
        }
        let fault = ScriptFault::DirectiveValue { name: NAME, what: "expected VERSION:CHECKSUM, as haul writes it" };
        let read = value.trim().split_once(':').and_then(|(version, checksum)| {
            let is_digest = checksum.len() == CHECKSUM_DIGITS && checksum.bytes().all(|byte| byte.is_ascii_hexdigit());
            Some(Self { version: version.parse().ok()?, checksum: checksum.to_owned() }).filter(|_| is_digest)
        });
        Some(read.ok_or(fault))
    }

    /// Returns the line of the header.
    pub fn line(&self) -> String {
        format!("-- haul: {NAME}={}:{}", self.version, self.checksum)
    }

    /// Returns true if a text seems to be that of a squashed file, whose version is that of a file which it replaces.
    pub fn is_in(text: &str) -> bool {
        let head = text.lines().take_while(|line| line.is_empty() || line.starts_with("--"));
        let mut directives = head.filter_map(|line| line.strip_prefix("-- haul:"));
        directives.any(|directive| directive.trim_start().starts_with(NAME))
    }
}
