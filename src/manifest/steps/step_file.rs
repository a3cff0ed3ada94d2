//! The format of step files, in TOML (docs/source-sigilzero.md, "Declared steps").

use serde::Deserialize;

use crate::manifest::document::key_path::KeyPath;
use crate::manifest::document::value_types::TypeName;
use crate::manifest::document::version::Version;

/// A step file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepFile {
    #[serde(default)]
    pub step: Vec<StepTable>,
}

/// A `[[step]]`. Operations are applied in the order of these fields.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepTable {
    #[serde(deserialize_with = "version")]
    pub from: Version,
    #[serde(deserialize_with = "version")]
    pub to: Version,
    pub changes: Vec<String>,
    #[serde(default)]
    pub breaking: bool,
    /// Name of a JSON Schema file for documents at `to`, relative to the directory of the step file.
    pub schema: Option<String>,
    #[serde(default)]
    pub require: Vec<KeyPath>,
    #[serde(default)]
    pub rename: Vec<Rename>,
    #[serde(default)]
    pub add: Vec<Add>,
    #[serde(default)]
    pub copy: Vec<Copy>,
    /// Path that is set to the hash of the snapshot files.
    pub inputs_hash: Option<KeyPath>,
    #[serde(default)]
    pub overwrite: Vec<Overwrite>,
    #[serde(default)]
    pub remove: Vec<KeyPath>,
    #[serde(default)]
    pub inverse: Inverse,
}

/// The inverse of the breaking operations of a step. A rollback checks it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Inverse {
    /// Each renaming in the other direction.
    #[serde(default)]
    pub rename: Vec<Rename>,
    /// Paths that are restored from the backup: those that the step removes or overwrites.
    #[serde(default)]
    pub restore: Vec<KeyPath>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    pub from: KeyPath,
    pub to: KeyPath,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Add {
    pub path: KeyPath,
    pub value: Option<toml::Value>,
    /// The value as JSON, for what TOML cannot express: null, and large numbers.
    pub json: Option<String>,
    #[serde(rename = "type")]
    pub types: Types,
    #[serde(default)]
    pub one_of: Vec<toml::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copy {
    pub from: KeyPath,
    pub to: KeyPath,
    #[serde(rename = "type")]
    pub types: Types,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Overwrite {
    pub path: KeyPath,
    pub value: Option<toml::Value>,
    pub json: Option<String>,
}

/// One type or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Types {
    One(TypeName),
    Several(Vec<TypeName>),
}

impl Types {
    pub fn list(&self) -> Vec<TypeName> {
        match self {
            Self::One(name) => vec![*name],
            Self::Several(names) => names.clone(),
        }
    }
}

fn version<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|error| serde::de::Error::custom(format!("\"{text}\" is {error}")))
}

/// Returns the JSON text of a value that a step file has as `value` or as `json`.
pub(super) fn json_text(value: Option<&toml::Value>, json: Option<&str>) -> Result<String, String> {
    match (value, json) {
        (Some(value), None) => {
            let mut out = String::new();
            push_value(&mut out, value)?;
            Ok(out)
        }
        (None, Some(json)) => Ok(json.to_owned()),
        _ => Err("give either `value` or `json`".into()),
    }
}

/// Appends a value as JSON. Recursion is safe because the TOML reader limits the depth of values.
fn push_value(out: &mut String, value: &toml::Value) -> Result<(), String> {
    let string = |out: &mut String, text: &str| {
        let mut json = Vec::new();
        crate::manifest::document::json::push_string(&mut json, text);
        out.push_str(&String::from_utf8_lossy(&json));
    };
    match value {
        toml::Value::String(text) => string(out, text),
        toml::Value::Integer(number) => out.push_str(&number.to_string()),
        toml::Value::Float(number) if number.is_finite() => {
            let mut json = Vec::new();
            crate::manifest::document::json::push_float(&mut json, *number);
            out.push_str(&String::from_utf8_lossy(&json));
        }
        toml::Value::Float(_) => return Err("a float that JSON cannot express".into()),
        toml::Value::Boolean(flag) => out.push_str(if *flag { "true" } else { "false" }),
        toml::Value::Datetime(_) => return Err("a date; write it as a string".into()),
        toml::Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                push_value(out, item)?;
            }
            out.push(']');
        }
        toml::Value::Table(members) => {
            out.push('{');
            for (at, (key, member)) in members.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                string(out, key);
                out.push(':');
                push_value(out, member)?;
            }
            out.push('}');
        }
    }
    Ok(())
}
