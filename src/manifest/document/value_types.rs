//! The types of values in the schema of manifests.

use super::json::{Kind, Value};

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueType {
    /// Any value.
    Any,
    /// A type that a step file declares.
    Declared {
        /// The types that are allowed, or an empty list for any.
        types: Vec<TypeName>,
        /// The values that are allowed, as canonical texts, or an empty list for any.
        one_of: Vec<String>,
    },
    /// A string.
    Text,
    /// A string or null.
    TextOrNull,
    /// `sha256:` and 64 lower-case hexadecimal digits, or null.
    DigestOrNull,
    /// `true` or `false`.
    Flag,
    /// An integer that is not negative.
    Count,
    /// An object.
    Object,
    /// An array.
    Array,
    /// An array of values of one type.
    List(&'static ValueType),
    /// An object with any names and values of one type.
    Map(&'static ValueType),
    /// An object with these members and possibly others.
    Record(&'static [MemberType]),
    /// A record or null.
    RecordOrNull(&'static [MemberType]),
}

/// A member that a record type knows.
#[derive(Debug, PartialEq, Eq)]
pub struct MemberType {
    /// The name of the member.
    pub name: &'static str,
    /// Its type.
    pub value_type: ValueType,
    /// Whether the record must have it.
    pub is_required: bool,
}

/// A type that a step file may name. The names are those of JSON Schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TypeName {
    /// A string.
    String,
    /// A number without `.`, `e` or `E`.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An object.
    Object,
    /// An array.
    Array,
    /// `null`.
    Null,
}

impl TypeName {
    fn takes(self, kind: Kind) -> bool {
        match self {
            Self::String => kind == Kind::String,
            Self::Integer => kind == Kind::Integer,
            Self::Number => matches!(kind, Kind::Integer | Kind::Float),
            Self::Boolean => matches!(kind, Kind::True | Kind::False),
            Self::Object => kind == Kind::Object,
            Self::Array => kind == Kind::Array,
            Self::Null => kind == Kind::Null,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Object => "object",
            Self::Array => "array",
            Self::Null => "null",
        }
    }
}

/// A value that does not have its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The path from the checked value to the wrong one, each name or index after a dot; empty for the checked value.
    pub below: String,
    /// The name of the expected type.
    pub expected: String,
    /// Offset in the input, if the value is a scalar of the input.
    pub offset: Option<usize>,
}

impl ValueType {
    /// Checks `value` and reports the first part of it that does not fit.
    pub fn check(&self, value: Value<'_>) -> Result<(), Mismatch> {
        let kind = value.kind();
        match self {
            Self::List(value_type) if kind == Kind::Array => {
                let mut items = value.items().enumerate();
                items.try_for_each(|(at, item)| value_type.check(item).map_err(|fault| fault.within(&at.to_string())))
            }
            Self::Map(value_type) if kind == Kind::Object => value.members().try_for_each(|(key, value)| {
                value_type.check(value).map_err(|fault| fault.within(&key.as_str().unwrap_or_default()))
            }),
            Self::Record(parts) | Self::RecordOrNull(parts) if kind == Kind::Object => check_members(parts, value),
            _ if self.takes(value, kind) => Ok(()),
            _ => Err(Mismatch { below: String::new(), expected: self.name(), offset: value.offset() }),
        }
    }

    /// Checks a value without its members or items.
    fn takes(&self, value: Value<'_>, kind: Kind) -> bool {
        match self {
            Self::Any => true,
            Self::Declared { types, one_of } => {
                (types.is_empty() || types.iter().any(|name| name.takes(kind)))
                    && (one_of.is_empty() || one_of.contains(&canonical_text(value)))
            }
            Self::Text => kind == Kind::String,
            Self::TextOrNull => matches!(kind, Kind::String | Kind::Null),
            Self::DigestOrNull => kind == Kind::Null || value.as_str().is_some_and(|text| is_digest(&text)),
            Self::Flag => matches!(kind, Kind::True | Kind::False),
            Self::Count => kind == Kind::Integer && !value.lexeme().starts_with('-'),
            Self::Object => kind == Kind::Object,
            Self::Array => kind == Kind::Array,
            Self::RecordOrNull(_) => kind == Kind::Null,
            Self::List(_) | Self::Map(_) | Self::Record(_) => false,
        }
    }

    /// Returns the name of the type for messages, where it follows "is not".
    pub fn name(&self) -> String {
        match self {
            Self::Any => "a value".into(),
            Self::Declared { types, one_of } if one_of.is_empty() => {
                types.iter().map(|name| name.name()).collect::<Vec<_>>().join(" or ")
            }
            Self::Declared { one_of, .. } => format!("one of {}", one_of.join(", ")),
            Self::Text => "a string".into(),
            Self::TextOrNull => "a string or null".into(),
            Self::DigestOrNull => "null or `sha256:` and 64 lower-case hexadecimal digits".into(),
            Self::Flag => "true or false".into(),
            Self::Count => "an integer of 0 or more".into(),
            Self::Object | Self::Map(_) | Self::Record(_) => "an object".into(),
            Self::Array | Self::List(_) => "an array".into(),
            Self::RecordOrNull(_) => "an object or null".into(),
        }
    }
}

fn check_members(parts: &[MemberType], value: Value<'_>) -> Result<(), Mismatch> {
    parts.iter().try_for_each(|part| match value.get(part.name) {
        Some(value) => part.value_type.check(value).map_err(|fault| fault.within(part.name)),
        None if part.is_required => {
            let expected = part.value_type.name();
            Err(Mismatch { below: String::new(), expected, offset: None }.within(part.name))
        }
        None => Ok(()),
    })
}

impl Mismatch {
    fn within(self, name: &str) -> Self {
        Self { below: format!(".{name}{}", self.below), ..self }
    }
}

/// Returns the canonical text of a value (docs/source-sigilzero.md, "Canonical text and checksums").
pub(in crate::manifest) fn canonical_text(value: Value<'_>) -> String {
    let mut text = Vec::new();
    super::json::push_canonical(&mut text, value);
    String::from_utf8(text).expect("canonical text is ASCII")
}

/// Returns true for `sha256:` and 64 lower-case hexadecimal digits.
pub(in crate::manifest) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}
