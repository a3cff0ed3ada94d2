//! Finds references in bytes that come piece by piece.

use crate::cas::format::key::{Algorithm, KEY_TEXT_BYTES, Key};

/// Bytes of a word that are kept. A longer word is neither a key nor a scheme.
const WORD_BYTES_MAX: usize = KEY_TEXT_BYTES + 1;

/// A scheme before a digest, followed by a colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `sha256`, `blake2s` or `blake3`: how the digest was made. Never [`Algorithm::Cas`].
    Digest(Algorithm),
    /// `cas`: the digest names an object of a store, whatever the algorithm.
    Store,
}

impl Scheme {
    /// Returns the scheme with that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"sha256" => Some(Self::Digest(Algorithm::Sha256)),
            b"blake2s" => Some(Self::Digest(Algorithm::Blake2s)),
            b"blake3" => Some(Self::Digest(Algorithm::Blake3)),
            b"cas" => Some(Self::Store),
            _ => None,
        }
    }

    /// Returns the name without the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digest(algorithm) => algorithm.name(),
            Self::Store => "cas",
        }
    }
}

/// A reference and its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// Where the scheme starts, or the key if there is no scheme.
    pub offset: u64,
    /// The scheme before the key.
    pub scheme: Option<Scheme>,
    /// The key.
    pub key: Key,
}

impl Reference {
    /// Returns the length of the text in bytes.
    pub fn len_bytes(&self) -> u64 {
        (text_bytes(self.scheme)) as u64
    }

    /// Returns where the text ends.
    pub fn end(&self) -> u64 {
        self.offset + self.len_bytes()
    }
}

fn text_bytes(scheme: Option<Scheme>) -> usize {
    scheme.map_or(0, |scheme| scheme.name().len() + 1) + KEY_TEXT_BYTES
}

/// A scheme whose colon is the last byte before the word.
pub(super) fn push_reference(scheme: Option<Scheme>, key: Key, out: &mut Vec<u8>) {
    if let Some(scheme) = scheme {
        out.extend_from_slice(scheme.name().as_bytes());
        out.push(b':');
    }
    out.extend_from_slice(&key.text());
}

/// Finds the references of a text that is given in pieces, which may be cut anywhere.
#[derive(Debug, Clone)]
pub struct Scanner {
    offset: u64,
    /// The word at the end of the text so far: its first bytes and its length.
    word: [u8; WORD_BYTES_MAX],
    word_bytes: usize,
    /// A scheme whose colon is the last byte before the word.
    scheme: Option<Scheme>,
}

impl Scanner {
    /// Starts a text.
    pub fn new() -> Self {
        Self { offset: 0, word: [0; WORD_BYTES_MAX], word_bytes: 0, scheme: None }
    }

    /// Adds the next piece and passes each reference that is known to end in it, or to have ended right before it, to
    /// `found`.
    pub fn push<E>(&mut self, piece: &[u8], mut found: impl FnMut(Reference) -> Result<(), E>) -> Result<(), E> {
        let mut rest = piece;
        loop {
            let word_bytes = rest.iter().position(|&byte| !is_word_byte(byte)).unwrap_or(rest.len());
            self.take_word(&rest[..word_bytes]);
            let Some(&separator) = rest.get(word_bytes) else { return Ok(()) };
            if let Some(reference) = self.end_word(separator) {
                found(reference)?;
            }
            self.offset += 1;
            rest = &rest[word_bytes + 1..];
        }
    }

    /// Returns the reference that the end of the text completes.
    pub fn finish(mut self) -> Option<Reference> {
        self.end_word(b'\n')
    }

    /// Returns the offset from which on the text may belong to a reference that is not complete. Everything before is
    /// final.
    pub fn settled_until(&self) -> u64 {
        match self.word_bytes {
            WORD_BYTES_MAX.. => self.offset,
            word_bytes => self.offset - word_bytes as u64 - self.scheme_bytes(),
        }
    }

    fn take_word(&mut self, bytes: &[u8]) {
        let room = WORD_BYTES_MAX - self.word_bytes;
        let kept = &bytes[..bytes.len().min(room)];
        self.word[self.word_bytes..][..kept.len()].copy_from_slice(kept);
        self.word_bytes += kept.len();
        self.offset += bytes.len() as u64;
    }

    /// Ends the current word before `separator`.
    fn end_word(&mut self, separator: u8) -> Option<Reference> {
        let word = &self.word[..self.word_bytes];
        let start = self.offset - word.len() as u64;
        // A word of which the end was dropped is longer than a key.
        let key = Key::parse(word);
        let reference = key.map(|key| Reference { offset: start - self.scheme_bytes(), scheme: self.scheme, key });
        self.scheme = if separator == b':' { Scheme::from_name(word) } else { None };
        self.word_bytes = 0;
        reference
    }

    fn scheme_bytes(&self) -> u64 {
        self.scheme.map_or(0, |scheme| scheme.name().len() as u64 + 1)
    }
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d";

