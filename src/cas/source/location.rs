//! The path of an object below the directory of objects (docs/source-requiem.md, "Layouts").

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::cas::format::key::{KEY_TEXT_BYTES, Key, is_key_digit};
use crate::migration::plan::escape_name;

/// Length of the longest location: two shards and a whole key.
pub const LOCATION_BYTES: usize = 6 + KEY_TEXT_BYTES;

/// Length of a name whose first two digits are the directory's name.
const SPLIT_NAME_BYTES: usize = KEY_TEXT_BYTES - 2;

/// The name of a directory that has a share of the objects: two hex digits.
pub type Shard = [u8; 2];

/// Returns the shard that a directory's name means: exactly two of `[0-9a-f]`.
pub fn shard(name: &OsStr) -> Option<Shard> {
    let name: Shard = name.as_bytes().try_into().ok()?;
    name.iter().all(|&digit| is_key_digit(digit)).then_some(name)
}

/// The path of an object relative to the directory of objects, in any layout that a generation had: `<key>`,
/// `AB/<key>`, `AB/<key without its first two digits>`, `AB/CD/<key>`. Ordered like the bytes of the path, which is the
/// order in which a migration reads objects.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location([u8; LOCATION_BYTES]);

impl Location {
    /// Returns the location of the object `name` in the directory `shards` (two at most); `None` if the name is not
    /// that of an object.
    pub fn new(shards: &[Shard], name: &[u8]) -> Option<Self> {
        let is_split = shards.len() == 1 && name.len() == SPLIT_NAME_BYTES;
        let is_whole = shards.len() <= 2 && name.len() == KEY_TEXT_BYTES;
        if !(is_split || is_whole) || !name.iter().all(|&byte| is_key_digit(byte)) {
            return None;
        }
        let mut bytes = [0; LOCATION_BYTES];
        let mut len = 0;
        for shard in shards {
            bytes[len..len + 2].copy_from_slice(shard);
            bytes[len + 2] = b'/';
            len += 3;
        }
        bytes[len..len + name.len()].copy_from_slice(name);
        Some(Self(bytes))
    }

    /// Returns the places where the object of this key may be, in every layout, today's first.
    pub fn all_of(key: Key) -> impl Iterator<Item = Self> {
        let text = key.text();
        let shards = [[text[0], text[1]], [text[2], text[3]]];
        let two_levels = Self::new(&shards, &text);
        let others = [Self::new(&shards[..1], &text), Self::new(&shards[..1], &text[2..]), Self::new(&[], &text)];
        two_levels.into_iter().chain(others.into_iter().flatten())
    }

    /// Returns the location whose [`Location::bytes`] these are, or `None` if there is no such location.
    pub fn from_bytes(bytes: [u8; LOCATION_BYTES]) -> Option<Self> {
        let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(LOCATION_BYTES);
        let text = &bytes[..len];
        let mut parts = text.split(|&byte| byte == b'/');
        let name = parts.next_back()?;
        let shards: Option<Vec<Shard>> = parts.map(|part| shard(OsStr::from_bytes(part))).collect();
        let shards = shards.filter(|shards| shards.len() <= 2)?;
        Self::new(&shards, name).filter(|parsed| parsed.0 == bytes)
    }

    /// Returns the text, padded with zeros.
    pub fn bytes(&self) -> [u8; LOCATION_BYTES] {
        self.0
    }

    /// Returns the relative path.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.text()))
    }

    /// Returns the key in the object's name.
    pub fn key(&self) -> Key {
        Key::parse(&self.key_text()).expect("a location is that of a key")
    }

    /// Returns true if the shards are not those of the key.
    pub fn is_misplaced(&self) -> bool {
        let shards = &self.0[..self.shape().shards_bytes()];
        shards.iter().filter(|&&byte| byte != b'/').zip(self.key_text()).any(|(shard, digit)| *shard != digit)
    }

    /// Returns true if readers of a v2 store look for the object there: `AB/CD/<key>` with the digits of the key.
    pub fn is_in_place(&self) -> bool {
        self.shape() == Shape::TwoLevels && !self.is_misplaced()
    }

    /// Returns the shape of the path.
    pub fn shape(&self) -> Shape {
        // The length alone decides: the text is padded with zeros, and each shape has a length of its own.
        let is_over_at = |len: usize| self.0[len] == 0;
        if !is_over_at(LOCATION_BYTES - 1) {
            Shape::TwoLevels
        } else if is_over_at(Shape::Flat.text_bytes()) {
            Shape::Flat
        } else if is_over_at(Shape::SplitName.text_bytes()) {
            Shape::SplitName
        } else {
            Shape::OneLevel
        }
    }

    fn text(&self) -> &[u8] {
        &self.0[..self.shape().text_bytes()]
    }

    fn key_text(&self) -> [u8; KEY_TEXT_BYTES] {
        let shape = self.shape();
        let mut key = [0; KEY_TEXT_BYTES];
        let name = &self.0[shape.shards_bytes()..shape.text_bytes()];
        let (from_shard, from_name) = key.split_at_mut(KEY_TEXT_BYTES - name.len());
        from_shard.copy_from_slice(&self.0[..from_shard.len()]);
        from_name.copy_from_slice(name);
        key
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape_name(self.path().as_os_str()))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

