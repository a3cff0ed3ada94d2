//! The directories of an object's path directly before its name: two hex digits each, as in `objects/AB/CD/KEY`.

/// The bytes of `%2F` after the percent sign.
pub(super) const ENCODED_SLASH_BYTES: usize = 2;

/// What stands between two names of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// `/`
    Slash,
    /// `\/`, as some writers of JSON put it.
    EscapedSlash,
    /// `\`, as Windows writes paths.
    Backslash,
    /// `\\`, the same in JSON.
    EscapedBackslash,
    /// `%2F`, as in URLs.
    PercentUpper,
    /// `%2f`.
    PercentLower,
}

impl Separator {
    /// Returns its text.
    pub fn text(self) -> &'static [u8] {
        match self {
            Self::Slash => b"/",
            Self::EscapedSlash => b"\\/",
            Self::Backslash => b"\\",
            Self::EscapedBackslash => b"\\\\",
            Self::PercentUpper => b"%2F",
            Self::PercentLower => b"%2f",
        }
    }
}

/// A directory of two hex digits.
#[derive(Debug, Clone, Copy)]
struct Shard {
    start: u64,
    /// In lower case.
    digits: [u8; 2],
    separator: Separator,
}

/// The directories that a key follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyPath {
    /// Where the first of them begins.
    pub(super) start: u64,
    pub(super) separator: Separator,
    /// True for the layout `AB/CD/KEY`, which the new store has as well, with one separator.
    pub(super) is_of_two: bool,
}

/// Remembers the last directories of a text that comes word by word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shards {
    /// The last two, without a gap up to the current word.
    found: [Option<Shard>; 2],
    /// A directory after which a backslash or a percent sign came; what follows tells the separator.
    open: Option<Shard>,
    /// The byte before the current word.
    before: u8,
}

impl Shards {
    pub(super) fn new() -> Self {
        Self { found: [None; 2], open: None, before: b'\n' }
    }

    /// Returns where the first of the directories begins.
    pub(super) fn start(&self) -> Option<u64> {
        let [first, last] = self.found;
        first.or(last).or(self.open).map(|shard| shard.start)
    }

    /// Adds the word that starts at `start`, and the byte after it.
    pub(super) fn push(&mut self, word: &[u8], start: u64, after: u8) {
        let before = std::mem::replace(&mut self.before, after);
        if let Some(shard) = self.open.take() {
            let add = |separator| Some(Shard { separator, ..shard });
            match (shard.separator, word, after) {
                (Separator::Backslash, b"", b'/') => return self.add(add(Separator::EscapedSlash)),
                (Separator::Backslash, b"", b'\\') => return self.add(add(Separator::EscapedBackslash)),
                (_, b"", _) => self.found = [None; 2],
                _ => self.add(Some(shard)),
            }
        }
        let is_whole_name = self.found[1].is_some() || !continues_name(before);
        match (<[u8; 2]>::try_from(word), after) {
            (Ok(digits), b'/' | b'\\' | b'%') if is_whole_name && digits.iter().all(u8::is_ascii_hexdigit) => {
                let separator = match after {
                    b'/' => Separator::Slash,
                    b'\\' => Separator::Backslash,
                    _ => Separator::PercentUpper,
                };
                let shard = Some(Shard { start, digits: digits.map(|c| c.to_ascii_lowercase()), separator });
                match separator {
                    Separator::Slash => self.add(shard),
                    _ => self.open = shard,
                }
            }
            _ => self.found = [None; 2],
        }
    }

    fn add(&mut self, shard: Option<Shard>) {
        self.found = [self.found[1], shard];
    }

    /// Tells whether the word goes on with an encoded slash: then its first [`ENCODED_SLASH_BYTES`] are no part of a name.
    pub(super) fn take_encoded_slash(&mut self, word: &[u8]) -> bool {
        if self.before != b'%' {
            return false;
        }
        let separator = match word.first_chunk() {
            Some(b"2F") => Separator::PercentUpper,
            Some(b"2f") => Separator::PercentLower,
            _ => {
                (self.found, self.open) = ([None; 2], None);
                return false;
            }
        };
        self.open = self.open.map(|shard| Shard { separator, ..shard });
        self.before = b'/';
        true
    }

    /// Returns the last two directories before a word that is not empty.
    fn before_word(&self) -> [Option<Shard>; 2] {
        if self.open.is_some() { [self.found[1], self.open] } else { self.found }
    }

    /// Returns the digits of the directory directly before the current word.
    pub(super) fn last_digits(&self) -> Option<[u8; 2]> {
        self.before_word()[1].map(|shard| shard.digits)
    }

    /// Returns the directories before the current word, if they are those of this key; the last one only if the word lacks
    /// its digits.
    pub(super) fn path_of(&self, key: &[u8], is_split: bool) -> Option<KeyPath> {
        let [first, last] = self.before_word();
        let last = last?;
        match first {
            Some(first) if !is_split && key.starts_with(&[first.digits, last.digits].concat()) => {
                let is_of_two = first.separator == last.separator;
                Some(KeyPath { start: first.start, separator: last.separator, is_of_two })
            }
            _ if key.starts_with(&last.digits) => {
                Some(KeyPath { start: last.start, separator: last.separator, is_of_two: false })
            }
            _ => None,
        }
    }
}

/// Returns true for bytes that names of files have, apart from those of words: `x-ab` is not the directory `ab`.
fn continues_name(byte: u8) -> bool {
    matches!(byte, b'-' | b'.' | b'+' | b'~' | b'%' | b'@' | b'#' | b'$' | b'!') || !byte.is_ascii()
}
