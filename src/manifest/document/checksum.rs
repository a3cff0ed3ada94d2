//! Checksums of documents in history records (docs/source-sigilzero.md, "Canonical text and checksums").

use std::fmt;

use sha2::{Digest, Sha256};

use super::json::{Value, push_canonical};

/// A SHA-256 digest. Its text is `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Checksum(pub [u8; 32]);

impl Checksum {
    /// Returns the digest of `bytes`.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Returns the digest of the canonical text of `value`. The text is written to `buffer`, whose memory is reused.
    pub fn of_value(value: Value<'_>, buffer: &mut Vec<u8>) -> Self {
        buffer.clear();
        push_canonical(buffer, value);
        Self::of_bytes(buffer)
    }

    /// Appends the text of the checksum.
    pub fn push_text(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"sha256:");
        out.extend(hex_digits(&self.0));
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(71);
        self.push_text(&mut text);
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits"))
    }
}

/// Returns a digest as lower-case hexadecimal digits.
pub(in crate::manifest) fn hex(digest: &[u8; 32]) -> String {
    hex_digits(digest).map(char::from).collect()
}

fn hex_digits(digest: &[u8; 32]) -> impl Iterator<Item = u8> {
    digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| b"0123456789abcdef"[usize::from(digit)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_has_the_text_of_its_digest() {
        let checksum = Checksum::of_bytes(b"");
        let digits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(&checksum.0), digits);
        assert_eq!(checksum.to_string(), format!("sha256:{digits}"));
    }
}
