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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::document::json::{Document, ReadOptions};

    fn checked(schema: &str, document: &str) -> Result<(), String> {
        let schema = JsonSchema::new("s.json", schema.as_bytes()).expect("a schema");
        let document = Document::parse(document.as_bytes(), &ReadOptions::default()).expect("JSON");
        schema.check(document.root())
    }

    #[test]
    fn each_draft_has_its_own_keywords() {
        const DRAFT_7: &str = r##"{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"n": {"type": "integer"}},
            "properties": {"a": {"items": [{"$ref": "#/definitions/n"}], "additionalItems": false}},
            "dependencies": {"a": ["b"]}, "if": {"required": ["c"]}, "then": {"required": ["d"]}}"##;
        const DRAFT_2020_12: &str = r##"{"$schema": "https://json-schema.org/draft/2020-12/schema",
            "$defs": {"n": {"$anchor": "n", "type": "integer"}},
            "properties": {"a": {"prefixItems": [{"$ref": "#n"}], "items": false}}, "dependentRequired": {"a": ["b"]},
            "allOf": [{"properties": {"b": true}}], "unevaluatedProperties": false}"##;
        for (schema, document, is_valid) in [
            (DRAFT_7, r#"{"a": [1], "b": 0}"#, true),
            (DRAFT_7, r#"{"a": ["1"], "b": 0}"#, false),
            (DRAFT_7, r#"{"a": [1, 2], "b": 0}"#, false),
            (DRAFT_7, r#"{"a": [1]}"#, false),
            (DRAFT_7, r#"{"c": 0}"#, false),
            (DRAFT_2020_12, r#"{"a": [1], "b": 0}"#, true),
            (DRAFT_2020_12, r#"{"a": ["1"], "b": 0}"#, false),
            (DRAFT_2020_12, r#"{"a": [1, 2], "b": 0}"#, false),
            (DRAFT_2020_12, r#"{"a": [1]}"#, false),
            (DRAFT_2020_12, r#"{"c": 0}"#, false),
        ] {
            assert_eq!(checked(schema, document).is_ok(), is_valid, "{schema}\n{document}");
        }
    }

    #[test]
    fn a_schema_is_its_file_alone() {
        for other in ["other.json", "file:///etc/hostname", "https://example.com/schema.json"] {
            let schema = format!(r#"{{"$ref": "{other}"}}"#);
            assert!(JsonSchema::new("s.json", schema.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn numbers_beyond_64_bits_and_deep_documents_are_checked_or_refused() {
        assert!(checked(r#"{"maximum": 1e300}"#, "123456789012345678901234567890").is_ok());
        assert!(checked(r#"{"maximum": 10}"#, "123456789012345678901234567890").is_err());
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(checked("true", &nested(DEPTH_MAX)).is_ok());
        assert!(checked("true", &nested(DEPTH_MAX + 1)).unwrap_err().contains("deep"));
    }
}
