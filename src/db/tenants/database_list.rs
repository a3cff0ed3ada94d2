//! Which databases are tenants.

use std::collections::BTreeMap;

use super::names::names;
use super::tenant::Tenant;
use crate::db::engine_error::EngineError;
use crate::db::state::Tables;
use crate::db::target::Target;
use crate::migration::Error;

/// The maximum number of databases.
const DATABASES_MAX: usize = 100_000;

/// Returns the databases of a text with a URL or the path of a SQLite file on each line. Empty lines and lines that
/// begin with `#` are left out. `file` is the name of the text in errors, which never quote a line: it may hold a
/// password.
pub fn listed_databases(file: &str, text: &str) -> Result<Vec<Target>, Error> {
    let lines = text.lines().zip(1_u64..).map(|(line, number)| (line.trim(), number));
    let entries = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let target = |(line, number): (&str, u64)| {
        let place = format!("{file}:{number}");
        Target::parse_or_path(line).map(|target| (place.clone(), target)).map_err(|error| at(&place, error))
    };
    distinct(entries.map(target).collect::<Result<_, _>>()?)
}

/// Returns the databases that a query returns: names of databases of the server on which it runs, or URLs; on SQLite
/// paths or URLs.
pub fn queried_databases(target: &Target, tables: &Tables, sql: &str) -> Result<Vec<Tenant>, Error> {
    let mut database = target.open_read_only()?;
    let rows = names(&mut *database, sql).map_err(|error: EngineError| error.at(&target.to_string()))?;
    let found = |(name, number): (String, u64)| {
        let place = format!("row {number} of --databases-query");
        match target.other_database(&name) {
            Some(other) => Ok((place, other)),
            None => {
                Target::parse_or_path(&name).map(|target| (place.clone(), target)).map_err(|error| at(&place, error))
            }
        }
    };
    let targets = distinct(rows.into_iter().zip(1..).map(found).collect::<Result<_, _>>()?)?;
    Ok(targets.into_iter().map(|target| Tenant::of_database(target, tables)).collect())
}

/// Fails if a database is there twice, if they are not of one engine, or if there are too many.
fn distinct(found: Vec<(String, Target)>) -> Result<Vec<Target>, Error> {
    let refused = |place: &str, what: String| Error::Usage {
        what: format!("{place}: {what}"),
        next: "correct the list of databases; nothing was changed".into(),
    };
    if let Some((place, _)) = found.get(DATABASES_MAX) {
        return Err(refused(place, format!("there are more than {DATABASES_MAX} databases")));
    }
    let mut seen = BTreeMap::new();
    let dialect = found.first().map(|(_, target)| target.dialect());
    for (place, target) in &found {
        if Some(target.dialect()) != dialect {
            return Err(refused(place, "the files are read for one engine, and this database is of another".into()));
        }
        if let Some(first) = seen.insert(target.identity(), place) {
            return Err(refused(place, format!("this is {target}, as is {first}")));
        }
    }
    Ok(found.into_iter().map(|(_, target)| target).collect())
}

/// Adds to an error where the entry is.
fn at(place: &str, error: Error) -> Error {
    match error {
        Error::Usage { what, next } => Error::Usage { what: format!("{place}: {what}"), next },
        error => error,
    }
}

#[cfg(all(test, feature = "db-sqlite", feature = "db-postgres"))]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<Vec<String>, String> {
        let found = listed_databases("list", text).map_err(|error| error.to_string())?;
        Ok(found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_list_has_urls_paths_and_comments() {
        let found = shown("# all\n\n  a.db \nsqlite:b.db\r\n  # end").unwrap();
        assert_eq!(found, ["sqlite:a.db", "sqlite:b.db"]);
        let found = shown("postgres://me:s3cret@h/a\nhost=h user=me dbname=b\n").unwrap();
        assert_eq!(found, ["postgres://me@h/a", "postgres://me@h/b"]);
        assert_eq!(shown("\n# nothing\n").unwrap(), [""; 0]);
    }

    #[test]
    fn errors_name_the_line_and_quote_nothing_of_it() {
        for (text, expected) in [
            ("a.db\n\n./a.db", "list:3: this is sqlite:./a.db, as is list:1"),
            ("a.db\npostgres://h/s3cret", "list:2: the files are read for one engine"),
            ("postgres://me:s3cret@h:x/a", "list:1: the URL of the database cannot be read: a port"),
            ("mysql://me:s3cret@h/a", "list:1: haul does not know this kind of database URL"),
            ("postgres://a:s3cret@h/a\npostgres://a:s3cret2@h/a", "list:2: this is postgres://a@h/a, as is list:1"),
        ] {
            let error = shown(text).unwrap_err();
            assert!(error.starts_with(expected) && !error.contains("s3cret"), "{error}");
        }
    }
}
