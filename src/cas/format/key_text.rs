//! Keys as people write them: with the algorithm in front, and only as many digits as are needed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::key::{Algorithm, KEY_TEXT_BYTES, Key, is_key_digit};
use crate::migration::Error;

/// Fewer digits are more likely a slip than a choice.
const DIGITS_MIN: usize = 4;
/// Most keys that an ambiguous beginning is answered with.
const CANDIDATES_MAX: usize = 8;

/// `[ALGORITHM:]DIGITS`: a key, or its first digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyText {
    /// How the key was made, if that is said.
    pub algorithm: Option<Algorithm>,
    digits: String,
}

impl KeyText {
    /// Returns the key if all of its digits are given.
    pub fn whole(&self) -> Option<Key> {
        Key::parse(self.digits.as_bytes())
    }

    /// Returns the lowest key that begins with the digits.
    pub fn lowest(&self) -> Key {
        self.filled_with('0')
    }

    /// Returns true if the key begins with the digits.
    pub fn begins(&self, key: Key) -> bool {
        self.lowest() <= key && key <= self.filled_with('f')
    }

    fn filled_with(&self, digit: char) -> Key {
        let missing = KEY_TEXT_BYTES - self.digits.len();
        let text = self.digits.chars().chain(std::iter::repeat_n(digit, missing)).collect::<String>();
        Key::parse(text.as_bytes()).expect("64 digits")
    }

    /// Returns the only key among those that were found, `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are several. It names the first of them.
    pub fn only(&self, found: &Candidates) -> Result<Option<Key>, Error> {
        if found.0.len() < 2 {
            return Ok(found.0.first().copied());
        }
        let shown: Vec<_> = found.0.iter().take(CANDIDATES_MAX).map(Key::to_string).collect();
        let more = if found.is_full() { " and more" } else { "" };
        Err(Error::Usage {
            what: format!("several keys begin with {}: {}{more}", self.digits, shown.join(", ")),
            next: "give more digits".into(),
        })
    }
}

impl FromStr for KeyText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (algorithm, digits) = match text.split_once(':') {
            Some((name, digits)) => (Some(name.parse::<Algorithm>().map_err(|error| error.to_string())?), digits),
            None => (None, text),
        };
        let is_key = (DIGITS_MIN..=KEY_TEXT_BYTES).contains(&digits.len()) && digits.bytes().all(is_key_digit);
        match is_key {
            true => Ok(Self { algorithm, digits: digits.to_owned() }),
            false => Err(format!(
                "a key has {KEY_TEXT_BYTES} lowercase hex digits, of which the first {DIGITS_MIN} or more are enough \
                 where no other key has them"
            )),
        }
    }
}

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.algorithm {
            Some(algorithm) => write!(f, "{}:{}", algorithm.name(), self.digits),
            None => f.write_str(&self.digits),
        }
    }
}

/// Different keys that were found for one text: one more than are shown at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates(BTreeSet<Key>);

impl Candidates {
    /// Adds a key, unless there are enough.
    pub fn add(&mut self, key: Key) {
        if !self.is_full() {
            self.0.insert(key);
        }
    }

    /// Returns true if a further key would not be shown.
    pub fn is_full(&self) -> bool {
        self.0.len() > CANDIDATES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> KeyText {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_is_written_whole_or_by_its_first_digits() {
        let key = Key([0xAB; 32]);
        assert_eq!(text(&key.to_string()).whole(), Some(key));
        assert_eq!(
            text(&format!("sha256:{key}")),
            KeyText { algorithm: Some(Algorithm::Sha256), digits: key.to_string() }
        );
        for beginning in ["abab", "ababa", "blake3:ababab"] {
            let beginning = text(beginning);
            assert!(beginning.begins(key) && beginning.whole().is_none());
            assert!(!beginning.begins(Key([0xAC; 32])) && !beginning.begins(Key([0xAA; 32])));
        }
        let long = "a".repeat(65);
        for wrong in ["", "abc", "ABAB", "xyz1", "sha1:abab", "sha256:", &*long] {
            assert!(wrong.parse::<KeyText>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_keys_are_named_but_not_all_of_a_thousand() {
        let mut found = Candidates::default();
        assert_eq!(text("abab").only(&found).unwrap(), None);
        found.add(Key([0xAB; 32]));
        found.add(Key([0xAB; 32]));
        assert_eq!(text("abab").only(&found).unwrap(), Some(Key([0xAB; 32])));
        (0..1000_u16).for_each(|n| found.add(Key([(n % 250) as u8; 32])));
        let error = text("abab").only(&found).unwrap_err().to_string();
        assert!(error.ends_with(" and more") && error.matches(", ").count() == CANDIDATES_MAX - 1, "{error}");
    }
}
