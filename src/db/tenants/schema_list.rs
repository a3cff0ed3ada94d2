//! Which schemas of a PostgreSQL database are tenants.

use std::collections::BTreeSet;

use super::names::names;
use super::tenant::Tenant;
use crate::db::engine_error::EngineError;
use crate::db::pattern::matches;
use crate::db::state::Tables;
use crate::db::target::Target;
use crate::migration::{Error, redacted};

/// Returns the names of all schemas but the server's own.
const ALL: &str = "SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> \
                   'information_schema' ORDER BY nspname COLLATE \"C\"";
/// What a query begins with.
const QUERIES: [&str; 4] = ["select", "with", "table", "values"];

/// Returns the schemas that a pattern such as `tenant_*` fits, or that a query returns. A name that is returned twice,
/// or that is not the name of a schema, is an error.
pub fn schemas(target: &Target, tables: &Tables, wanted: &str) -> Result<Vec<Tenant>, Error> {
    if target.in_schema("").is_none() {
        return Err(Error::Usage {
            what: format!("{target} has no schemas"),
            next: "name the databases of the tenants with --databases FILE".into(),
        });
    }
    let at = |error: EngineError| error.at(&target.to_string());
    let mut database = target.open_read_only()?;
    let all = names(&mut *database, ALL).map_err(at)?;
    let found = match is_query(wanted) {
        true => checked(names(&mut *database, wanted).map_err(at)?, all)?,
        false => all.into_iter().filter(|name| matches(wanted, name)).collect(),
    };
    let tenant = |name: String| {
        let target = target.in_schema(&name)?;
        Some(tables.in_schema(&name).map(|tables| Tenant { name, target, tables }))
    };
    found.into_iter().filter_map(tenant).collect()
}

/// Returns true if the text is a query and no pattern.
fn is_query(text: &str) -> bool {
    let text = text.trim_start();
    let word: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    let is_followed = text[word.len()..].starts_with(|next: char| next.is_whitespace() || next == '(');
    is_followed && QUERIES.iter().any(|query| word.eq_ignore_ascii_case(query))
}

/// Fails if a name is there twice or is not one of `all`.
fn checked(found: Vec<String>, all: Vec<String>) -> Result<Vec<String>, Error> {
    let (all, mut seen): (BTreeSet<_>, _) = (all.into_iter().collect(), BTreeSet::new());
    for name in &found {
        let what = match (all.contains(name), seen.insert(name)) {
            (false, _) => format!("--schemas: there is no schema {}", redacted(name)),
            (true, false) => format!("--schemas: the query returns {name} twice"),
            (true, true) => continue,
        };
        return Err(Error::Usage { what, next: "correct the query; nothing was changed".into() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_not_taken_for_a_pattern() {
        for query in ["select a from t", " WITH x AS (SELECT 1) TABLE x", "VALUES('a')", "Table\nt"] {
            assert!(is_query(query), "{query}");
        }
        for pattern in ["tenant_*", "select", "with_*", "*", ""] {
            assert!(!is_query(pattern), "{pattern}");
        }
    }

    #[test]
    fn names_of_a_query_exist_and_are_there_once() {
        let of = |found: &[&str]| {
            let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
            checked(names(found), names(&["a", "b"])).map_err(|error| error.to_string())
        };
        assert_eq!(of(&["b", "a"]).unwrap(), ["b", "a"]);
        assert_eq!(of(&["a", "c"]).unwrap_err(), "--schemas: there is no schema c");
        assert_eq!(of(&["a", "a"]).unwrap_err(), "--schemas: the query returns a twice");
    }
}