    fn scan(pieces: &[&[u8]]) -> Vec<Reference> {
        let mut scanner = Scanner::new();
        let mut found = Vec::new();
        for piece in pieces {
            let before = found.len();
            let settled = scanner.settled_until();
            let Ok(()) = scanner.push(piece, |reference| {
                found.push(reference);
                Ok::<_, Infallible>(())
            });
            assert!(found[before..].iter().all(|reference| reference.offset >= settled), "{settled} was not settled");
        }
        let settled = scanner.settled_until();
        let last = scanner.finish();
        assert!(last.is_none_or(|reference| reference.offset >= settled));
        found.extend(last);
        found
    }

    /// Returns what is found, as text.
    fn texts(text: &str) -> Vec<&str> {
        let found = scan(&[text.as_bytes()]);
        found.iter().map(|reference| &text[reference.offset as usize..reference.end() as usize]).collect()
    }

    #[test]
    fn a_reference_is_a_whole_word() {
        let found = |template: &str| texts(&template.replace('K', KEY)).concat().replace(KEY, "K");
        for (text, expected) in [
            ("K", "K"),
            ("\"K\"", "K"),
            (" K,K\nK", "KKK"),
            ("aK", ""),
            ("Ka", ""),
            ("KK", ""),
            ("_K", ""),
            ("K_", ""),
            ("GK", ""),
            ("0K", ""),
            ("éKé", "K"),
            ("-K-", "K"),
            ("/K.meta", "K"),
            ("sha256:K", "sha256:K"),
            ("\"blake2s:K\"", "blake2s:K"),
            ("blake3:K", "blake3:K"),
            ("cas:K", "cas:K"),
            ("cas:sha256:K", "sha256:K"),
            ("xcas:K", "K"),
            ("_sha256:K", "K"),
            ("-sha256:K", "sha256:K"),
            ("sha256 :K", "K"),
            ("sha256: K", "K"),
            ("sha256::K", "K"),
            ("sha256-K", "K"),
            ("SHA256:K", "K"),
            ("sha512:K", "K"),
            ("md5:K", "K"),
            ("sha256:", ""),
            ("sha256:aK", ""),
            ("K:sha256:K", "Ksha256:K"),
            ("sha256:K:K", "sha256:KK"),
            ("", ""),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
        assert_eq!(texts(&KEY.to_uppercase()), [""; 0]);
        assert_eq!(texts(&KEY[1..]), [""; 0]);
        assert_eq!(texts(&"0".repeat(1000)), [""; 0]);
    }

    #[test]
    fn a_reference_has_its_position() {
        let text = format!("ab sha256:{KEY} {KEY}");
        let key = Key::parse(KEY.as_bytes()).expect("a key");
        let expected = [
            Reference { offset: 3, scheme: Some(Scheme::Digest(Algorithm::Sha256)), key },
            Reference { offset: 3 + 7 + 64 + 1, scheme: None, key },
        ];
        assert_eq!(scan(&[text.as_bytes()]), expected);
        assert_eq!(expected.map(|reference| reference.end()), [74, 139]);
    }

    #[test]
    fn schemes_are_found_by_name() {
        for name in ["sha256", "blake2s", "blake3", "cas"] {
            let scheme = Scheme::from_name(name.as_bytes()).expect("a scheme");
            assert_eq!(scheme.name(), name);
        }
        assert_eq!(Scheme::from_name(b"sha1"), None);
    }

    /// A text in which references and near misses are frequent.
    fn text() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just(KEY.to_owned()),
            "(sha256|blake2s|blake3|cas|md5|xcas)",
            "[:: \"_a0Gé-]",
            "[0-9a-f]{60,66}",
        ];
        proptest::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
    }

    /// The rule in another form, without state.
    fn by_definition(text: &[u8]) -> Vec<(u64, u64)> {
        let is_word = |at: usize| text.get(at).is_some_and(|&byte| is_word_byte(byte));
        let mut found = Vec::new();
        for start in 0..text.len().saturating_sub(63) {
            let end = start + 64;
            let is_hex = text[start..end].iter().all(|byte| b"0123456789abcdef".contains(byte));
            if !is_hex || is_word(end) || start > 0 && is_word(start - 1) {
                continue;
            }
            let scheme = ["sha256:", "blake2s:", "blake3:", "cas:"].into_iter().find(|scheme| {
                let from = start.checked_sub(scheme.len());
                from.is_some_and(|from| {
                    text[from..].starts_with(scheme.as_bytes()) && (from == 0 || !is_word(from - 1))
                })
            });
            found.push(((start - scheme.map_or(0, str::len)) as u64, end as u64));
        }
        found
    }

    proptest! {
        #[test]
        fn every_cut_finds_what_the_definition_says(text in text(), cuts in proptest::collection::vec(0_usize..40, 0..60)) {
            let bytes = text.as_bytes();
            let whole = scan(&[bytes]);
            let spans: Vec<_> = whole.iter().map(|reference| (reference.offset, reference.end())).collect();
            prop_assert_eq!(spans, by_definition(bytes));
            let mut pieces = Vec::new();
            let mut rest = bytes;
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(scan(&pieces), whole);
        }
    }
}