/// How deep objects are, and which part of their key is in the file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// `<key>`
    Flat,
    /// `AB/<key>`
    OneLevel,
    /// `AB/<the other 62 digits>`
    SplitName,
    /// `AB/CD/<key>`
    TwoLevels,
}

impl Shape {
    /// Returns the length of the shards, each with the `/` after it.
    fn shards_bytes(self) -> usize {
        match self {
            Self::Flat => 0,
            Self::OneLevel | Self::SplitName => 3,
            Self::TwoLevels => 6,
        }
    }

    /// Returns the length of the whole path.
    fn text_bytes(self) -> usize {
        let name_bytes = if self == Self::SplitName { SPLIT_NAME_BYTES } else { KEY_TEXT_BYTES };
        self.shards_bytes() + name_bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &[u8] = b"888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d";

    #[test]
    fn every_layout_is_known() {
        let key = std::str::from_utf8(KEY).unwrap();
        let cases = [
            ("", key, Shape::Flat, false),
            ("88", key, Shape::OneLevel, false),
            ("88", &key[2..], Shape::SplitName, false),
            ("88/8c", key, Shape::TwoLevels, false),
            ("00", key, Shape::OneLevel, true),
            ("88/00", key, Shape::TwoLevels, true),
            ("00/8c", key, Shape::TwoLevels, true),
        ];
        for (directory, name, shape, misplaced) in cases {
            let shards: Vec<_> = directory.split('/').filter_map(|part| shard(OsStr::new(part))).collect();
            let location = Location::new(&shards, name.as_bytes()).unwrap();
            assert_eq!(location.key(), Key::parse(KEY).unwrap());
            assert_eq!((location.shape(), location.is_misplaced()), (shape, misplaced));
            assert_eq!(location.path(), Path::new(directory).join(name));
            assert_eq!(Location::from_bytes(location.bytes()), Some(location));
        }
    }

    #[test]
    fn an_object_has_a_place_in_every_layout() {
        let key = Key::parse(KEY).unwrap();
        let all: Vec<_> = Location::all_of(key).collect();
        assert!(all.iter().all(|location| location.key() == key && !location.is_misplaced()));
        let shapes: Vec<_> = all.iter().map(Location::shape).collect();
        assert_eq!(shapes, [Shape::TwoLevels, Shape::OneLevel, Shape::SplitName, Shape::Flat]);
    }

    #[test]
    fn other_names_are_no_locations() {
        let uppercase = KEY.to_ascii_uppercase();
        let too_long = [KEY, b"0"].concat();
        for name in [&KEY[1..], &uppercase, &too_long, b"", b"index.ndjson"] {
            assert_eq!(Location::new(&[*b"88", *b"8c"], name), None);
        }
        for shards in [&[][..], &[*b"88", *b"8c"]] {
            assert_eq!(Location::new(shards, &KEY[2..]), None, "62 digits belong below one shard");
        }
        assert_eq!(shard(OsStr::new("AB")), None);
        assert_eq!(shard(OsStr::new("ab")), Some(*b"ab"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_location_or_are_refused(bytes: Vec<u8>) {
            let mut padded = [0; LOCATION_BYTES];
            let len = bytes.len().min(LOCATION_BYTES);
            padded[..len].copy_from_slice(&bytes[..len]);
            if let Some(location) = Location::from_bytes(padded) {
                prop_assert_eq!(location.bytes(), padded);
            }
        }

        #[test]
        fn the_order_is_that_of_paths(a in "([0-9a-f]{2}/){0,2}[0-9a-f]{64}", b in "([0-9a-f]{2}/){0,2}[0-9a-f]{64}") {
            let location = |text: &str| {
                let mut bytes = [0; LOCATION_BYTES];
                bytes[..text.len()].copy_from_slice(text.as_bytes());
                Location::from_bytes(bytes).expect("a location")
            };
            prop_assert_eq!(location(&a).cmp(&location(&b)), a.as_bytes().cmp(b.as_bytes()));
        }
    }
}
