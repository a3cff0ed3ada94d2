//! Finds references in bytes that come piece by piece.

use super::shards::{ENCODED_SLASH_BYTES, Separator, Shards};
use crate::cas::format::key::{Algorithm, KEY_TEXT_BYTES, Key};

/// The bytes of `\u00XX` after the backslash.
const ESCAPE_BYTES: usize = 5;
/// Bytes of a word that are kept. A longer word is neither a key, in whatever spelling, nor a scheme.
const WORD_BYTES_MAX: usize = ESCAPE_BYTES + KEY_TEXT_BYTES + 1;
/// Length of a name whose first two digits are those of its directory.
const SPLIT_NAME_BYTES: usize = KEY_TEXT_BYTES - 2;

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
    /// Where the directories before the key start, or the scheme, or else the key.
    pub offset: u64,
    /// Length of the text in bytes.
    pub len_bytes: u64,
    /// The scheme before the key.
    pub scheme: Option<Scheme>,
    /// The key.
    pub key: Key,
    /// How it is written.
    pub spelling: Spelling,
}

/// How a reference is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelling {
    /// True if its letters are upper-case.
    pub is_upper: bool,
    /// What separates the key from its directories, if these are part of the reference.
    pub directories: Option<Separator>,
    /// True if a rewritten reference has the same spelling, so that it can be restored: neither mixed case nor escapes, and
    /// no directories or two.
    pub is_kept: bool,
}

impl Reference {
    /// Returns where the text ends.
    pub fn end(&self) -> u64 {
        self.offset + self.len_bytes
    }

    /// Appends the text of a reference to `key` in this spelling. Directories are those of the new layout.
    pub(super) fn push_replacement(&self, scheme: Option<Scheme>, key: Key, out: &mut Vec<u8>) {
        let mut text = key.text();
        if self.spelling.is_upper {
            text.make_ascii_uppercase();
        }
        if let Some(separator) = self.spelling.directories {
            for digits in [&text[..2], &text[2..4]] {
                out.extend_from_slice(digits);
                out.extend_from_slice(separator.text());
            }
        }
        if let Some(scheme) = scheme {
            out.extend_from_slice(scheme.name().as_bytes());
            out.push(b':');
        }
        out.extend_from_slice(&text);
    }
}

fn scheme_bytes(scheme: Option<Scheme>) -> u64 {
    scheme.map_or(0, |scheme| scheme.name().len() as u64 + 1)
}

/// Finds the references of a text that is given in pieces, which may be cut anywhere.
#[derive(Debug, Clone)]
pub struct Scanner {
    offset: u64,
    /// The word at the end of the text so far.
    word: Word,
    /// A scheme whose colon is the last byte before the word.
    scheme: Option<Scheme>,
    /// What stands before the word, if a backslash is the last byte before it.
    escaped: Option<Start>,
    /// True if the last byte before the word is a backslash that no other one precedes.
    is_after_backslash: bool,
    shards: Shards,
}

/// The first bytes of a word, and their number.
#[derive(Debug, Clone, Copy)]
struct Word {
    bytes: [u8; WORD_BYTES_MAX],
    len: usize,
}

/// The start of a word that goes on with an escaped character.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// With its escapes resolved.
    word: Word,
    offset: u64,
    scheme: Option<Scheme>,
    is_escaped: bool,
    /// The directories before it.
    shards: Shards,
}

impl Word {
    const EMPTY: Self = Self { bytes: [0; WORD_BYTES_MAX], len: 0 };

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn is_full(&self) -> bool {
        self.len == WORD_BYTES_MAX
    }

    fn drop_first(&mut self, count: usize) {
        self.bytes.copy_within(count..self.len, 0);
        self.len -= count;
    }

    fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[..bytes.len().min(WORD_BYTES_MAX - self.len)];
        self.bytes[self.len..][..kept.len()].copy_from_slice(kept);
        self.len += kept.len();
    }
}

impl Scanner {
    /// Starts a text.
    pub fn new() -> Self {
        Self {
            offset: 0,
            word: Word::EMPTY,
            scheme: None,
            escaped: None,
            is_after_backslash: false,
            shards: Shards::new(),
        }
    }

