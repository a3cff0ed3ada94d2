//! The canonical JSON of requests and results, of which the reference makes digests (docs/source-requiem.md, "Canonical
//! JSON"): compact, members sorted by name, strings escaped as the reference escapes them.

/// A canonical object, built member by member. Members must come in the order of their names.
#[derive(Debug, Default)]
pub struct CanonicalObject {
    text: Vec<u8>,
    last_name: &'static str,
}

impl CanonicalObject {
    /// Creates an object without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a string.
    pub fn string(&mut self, name: &'static str, bytes: &[u8]) -> &mut Self {
        self.begin(name);
        push_string(&mut self.text, bytes);
        self
    }

    /// Adds a truth value.
    pub fn bool(&mut self, name: &'static str, value: bool) -> &mut Self {
        self.begin(name);
        self.text.extend_from_slice(if value { b"true" } else { b"false" });
        self
    }

    /// Adds a number.
    pub fn number(&mut self, name: &'static str, value: u64) -> &mut Self {
        self.begin(name);
        self.text.extend_from_slice(value.to_string().as_bytes());
        self
    }

    /// Adds an array of strings in the given order.
    pub fn strings(&mut self, name: &'static str, items: impl Iterator<Item = impl AsRef<[u8]>>) -> &mut Self {
        self.begin(name);
        self.text.push(b'[');
        for (index, item) in items.enumerate() {
            self.comma_after(index);
            push_string(&mut self.text, item.as_ref());
        }
        self.text.push(b']');
        self
    }

    /// Adds an object of strings, sorted by the bytes of their names.
    pub fn map<T: AsRef<[u8]> + Ord>(
        &mut self,
        name: &'static str,
        members: impl Iterator<Item = (T, T)>,
    ) -> &mut Self {
        let mut members: Vec<_> = members.collect();
        members.sort();
        self.begin(name);
        self.text.push(b'{');
        for (index, (name, value)) in members.iter().enumerate() {
            self.comma_after(index);
            push_string(&mut self.text, name.as_ref());
            self.text.push(b':');
            push_string(&mut self.text, value.as_ref());
        }
        self.text.push(b'}');
        self
    }

    /// Returns the text of the object.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut text = std::mem::take(self).text;
        if text.is_empty() {
            text.push(b'{');
        }
        text.push(b'}');
        text
    }

    fn begin(&mut self, name: &'static str) {
        assert!(self.last_name < name, "{name} must come before {}", self.last_name);
        self.text.push(if self.text.is_empty() { b'{' } else { b',' });
        self.last_name = name;
        push_string(&mut self.text, name.as_bytes());
        self.text.push(b':');
    }

    fn comma_after(&mut self, items: usize) {
        if items > 0 {
            self.text.push(b',');
        }
    }
}

fn push_string(text: &mut Vec<u8>, bytes: &[u8]) {
    text.push(b'"');
    for byte in bytes {
        let escaped = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            8 => b'b',
            12 => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            // Other control characters and bytes that are not UTF-8 stay as they are: the reference does not escape
            // them, and an escape would change the digest.
            plain => {
                text.push(*plain);
                continue;
            }
        };
        text.extend_from_slice(&[b'\\', escaped]);
    }
    text.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::requiem::json::{Json, Reading};

    #[test]
    fn members_are_written_compactly() {
        let text = CanonicalObject::new()
            .strings("a", [&b"x\"\\\x08\x0c\n\r\t\x1b\x7f\xff"[..], b""].into_iter())
            .bool("b", true)
            .map("c", [("z", "1"), ("\u{e9}", "2"), ("a/", "3")].into_iter())
            .map("d", std::iter::empty::<(&str, &str)>())
            .number("e", u64::MAX)
            .finish();
        let expected = concat!(
            r#"{"a":["x\"\\\b\f\n\r\t"#,
            "\x1b\x7f\u{fffd}",
            r#"",""],"b":true,"c":{"a/":"3","z":"1","é":"2"},"d":{},"e":18446744073709551615}"#
        );
        assert_eq!(String::from_utf8_lossy(&text), expected);
        assert_eq!(CanonicalObject::new().finish(), b"{}");
    }

    #[test]
    #[should_panic(expected = "a must come before b")]
    fn names_are_in_order() {
        CanonicalObject::new().bool("b", true).bool("a", true);
    }

    proptest! {
        #[test]
        fn strings_come_back(bytes: Vec<u8>) {
            let text = CanonicalObject::new().string("s", &bytes).finish();
            for reading in [Reading::Standard, Reading::Reference] {
                let read = Json::parse(&text).unwrap().get("s").unwrap().string(reading).unwrap();
                prop_assert_eq!(&*read, &bytes[..]);
            }
        }
    }
}
