//! Finds the tables that statements make and leave, as far as their words say it.

use std::collections::BTreeSet;

use super::touched::Words;
use crate::db::dialect::Dialect;

/// Returns the names of the tables that the statements make, without those that they drop or rename, and without those in a
/// schema that is named. A name is as the engine keeps it.
pub fn tables_made<'a>(dialect: Dialect, statements: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    let mut made = BTreeSet::new();
    for statement in statements {
        let mut words = Words::of(dialect, statement);
        match words.next_word().as_str() {
            "CREATE" => {
                words.takes("UNLOGGED");
                if words.takes("TABLE") {
                    made.extend(words.names(false).into_iter().flatten());
                }
            }
            "DROP" if words.takes("TABLE") => gone(&mut made, words.names(true)),
            "ALTER" if words.takes("TABLE") && words.has("RENAME") => gone(&mut made, words.names(false)),
            _ => {}
        }
    }
    let made = made.into_iter().filter(|name| !name.contains('.'));
    made.map(|name| kept_name(dialect, &name)).collect()
}

fn gone(made: &mut BTreeSet<String>, names: Option<Vec<String>>) {
    for name in names.into_iter().flatten() {
        made.retain(|other| !other.eq_ignore_ascii_case(&name));
    }
}

fn kept_name(dialect: Dialect, name: &str) -> String {
    match name.strip_prefix(['"', '`', '[']) {
        Some(quoted) => quoted[..quoted.len() - 1].replace("\"\"", "\""),
        None if dialect == Dialect::Postgres => name.to_lowercase(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_that_are_made_and_stay_are_found() {
        let statements = [
            "CREATE TABLE IF NOT EXISTS People (a int)",
            "create unlogged table \"It \"\"s\" (a int)",
            "CREATE TABLE app.far (a int)",
            "CREATE TEMP TABLE passing (a int)",
            "CREATE TABLE old (a int)",
            "CREATE TABLE older (a int)",
            "ALTER TABLE old RENAME TO new",
            "ALTER TABLE people ADD b int",
            "DROP TABLE IF EXISTS older, other",
            "INSERT INTO nothing VALUES ('CREATE TABLE x (a int)')",
        ];
        let made = |dialect| tables_made(dialect, statements.into_iter()).into_iter().collect::<Vec<_>>();
        assert_eq!(made(Dialect::Postgres), ["It \"s", "people"]);
        assert_eq!(made(Dialect::Sqlite), ["It \"s", "People"]);
    }
}