    /// Adds the next piece and passes each reference that is known to end in it, or to have ended right before it, to
    /// `found`.
    pub fn push<E>(&mut self, piece: &[u8], mut found: impl FnMut(Reference) -> Result<(), E>) -> Result<(), E> {
        let mut rest = piece;
        loop {
            let word_bytes = rest.iter().position(|&byte| !is_word_byte(byte)).unwrap_or(rest.len());
            self.word.push(&rest[..word_bytes]);
            self.offset += word_bytes as u64;
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
        if self.word.is_full() {
            return self.offset;
        }
        let word = self.offset - self.word.len as u64 - scheme_bytes(self.scheme);
        let start = self.escaped.map(|start| start.offset - scheme_bytes(start.scheme));
        let before_start = self.escaped.and_then(|start| start.shards.start());
        [start, before_start, self.shards.start()].into_iter().flatten().fold(word, u64::min)
    }

    /// Ends the current word before `separator`.
    fn end_word(&mut self, separator: u8) -> Option<Reference> {
        if self.shards.take_encoded_slash(self.word.as_bytes()) {
            self.word.drop_first(ENCODED_SLASH_BYTES);
        }
        let ended = self.ended_word();
        let reference = self.reference(&ended);
        self.shards = ended.shards;
        self.shards.push(ended.word.as_bytes(), ended.offset, separator);
        self.scheme = if separator == b':' { Scheme::from_name(ended.word.as_bytes()) } else { None };
        // A backslash after a backslash is meant itself.
        self.is_after_backslash = separator == b'\\' && !(self.is_after_backslash && self.word.len == 0);
        self.escaped = self.is_after_backslash.then_some(ended).filter(|ended| ended.word.len < KEY_TEXT_BYTES);
        self.word = Word::EMPTY;
        reference
    }

    /// Returns the current word with what stands before it, if it begins with an escaped character.
    fn ended_word(&self) -> Start {
        let plain = Start {
            word: self.word,
            offset: self.offset - self.word.len as u64,
            scheme: self.scheme,
            is_escaped: false,
            shards: self.shards,
        };
        match (self.escaped, unescaped(self.word.as_bytes())) {
            (Some(start), Some((character, rest))) => {
                let mut word = start.word;
                word.push(&[character]);
                word.push(rest);
                Start { word, is_escaped: true, ..start }
            }
            _ => plain,
        }
    }

    fn reference(&self, ended: &Start) -> Option<Reference> {
        let is_split = ended.word.len == SPLIT_NAME_BYTES && !ended.is_escaped;
        if !is_split && ended.word.len != KEY_TEXT_BYTES {
            return None;
        }
        let mut text = ended.word.as_bytes().to_ascii_lowercase();
        if is_split {
            text.splice(..0, ended.shards.last_digits()?);
        }
        let key = Key::parse(&text)?;
        let has = |is: fn(&u8) -> bool| ended.word.as_bytes().iter().any(is);
        let (has_upper, has_lower) = (has(u8::is_ascii_uppercase), has(u8::is_ascii_lowercase));
        let path = ended.shards.path_of(&text, is_split);
        let offset = path.map_or(ended.offset - scheme_bytes(ended.scheme), |path| path.start);
        let spelling = Spelling {
            is_upper: has_upper && !has_lower,
            directories: path.map(|path| path.separator),
            is_kept: !(ended.is_escaped || has_upper && has_lower || path.is_some_and(|path| !path.is_of_two)),
        };
        Some(Reference { offset, len_bytes: self.offset - offset, scheme: ended.scheme, key, spelling })
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

/// Returns the character of a word that begins with `u00XX`, the rest of an escape, and what follows it. Only characters
/// of words are of interest.
fn unescaped(word: &[u8]) -> Option<(u8, &[u8])> {
    let digits = word.strip_prefix(b"u00")?.first_chunk::<2>()?;
    let character = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    is_word_byte(character).then_some((character, &word[ESCAPE_BYTES..]))
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
        assert_eq!(texts(&KEY[1..]), [""; 0]);
        assert_eq!(texts(&"0".repeat(1000)), [""; 0]);
    }

    #[test]
    fn a_reference_may_be_written_in_other_ways() {
        let (upper, mixed) = (KEY.to_uppercase(), KEY.replace('c', "C"));
        let (first, rest, split) = (format!("\\u0038{}", &KEY[1..]), &KEY[1..], &KEY[2..]);
        let inner = format!("{}\\u0038\\u0063{}", &KEY[..2], &KEY[4..]);
        for (text, expected) in [
            (upper.clone(), &*upper),
            (mixed.clone(), &mixed),
            (format!("\"sha256:{first}\""), &format!("sha256:{first}")),
            (format!("\"{inner}\""), &inner),
            (format!("\\\\u0038{rest}"), ""),
            (format!("\\u00e9{rest}"), ""),
            (format!("{KEY}\\n"), KEY),
            (format!("objects/88/8c/{KEY}.meta"), &format!("88/8c/{KEY}")),
            (format!("\"88\\/8c\\/{KEY}\""), &format!("88\\/8c\\/{KEY}")),
            (format!("OBJECTS/88/8C/{upper}"), &format!("88/8C/{upper}")),
            (format!("objects/88/{KEY}"), &format!("88/{KEY}")),
            (format!("objects/88/{split}"), &format!("88/{split}")),
            (format!("a/b/88/8c/{first}"), &format!("88/8c/{first}")),
            (format!("objects/{KEY}"), KEY),
            (format!("88/8d/{KEY}"), KEY),
            (format!("8c/88/8d/{KEY}"), KEY),
            (format!("x-88/8c/{KEY}"), KEY),
            (format!("88 /8c/{KEY}"), KEY),
            (format!("88/8c//{KEY}"), KEY),
            (format!("objects\\88\\8c\\{KEY}"), &format!("88\\8c\\{KEY}")),
            (format!("\"objects\\\\88\\\\8c\\\\{KEY}\""), &format!("88\\\\8c\\\\{KEY}")),
            (format!("objects\\88\\{split}"), &format!("88\\{split}")),
            (format!("u=objects%2F88%2F8c%2F{KEY}&v"), &format!("88%2F8c%2F{KEY}")),
            (format!("objects%2f88%2f8c%2f{KEY}"), &format!("88%2f8c%2f{KEY}")),
            (format!("objects%2F{KEY}"), KEY),
            (format!("objects%2F88%2F{split}"), &format!("88%2F{split}")),
            (format!("%2F{}", &KEY[2..]), ""),
            (format!("88%208c/{KEY}"), KEY),
            (format!("88/%8c/{KEY}"), KEY),
            (format!("88%2F%2F8c%2F{KEY}"), KEY),
            (format!("88\\n8c\\{KEY}"), KEY),
            (split.to_owned(), ""),
            (format!("objects/{split}"), ""),
        ] {
            assert_eq!(texts(&text).concat(), expected, "{text}");
            let whole = scan(&[text.as_bytes()]);
            for at in 0..=text.len() {
                assert_eq!(scan(&[&text.as_bytes()[..at], &text.as_bytes()[at..]]), whole, "{text} cut at {at}");
            }
        }
    }

    #[test]
    fn only_what_can_be_restored_counts_as_kept() {
        let is_kept = |text: &str| scan(&[text.as_bytes()])[0].spelling.is_kept;
        let (upper, mixed) = (KEY.to_uppercase(), KEY.replace('c', "C"));
        let (windows, url) = (format!("88\\8c\\{KEY}"), format!("88%2f8c%2f{KEY}"));
        for text in [KEY, &upper, &format!("88/8c/{KEY}"), &windows, &url, &format!("cas:{KEY}")] {
            assert!(is_kept(text), "{text}");
        }
        for text in [
            &mixed,
            &format!("88/8c%2F{KEY}"),
            &format!("\\u0038{}", &KEY[1..]),
            &format!("88/{KEY}"),
            &format!("88/{}", &KEY[2..]),
        ] {
            assert!(!is_kept(text), "{text}");
        }
    }

    #[test]
    fn a_reference_has_its_position() {
        let text = format!("ab sha256:{KEY} {KEY}");
        let key = Key::parse(KEY.as_bytes()).expect("a key");
        let spelling = Spelling { is_upper: false, directories: None, is_kept: true };
        let sha256 = Some(Scheme::Digest(Algorithm::Sha256));
        let expected = [
            Reference { offset: 3, len_bytes: 71, scheme: sha256, key, spelling },
            Reference { offset: 3 + 7 + 64 + 1, len_bytes: 64, scheme: None, key, spelling },
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
