//! Stands in for JSON Schemas in a build without the feature `json-schema`: a step file that names one is refused. Were
//! the schema ignored, documents would pass that the full build refuses.

use super::json::Value;

/// A schema, which this build cannot make.
pub(crate) enum JsonSchema {}

impl JsonSchema {
    /// Refuses the schema in the file `name`.
    pub fn new(name: &str, _bytes: &[u8]) -> Result<Self, String> {
        Err(format!("schema {name}: this build of haul has no JSON Schema (cargo feature json-schema)"))
    }

    /// Returns its text.
    pub fn text(&self) -> &str {
        match *self {}
    }

    /// Checks a document.
    pub fn check(&self, _document: Value<'_>) -> Result<(), String> {
        match *self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_refused_and_not_ignored() {
        let refused = JsonSchema::new("s.json", b"{}").map(|_| ()).unwrap_err();
        assert!(refused.contains("s.json") && refused.contains("json-schema"), "{refused}");
    }
}
