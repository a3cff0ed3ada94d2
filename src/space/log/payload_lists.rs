//! Lists of strings and of string pairs inside a payload, read where they lie.

use std::collections::BTreeMap;

use super::bincode_reader::{Cursor, DecodeError};

/// A list of strings, checked and borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrList<'a> {
    count: u64,
    items: &'a [u8],
}

impl<'a> StrList<'a> {
    /// Checks a count and that many strings.
    #[inline]
    pub fn parse(cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let count = cursor.count(8)?;
        let start = cursor.position();
        for _ in 0..count {
            cursor.str()?;
        }
        Ok(Self { count, items: cursor.since(start) })
    }

    /// Returns the strings in the list.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Returns whether the list is empty.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the strings, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut cursor = Cursor::new(self.items);
        // All of them were checked by `parse`, so the end of the bytes is the end of the list.
        std::iter::from_fn(move || cursor.str().ok())
    }

    /// Returns an owned copy.
    pub fn to_vec(self) -> Vec<String> {
        self.iter().map(str::to_owned).collect()
    }
}

/// A map as Engram encodes it: pairs of strings in the order written, checked and borrowed. A key may repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairList<'a> {
    count: u64,
    pairs: &'a [u8],
    repeated_key: bool,
}

/// Lists up to this length are searched for repeated keys without an allocation.
const KEYS_ON_STACK: usize = 16;

impl<'a> PairList<'a> {
    /// Checks a count and that many pairs.
    #[inline]
    pub fn parse(cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let count = cursor.count(16)?;
        let start = cursor.position();
        let mut keys = [""; KEYS_ON_STACK];
        let mut repeated_key = false;
        for index in 0..count {
            let key = cursor.str()?;
            cursor.str()?;
            if let Some(slot) = usize::try_from(index).ok().filter(|&index| index < KEYS_ON_STACK) {
                repeated_key |= keys[..slot].contains(&key);
                keys[slot] = key;
            }
        }
        let mut list = Self { count, pairs: cursor.since(start), repeated_key };
        if count > KEYS_ON_STACK as u64 {
            list.repeated_key = list.latest().len() as u64 != count;
        }
        Ok(list)
    }

    /// Returns the pairs in the list, repeated keys included.
    pub const fn len(&self) -> u64 {
        self.count
    }

    /// Returns whether the list is empty.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns whether a key stands more than once.
    pub const fn has_repeated_key(&self) -> bool {
        self.repeated_key
    }

    /// Returns the pairs, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let mut cursor = Cursor::new(self.pairs);
        std::iter::from_fn(move || Some((cursor.str().ok()?, cursor.str().ok()?)))
    }

    /// Returns the value of `key`: the last one if the key repeats, as Engram decodes it.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.iter().filter(|pair| pair.0 == key).last().map(|pair| pair.1)
    }

    /// Returns an owned copy with every pair.
    pub fn to_vec(self) -> Vec<(String, String)> {
        self.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    }

    /// Returns whether both decode to the same map: order does not count, and of a repeated key only the last value.
    pub fn same_map(&self, other: &Self) -> bool {
        self.pairs == other.pairs || self.latest() == other.latest()
    }

    fn latest(&self) -> BTreeMap<&'a str, &'a str> {
        self.iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::bincode_reader::put;
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
        let owned: Vec<_> = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        let mut bytes = Vec::new();
        put::pairs(&mut bytes, &owned);
        bytes
    }

    fn parse(bytes: &[u8]) -> PairList<'_> {
        PairList::parse(&mut Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        let bytes = pairs(&[("k", "1"), ("a", ""), ("k", "2")]);
        let list = parse(&bytes);
        assert!(list.has_repeated_key());
        assert_eq!((list.len(), list.get("k"), list.get("a"), list.get("b")), (3, Some("2"), Some(""), None));
        assert_eq!(list.iter().collect::<Vec<_>>(), [("k", "1"), ("a", ""), ("k", "2")]);
        let other = pairs(&[("a", ""), ("k", "2")]);
        assert!(!parse(&other).has_repeated_key());
        assert!(list.same_map(&parse(&other)));
        assert!(!list.same_map(&parse(&pairs(&[("a", ""), ("k", "1")]))));
    }

    #[test]
    fn repeated_keys_are_found_in_long_lists_too() {
        for count in [15, 16, 17, 40] {
            let keys: Vec<_> = (0..count).map(|index| index.to_string()).collect();
            let mut list: Vec<_> = keys.iter().map(|key| (key.as_str(), "v")).collect();
            assert!(!parse(&pairs(&list)).has_repeated_key());
            list[count - 1].0 = "0";
            assert!(parse(&pairs(&list)).has_repeated_key());
        }
    }

    #[test]
    fn a_count_is_compared_with_what_is_left() {
        let mut bytes = (1_u64 << 40).to_le_bytes().to_vec();
        bytes.extend_from_slice(&[0; 64]);
        assert_eq!(StrList::parse(&mut Cursor::new(&bytes)).unwrap_err().offset, 8);
        assert_eq!(PairList::parse(&mut Cursor::new(&bytes)).unwrap_err().offset, 8);
    }
}
