//! One row of the map: as a line of text, and as bytes that sort like the lines.

use crate::cas::format::key::{Algorithm, KEY_TEXT_BYTES, Key};

/// The first line of every map, with its line feed.
pub const HEADER_LINE: &[u8] = b"old_key\told_algorithm\tnew_key\tsize\n";
/// Length of [`MapRow::to_bytes`].
pub const MAP_ROW_BYTES: usize = 32 + 1 + 32 + 8;
/// Length of the longest line, with its line feed: two keys, the longest name, 20 digits, three tabs.
pub const ROW_TEXT_BYTES_MAX: usize = 2 * KEY_TEXT_BYTES + 7 + 20 + 3 + 1;

/// The new key of one old key. Ordered like the rows of the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct MapRow {
    /// The name of the object in the source.
    pub old_key: Key,
    /// The algorithm by which that name is the key of the content.
    pub old_algorithm: Algorithm,
    /// The `cas:` key of the same content.
    pub new_key: Key,
    /// Length of the content in bytes.
    pub size: u64,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedRow {
    /// There are not exactly three tabs.
    #[error("there are not four columns")]
    Columns,
    /// The old key is not 64 lower-case hex digits.
    #[error("the old key is not 64 lowercase hex digits")]
    OldKey,
    /// The algorithm has an unknown name.
    #[error("the algorithm is not one of blake2s, blake3, cas and sha256")]
    Algorithm,
    /// The new key is not 64 lower-case hex digits.
    #[error("the new key is not 64 lowercase hex digits")]
    NewKey,
    /// The size is not a decimal number of 64 bits in its shortest form.
    #[error("the size is not a number of bytes")]
    Size,
}

impl MapRow {
    /// Returns the row in fixed width. Byte strings of rows are ordered like the rows, so numbers are big-endian.
    pub fn to_bytes(self) -> [u8; MAP_ROW_BYTES] {
        let mut bytes = [0; MAP_ROW_BYTES];
        bytes[..32].copy_from_slice(&self.old_key.0);
        bytes[32] = self.old_algorithm as u8;
        bytes[33..65].copy_from_slice(&self.new_key.0);
        bytes[65..].copy_from_slice(&self.size.to_be_bytes());
        bytes
    }

    /// Returns the row of [`to_bytes`](Self::to_bytes); `None` if the number of the algorithm is unknown.
    pub fn from_bytes(bytes: &[u8; MAP_ROW_BYTES]) -> Option<Self> {
        let key = |at: usize| Key(bytes[at..at + 32].try_into().expect("32 bytes"));
        Some(Self {
            old_key: key(0),
            old_algorithm: Algorithm::from_number(bytes[32])?,
            new_key: key(33),
            size: u64::from_be_bytes(bytes[65..].try_into().expect("8 bytes")),
        })
    }

    /// Appends the row as a line with its line feed.
    pub fn push_line(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.old_key.text());
        out.push(b'\t');
        out.extend_from_slice(self.old_algorithm.name().as_bytes());
        out.push(b'\t');
        out.extend_from_slice(&self.new_key.text());
        out.push(b'\t');
        out.extend_from_slice(self.size.to_string().as_bytes());
        out.push(b'\n');
    }

    /// Reads a line without its line feed. Only the form of [`push_line`](Self::push_line) is accepted: every row has
    /// exactly one text.
    pub fn parse_line(line: &[u8]) -> Result<Self, MalformedRow> {
        let mut columns = line.split(|&byte| byte == b'\t');
        let mut column = || columns.next().ok_or(MalformedRow::Columns);
        let (old_key, name, new_key, size) = (column()?, column()?, column()?, column()?);
        if columns.next().is_some() {
            return Err(MalformedRow::Columns);
        }
        let name = std::str::from_utf8(name).map_err(|_| MalformedRow::Algorithm)?;
        Ok(Self {
            old_key: Key::parse(old_key).ok_or(MalformedRow::OldKey)?,
            old_algorithm: Algorithm::from_name(name).ok_or(MalformedRow::Algorithm)?,
            new_key: Key::parse(new_key).ok_or(MalformedRow::NewKey)?,
            size: parse_size(size).ok_or(MalformedRow::Size)?,
        })
    }

    /// Returns what identifies a line: no two lines of a map have the same identity.
    pub(super) fn identity(&self) -> (Key, Algorithm) {
        (self.old_key, self.old_algorithm)
    }
}

