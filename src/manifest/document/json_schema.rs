//! JSON Schemas that users assign to versions (docs/source-sigilzero.md, "Declared steps").

use jsonschema::Validator;
use serde_json::{Map, Number, Value as Json};

use super::json::{Kind, Value};

/// The deepest nesting of arrays and objects that is checked. The checker recurses, and its stack is limited.
const DEPTH_MAX: usize = 100;

/// A compiled schema.
pub(in crate::manifest) struct JsonSchema {
    name: String,
    text: String,
    validator: Validator,
}

impl JsonSchema {
    /// Compiles the schema in `bytes`, the content of the file `name`. It may not refer to other files or hosts.
    pub fn new(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let schema: Json = serde_json::from_slice(bytes).map_err(|error| format!("schema {name}: {error}"))?;
        let validator = jsonschema::validator_for(&schema).map_err(|error| format!("schema {name}: {error}"))?;
        Ok(Self { name: name.to_owned(), text: String::from_utf8_lossy(bytes).into_owned(), validator })
    }

    /// Returns the text of the schema.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Checks a document. A number beyond 64 bits is checked as the nearest binary64; the document is not changed.
    pub fn check(&self, document: Value<'_>) -> Result<(), String> {
        let json = as_serde(document, DEPTH_MAX).ok_or_else(|| {
            format!("schema {} cannot be checked: the document is nested more than {DEPTH_MAX} deep", self.name)
        })?;
        self.validator.validate(&json).map_err(|error| {
            let place = error.instance_path().to_string();
            format!("schema {}: {error} at {}", self.name, if place.is_empty() { "the root" } else { &place })
        })
    }
}

/// Converts a value. Returns `None` if it has more than `depth` levels.
fn as_serde(value: Value<'_>, depth: usize) -> Option<Json> {
    Some(match value.kind() {
        Kind::Null => Json::Null,
        Kind::False => Json::Bool(false),
        Kind::True => Json::Bool(true),
        Kind::Integer | Kind::Float => Json::Number(number(value.lexeme())),
        Kind::String => Json::String(value.as_str().unwrap_or_default().into_owned()),
        Kind::Array => {
            let depth = depth.checked_sub(1)?;
            Json::Array(value.items().map(|item| as_serde(item, depth)).collect::<Option<_>>()?)
        }
        Kind::Object => {
            let depth = depth.checked_sub(1)?;
            let member = |(key, value): (Value<'_>, Value<'_>)| {
                Some((key.as_str().unwrap_or_default().into_owned(), as_serde(value, depth)?))
            };
            Json::Object(value.members().map(member).collect::<Option<Map<_, _>>>()?)
        }
    })
}

fn number(lexeme: &str) -> Number {
    if let Ok(exact) = lexeme.parse::<i64>() {
        return exact.into();
    }
    if let Ok(exact) = lexeme.parse::<u64>() {
        return exact.into();
    }
    let nearest = lexeme.parse::<f64>().unwrap_or_default().clamp(f64::MIN, f64::MAX);
    Number::from_f64(nearest).unwrap_or_else(|| 0.into())
}
