//! Renames the keys of a configuration file, as a definition says.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::migration::Error;
use crate::upgrade::definition::Configuration;

/// What a conversion has done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Converted {
    /// The new document.
    #[serde(skip)]
    pub document: Value,
    /// Old and new path of each key that was renamed.
    pub renamed: Vec<(String, String)>,
    /// Paths that the definition does not know. They are kept where they are.
    pub unknown: Vec<String>,
}

/// Returns the document with its keys renamed. One that is of the new version already comes back as it is.
pub fn convert(rules: &Configuration, text: &[u8], name: &str) -> Result<Converted, Error> {
    let next = "repair the file; nothing was changed";
    let refused = |what: String| Error::Usage { what: format!("{name}: {what}"), next: next.into() };
    let old: Value = serde_json::from_slice(text).map_err(|error| refused(format!("it is not JSON: {error}")))?;
    let Value::Object(old) = old else { return Err(refused("it is not a JSON object".into())) };
    if rules.version.as_ref().is_some_and(|(key, value)| old.get(key).and_then(Value::as_str) == Some(value)) {
        return Ok(Converted { document: Value::Object(old), renamed: Vec::new(), unknown: Vec::new() });
    }
    let mut new = Map::new();
    let mut end = Converted { document: Value::Null, renamed: Vec::new(), unknown: Vec::new() };
    for (path, value) in leaves(&old) {
        let (to, is_known) = match target(rules, &path) {
            Some(to) => (to, true),
            None => (path.clone(), is_target(rules, &path)),
        };
        if !place(&mut new, &to, value) {
            return Err(refused(format!("{path} becomes {to}, which the file has already")));
        }
        if !is_known {
            end.unknown.push(path);
        } else if path != to {
            end.renamed.push((path, to));
        }
    }
    if let Some((key, value)) = &rules.version {
        new.insert(key.clone(), Value::String(value.clone()));
        end.unknown.retain(|path| path != key);
    }
    end.document = Value::Object(new);
    Ok(end)
}

/// Returns the values that are no objects, with the path of each: keys joined by dots. An empty object is a value.
fn leaves(object: &Map<String, Value>) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    collect("", object, &mut found);
    found
}

fn collect(above: &str, object: &Map<String, Value>, found: &mut Vec<(String, Value)>) {
    for (key, value) in object {
        let path = if above.is_empty() { key.clone() } else { format!("{above}.{key}") };
        match value {
            Value::Object(below) if !below.is_empty() => collect(&path, below, found),
            other => found.push((path, other.clone())),
        }
    }
}

/// Returns the new path of an old one; a rule that names the whole path goes before one that ends with `.*`.
fn target(rules: &Configuration, path: &str) -> Option<String> {
    if let Some(to) = rules.rename.get(path) {
        return Some(to.clone());
    }
    rules.rename.iter().find_map(|(from, to)| {
        let rest = path.strip_prefix(from.strip_suffix('*')?)?;
        Some(format!("{}{rest}", to.strip_suffix('*')?))
    })
}

/// Returns true if a path is one that a rule makes: the file is partly of the new version.
fn is_target(rules: &Configuration, path: &str) -> bool {
    rules.rename.values().any(|to| match to.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == to,
    })
}

/// Puts a value at a path. False: something else is there.
fn place(root: &mut Map<String, Value>, path: &str, value: Value) -> bool {
    let Some((key, rest)) = path.split_once('.') else {
        return root.insert(path.to_owned(), value).is_none();
    };
    let below = root.entry(key).or_insert_with(|| Value::Object(Map::new()));
    below.as_object_mut().is_some_and(|below| place(below, rest, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules() -> Configuration {
        let rename = [("brain.path", "paths.brainRoot"), ("db.tier1", "databases.tier1.path"), ("keep.*", "kept.*")];
        Configuration {
            rename: rename.map(|(from, to)| (from.to_owned(), to.to_owned())).into(),
            version: Some(("version".into(), "2.0".into())),
        }
    }

    fn converted(old: &Value) -> Result<Converted, Error> {
        convert(&rules(), old.to_string().as_bytes(), "app.json")
    }

    #[test]
    fn known_keys_move_and_unknown_ones_are_kept_and_listed() {
        let old = json!({
            "version": "1.0", "brain": {"path": "/b", "mood": 1}, "db": {"tier1": "a.db"}, "keep": {"x": {"y": 1.5}}, "e": {}
        });
        let end = converted(&old).unwrap();
        let new = json!({
            "version": "2.0", "paths": {"brainRoot": "/b"}, "brain": {"mood": 1}, "databases": {"tier1": {"path": "a.db"}},
            "kept": {"x": {"y": 1.5}}, "e": {}
        });
        assert_eq!(end.document, new);
        assert_eq!(end.unknown, ["brain.mood", "e"]);
        assert_eq!(end.renamed.len(), 3);
        // A second time, nothing changes.
        let again = converted(&end.document).unwrap();
        assert_eq!((again.document, again.renamed.len()), (new, 0));
    }

    #[test]
    fn two_values_for_one_key_and_what_is_no_object_are_refused() {
        let both = json!({"brain": {"path": "/b"}, "paths": {"brainRoot": "/c"}});
        assert!(converted(&both).unwrap_err().to_string().contains("has already"));
        assert!(converted(&json!([1])).unwrap_err().to_string().contains("not a JSON object"));
        assert!(convert(&rules(), b"{", "app.json").unwrap_err().to_string().starts_with("app.json: it is not JSON"));
    }
}