/// Reads a decimal number without a sign and without leading zeros.
fn parse_size(digits: &[u8]) -> Option<u64> {
    let is_shortest = digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    std::str::from_utf8(digits).ok().filter(|_| is_shortest)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row() -> impl Strategy<Value = MapRow> {
        // Few different keys, so that rows share them.
        let key = || (any::<bool>(), 0_u8..3, any::<[u8; 32]>());
        let key_of = |(is_random, byte, random)| Key(if is_random { random } else { [byte; 32] });
        (key(), 0_u8..4, key(), any::<u64>()).prop_map(move |(old, algorithm, new, size)| MapRow {
            old_key: key_of(old),
            old_algorithm: Algorithm::from_number(algorithm).expect("one of four"),
            new_key: key_of(new),
            size,
        })
    }

    fn line(row: &MapRow) -> Vec<u8> {
        let mut line = Vec::new();
        row.push_line(&mut line);
        assert_eq!(line.pop(), Some(b'\n'));
        line
    }

    proptest! {
        #[test]
        fn rows_are_read_from_bytes_and_from_text(row in row()) {
            prop_assert_eq!(MapRow::from_bytes(&row.to_bytes()), Some(row));
            prop_assert_eq!(MapRow::parse_line(&line(&row)), Ok(row));
            prop_assert!(line(&row).len() < ROW_TEXT_BYTES_MAX);
        }

        #[test]
        fn bytes_are_ordered_like_rows(a in row(), b in row()) {
            prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), a.cmp(&b));
        }

        #[test]
        fn an_accepted_row_has_one_text(row in row(), at in 0_usize..160, byte: u8) {
            let mut line = line(&row);
            let at = at % line.len();
            line[at] = byte;
            if let Ok(read) = MapRow::parse_line(&line) {
                prop_assert_eq!(self::line(&read), line);
            }
        }
    }

    #[test]
    fn the_longest_line_is_as_long_as_stated() {
        let key = Key([255; 32]);
        let row = MapRow { old_key: key, old_algorithm: Algorithm::Blake2s, new_key: key, size: u64::MAX };
        assert_eq!(line(&row).len() + 1, ROW_TEXT_BYTES_MAX);
    }

    #[test]
    fn every_column_is_checked() {
        let key = "0".repeat(64);
        let parse = |text: String| MapRow::parse_line(text.as_bytes());
        assert!(parse(format!("{key}\tcas\t{key}\t0")).is_ok());
        for (text, error) in [
            (String::new(), MalformedRow::Columns),
            (format!("{key}\tcas\t{key}"), MalformedRow::Columns),
            (format!("{key}\tcas\t{key}\t0\t"), MalformedRow::Columns),
            (format!("{key} \tcas\t{key}\t0"), MalformedRow::OldKey),
            (format!("{}\tcas\t{key}\t0", "A".repeat(64)), MalformedRow::OldKey),
            (format!("{key}\tCAS\t{key}\t0"), MalformedRow::Algorithm),
            (format!("{key}\tcas\t{}\t0", &key[1..]), MalformedRow::NewKey),
            (format!("{key}\tcas\t{key}\t"), MalformedRow::Size),
            (format!("{key}\tcas\t{key}\t+1"), MalformedRow::Size),
            (format!("{key}\tcas\t{key}\t01"), MalformedRow::Size),
            (format!("{key}\tcas\t{key}\t1\r"), MalformedRow::Size),
            (format!("{key}\tcas\t{key}\t18446744073709551616"), MalformedRow::Size),
        ] {
            assert_eq!(parse(text.clone()), Err(error), "{text}");
        }
    }
}
