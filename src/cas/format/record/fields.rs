//! Reads the members of a record's JSON object, each on its own, and notices every member that occurs twice.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::fault::{Field, RECORD_BYTES_MAX, RecordFault};
use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Key;

/// The value of a member, or what is wrong with it; `None` if the member is missing.
pub(super) type Found<T> = Option<Result<T, RecordFault>>;

/// The values of all members of a record.
#[derive(Default)]
pub(super) struct Fields {
    pub digest: Found<Key>,
    pub encoding: Found<Encoding>,
    pub original_size: Found<u64>,
    pub stored_size: Found<u64>,
    pub stored_blob_hash: Found<Key>,
    pub created_at: Found<u64>,
    /// The first member that occurs twice, in the object or inside a value.
    pub duplicate: Option<RecordFault>,
}

/// Reads one JSON object and nothing after it.
pub(super) fn read_fields(bytes: &[u8]) -> Result<Fields, RecordFault> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(RecordFault::TooLong);
    }
    let text = str::from_utf8(bytes).map_err(|e| RecordFault::NotUtf8 { offset: e.valid_up_to() })?;
    if text.trim_ascii().is_empty() {
        return Err(RecordFault::Empty);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut fields = Fields::default();
    json.deserialize_map(Record(&mut fields))
        .map_err(|e| RecordFault::NotAnObject { offset: offset(text, &e), what: what(&e) })?;
    json.end().map_err(|e| RecordFault::TrailingData { offset: offset(text, &e) })?;
    Ok(fields)
}

/// Returns where in `text` the parser was.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let lines_before = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let line_start: usize = lines_before.map(str::len).sum();
    (line_start + error.column().saturating_sub(1)).min(text.len())
}

/// Returns the error without its line and column. For a text of one line the offset says the same.
fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().into()
}

/// Fills the fields from an object. Only a text that is not JSON is an error here: faults of single members are kept in
/// their fields, so that the others can be used.
struct Record<'f>(&'f mut Fields);

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        let mut duplicate = None;
        while let Some(key) = map.next_key_seed(Reader(&mut duplicate))? {
            let key = key.text().ok_or_else(|| A::Error::custom("a key that is no text"))?;
            let value = map.next_value_seed(Reader(&mut duplicate))?;
            let is_first = seen.insert(key.clone());
            let fault = (!is_first).then(|| RecordFault::duplicate(&key));
            if let Some(field) = Field::from_name(&key) {
                self.0.set(field, &value, fault.clone());
            }
            duplicate = duplicate.or(fault);
        }
        self.0.duplicate = duplicate;
        Ok(())
    }
}

impl Fields {
    fn set(&mut self, field: Field, value: &Value<'_>, fault: Option<RecordFault>) {
        match field {
            Field::Digest => self.digest = Some(fault.map_or_else(|| value.digest(field), Err)),
            Field::Encoding => self.encoding = Some(fault.map_or_else(|| value.encoding(), Err)),
            Field::OriginalSize => self.original_size = Some(fault.map_or_else(|| value.number(field), Err)),
            Field::StoredSize => self.stored_size = Some(fault.map_or_else(|| value.number(field), Err)),
            Field::StoredBlobHash => self.stored_blob_hash = Some(fault.map_or_else(|| value.digest(field), Err)),
            Field::CreatedAt => self.created_at = Some(fault.map_or_else(|| value.number(field), Err)),
        }
    }
}

/// A JSON value, as far as records use it.
enum Value<'de> {
    Text(Cow<'de, str>),
    Number(u64),
    Other,
}

impl<'de> Value<'de> {
    fn text(self) -> Option<Cow<'de, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Other => None,
        }
    }

    fn digest(&self, field: Field) -> Result<Key, RecordFault> {
        match self {
            Self::Text(text) => Key::parse(text.as_bytes()).ok_or(RecordFault::NotADigest(field)),
            Self::Number(_) | Self::Other => Err(RecordFault::NotADigest(field)),
        }
    }

    fn encoding(&self) -> Result<Encoding, RecordFault> {
        match self {
            Self::Text(text) => Encoding::from_name(text).ok_or(RecordFault::UnknownEncoding),
            Self::Number(_) | Self::Other => Err(RecordFault::UnknownEncoding),
        }
    }

    fn number(&self, field: Field) -> Result<u64, RecordFault> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(_) | Self::Other => Err(RecordFault::NotANumber(field)),
        }
    }
}

/// Reads any value, and notices a member that occurs twice inside it.
struct Reader<'d>(&'d mut Option<RecordFault>);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value<'de>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.into())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        while seq.next_element_seed(Reader(self.0))?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key_seed(Reader(self.0))? {
            let key = key.text().ok_or_else(|| A::Error::custom("a key that is no text"))?;
            if self.0.is_none() && seen.contains(&key) {
                *self.0 = Some(RecordFault::duplicate(&key));
            }
            seen.insert(key);
            map.next_value_seed(Reader(self.0))?;
        }
        Ok(Value::Other)
    }
}
