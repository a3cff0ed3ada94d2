//! Names of objects: digests of 32 bytes, written as 64 lower-case hex digits (docs/source-requiem.md, "Digests" and
//! "The v2 store").

use std::fmt;

/// Length of a key as text.
pub const KEY_TEXT_BYTES: usize = 64;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A digest that is the name of an object, or is compared with one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, bincode::Encode, bincode::Decode)]
pub struct Key(pub [u8; 32]);

impl Key {
    /// Returns the key that `text` writes: exactly 64 of `[0-9a-f]`; `None` for anything else, upper-case digits
    /// included.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text: &[u8; KEY_TEXT_BYTES] = text.try_into().ok()?;
        let (mut key, mut seen) = ([0; 32], 0);
        for (byte, pair) in key.iter_mut().zip(text.as_chunks::<2>().0) {
            // No branch for each digit: keys are parsed for every name and line of a store, and a wrong digit shows in
            // `seen`.
            let [high, low] = pair.map(|digit| VALUES[usize::from(digit)]);
            *byte = high << 4 | low;
            seen |= high | low;
        }
        (seen < 16).then_some(Self(key))
    }

    /// Returns the 64 hex digits.
    pub fn text(&self) -> [u8; KEY_TEXT_BYTES] {
        let mut text = [0; KEY_TEXT_BYTES];
        for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        }
        text
    }
}

/// Returns true for the digits of keys: `[0-9a-f]`.
pub fn is_key_digit(byte: u8) -> bool {
    VALUES[usize::from(byte)] < 16
}

/// The value of each byte as a digit; 255 for bytes that are not digits.
const VALUES: [u8; 256] = {
    let mut values = [255; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl serde::Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How a generation of stores makes keys from content (docs/source-requiem.md, "Digests" and "Generations"). Algorithms
/// are ordered by name, because rows of equal keys in a map are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Algorithm {
    /// BLAKE2s-256 of the content: v0.5.
    Blake2s = 0,
    /// BLAKE3 of the content: v0.7.
    Blake3 = 1,
    /// BLAKE3 of `cas:` and the content: v1.3 and today.
    Cas = 2,
    /// SHA-256 of the content: v0.2 and the documented flat layout.
    Sha256 = 3,
}

impl Algorithm {
    /// All algorithms, sorted by name.
    pub const ALL: [Self; 4] = [Self::Blake2s, Self::Blake3, Self::Cas, Self::Sha256];

    /// Returns the name in maps and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blake2s => "blake2s",
            Self::Blake3 => "blake3",
            Self::Cas => "cas",
            Self::Sha256 => "sha256",
        }
    }

    /// Returns the algorithm with that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Returns the algorithm that is stored as `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// A text that is not the name of an [`Algorithm`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown algorithm '{0}', expected blake2s, blake3, cas or sha256")]
pub struct UnknownAlgorithm(String);

impl std::str::FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::from_name(name).ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_read_from_their_text(bytes: [u8; 32]) {
            let key = Key(bytes);
            prop_assert_eq!(Key::parse(&key.text()), Some(key));
            let text = key.to_string();
            prop_assert_eq!(text.as_bytes(), key.text());
        }

        #[test]
        fn any_text_is_a_key_or_is_refused(text in "[0-9a-fA-Fg/]{60,66}") {
            let plain = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
            prop_assert_eq!(Key::parse(text.as_bytes()).is_some(), plain);
        }
    }

    #[test]
    fn algorithms_are_ordered_by_name_and_found_by_name_and_number() {
        let names = Algorithm::ALL.map(Algorithm::name);
        assert!(names.is_sorted());
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert_eq!(Algorithm::from_number(algorithm as u8), Some(algorithm));
        }
        assert_eq!((Algorithm::from_name("md5"), Algorithm::from_number(4)), (None, None));
    }
}
