//! The search path of a tenant's session: the schema of the tenant, and then what the session had without it, so that
//! shared tables and extensions are found.

use super::connect::Connection;
use super::query::{query, quoted};
use crate::db::database::Value;
use crate::db::engine_error::{EngineError, EngineErrorKind};

const PATH: &str = "SELECT pg_catalog.current_setting('search_path'), (SELECT count(*) FROM pg_catalog.pg_namespace \
                    WHERE \
                    nspname = $1)";
/// Stands for the schema that is named like the role. It would come before the tenant's for names that both have.
const OF_THE_ROLE: &str = "$user";

impl Connection {
    /// Lets names without a schema mean those of `schema` first, now and after each reset of the session.
    pub(super) fn enter(&mut self, schema: &str) -> Result<(), EngineError> {
        let row = query(&mut self.client, PATH, &[schema.into()])?.into_iter().next().unwrap_or_default();
        let mut values = row.into_iter();
        let path = values.next().map(Value::into_text).unwrap_or_default();
        if values.next().and_then(|count| count.integer()) != Some(1) {
            let error = EngineError::new(EngineErrorKind::Unusable, format!("there is no schema {schema}"));
            return Err(error.with_hint("create the schema, or leave it out of --schemas"));
        }
        let path = path_of(schema, &path);
        self.settings.push_str(&format!("SET search_path = {path}; "));
        self.begin_reading.push_str(&format!("; SET LOCAL search_path = {path}"));
        self.schema = Some(schema.to_owned());
        Ok(())
    }
}

/// Returns the path that begins with `schema` and goes on with `path`.
fn path_of(schema: &str, path: &str) -> String {
    let others = names_in(path).into_iter().filter(|name| name != schema && name != OF_THE_ROLE);
    std::iter::once(schema.to_owned()).chain(others).map(|name| quoted(&name)).collect::<Vec<_>>().join(", ")
}

/// Splits a list of names, as the server does: a name in quotes is taken as it is, others in lower case.
fn names_in(path: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut is_quoted = false;
    let mut chars = path.chars().peekable();
    while let Some(found) = chars.next() {
        let name = names.last_mut().expect("one name at least");
        match found {
            '"' if is_quoted && chars.peek() == Some(&'"') => name.extend(chars.next()),
            '"' => is_quoted = !is_quoted,
            found if is_quoted => name.push(found),
            ',' => names.push(String::new()),
            found if found.is_whitespace() => {}
            found => name.push(found.to_ascii_lowercase()),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_comes_first_and_that_of_the_role_is_left_out() {
        for (path, expected) in [
            ("\"$user\", public", "\"t 1\", \"public\""),
            ("$user,Public", "\"t 1\", \"public\""),
            ("", "\"t 1\""),
            ("\"\"", "\"t 1\""),
            ("ext, \"A,\"\"b\", \"t 1\"", "\"t 1\", \"ext\", \"A,\"\"b\""),
        ] {
            assert_eq!(path_of("t 1", path), expected, "{path}");
        }
    }
}
