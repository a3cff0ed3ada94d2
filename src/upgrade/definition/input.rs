//! Checks the lists that the operator gives.

use serde_json::{Map, Value};

use super::operation::Input;
use crate::migration::Error;

impl Input {
    /// Checks a JSON text, which was read from `file`. Returns what is unusual in it and accepted.
    pub fn check(&self, file: &str, text: &str) -> Result<Vec<String>, Error> {
        let fault = |what: String| Error::Usage {
            what: format!("{file}: {what}"),
            next: format!("correct the list of {}, then run `haul upgrade plan` again", self.name),
        };
        let list: Vec<Map<String, Value>> =
            serde_json::from_str(text).map_err(|error| fault(format!("it is not a JSON list of objects: {error}")))?;
        let mut notes = Vec::new();
        for (at, element) in (1..).zip(&list) {
            self.element(element, &mut notes).map_err(|what| fault(format!("element {at}: {what}")))?;
        }
        Ok(notes)
    }

    fn element(&self, element: &Map<String, Value>, notes: &mut Vec<String>) -> Result<(), String> {
        let is_missing = |key: &&String| matches!(element.get(*key), None | Some(Value::Null));
        if let Some(key) = self.required.iter().find(is_missing) {
            return Err(format!("`{key}` is missing"));
        }
        for (key, (low, high)) in &self.ranges {
            let Some(value) = element.get(key) else { continue };
            if !value.as_i64().is_some_and(|number| (low..=high).contains(&&number)) {
                return Err(format!("`{key}` is {value} and not a whole number from {low} to {high}"));
            }
        }
        for (key, known) in &self.known {
            let value = element.get(key).and_then(Value::as_str);
            if let Some(other) = value.filter(|value| !known.iter().any(|known| known == value)) {
                notes.push(format!("{}: `{key}` is `{other}`, which is none of {}", self.name, known.join(", ")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn input() -> Input {
        Input {
            name: "plugins".into(),
            required: vec!["id".into()],
            known: BTreeMap::from([("kind".into(), vec!["tool".into(), "test".into()])]),
            ranges: BTreeMap::from([("priority".into(), (1, 5))]),
        }
    }

    #[test]
    fn elements_that_are_right_pass_and_others_name_their_place() {
        let check = |text: &str| input().check("list.json", text);
        assert_eq!(check(r#"[{"id":"a","priority":5,"kind":"tool"},{"id":"b"}]"#).expect("a list"), [""; 0]);
        for (text, part) in [
            ("{}", "not a JSON list"),
            ("[1]", "not a JSON list"),
            (r#"[{"id":"a"},{"priority":1}]"#, "list.json: element 2: `id` is missing"),
            (r#"[{"id":null}]"#, "element 1: `id` is missing"),
            (r#"[{"id":"a","priority":6}]"#, "`priority` is 6 and not a whole number from 1 to 5"),
            (r#"[{"id":"a","priority":"2"}]"#, "from 1 to 5"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.to_string().contains(part), "{error}");
            assert!(error.next_step().expect("a step").contains("haul upgrade plan"));
        }
    }

    #[test]
    fn unknown_values_are_accepted_with_a_note() {
        let notes = input().check("list.json", r#"[{"id":"a","kind":"game"}]"#).expect("a list");
        assert_eq!(notes, ["plugins: `kind` is `game`, which is none of tool, test"]);
    }
}
