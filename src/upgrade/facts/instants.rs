//! In which forms a database holds instants.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::schema::{quoted, tables};

/// Names of columns that hold instants.
const NAMES: [&str; 5] = ["timestamp", "started", "ended", "created", "updated"];
/// Ends of such names.
const ENDS: [&str; 6] = ["_at", "_time", "_seen", "_accessed", "_activity", "_modified"];

/// Returns the number of values by form over all columns that hold instants: those declared as `TIMESTAMP` or
/// `DATETIME`, and those not declared as `DATE` whose names are usual for instants. `NULL` does not count.
///
/// The connection must have the function `haul_form`.
pub fn instant_forms(connection: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut forms = BTreeMap::new();
    for table in tables(connection)? {
        for column in instant_columns(connection, &table)? {
            let sql =
                format!("SELECT haul_form({}), count(*) FROM main.{} GROUP BY 1", quoted(&column), quoted(&table));
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if let Some(form) = row.get::<_, Option<String>>(0)? {
                    *forms.entry(form).or_default() += row.get::<_, i64>(1)?.cast_unsigned();
                }
            }
        }
    }
    Ok(forms)
}

fn instant_columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name, type FROM pragma_table_info(?1, 'main') ORDER BY cid";
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let columns: Vec<(String, String)> = columns.collect::<Result<_, _>>()?;
    Ok(columns.into_iter().filter(|(name, declared)| holds_instants(name, declared)).map(|(name, _)| name).collect())
}

fn holds_instants(name: &str, declared: &str) -> bool {
    let (name, declared) = (name.to_ascii_lowercase(), declared.to_ascii_uppercase());
    if declared.contains("TIMESTAMP") || declared.contains("DATETIME") {
        return true;
    }
    !declared.contains("DATE") && (NAMES.contains(&name.as_str()) || ENDS.iter().any(|end| name.ends_with(end)))
}

#[cfg(test)]
mod tests {
    use rusqlite::functions::FunctionFlags;

    use super::*;

    #[test]
    fn values_are_counted_by_form() {
        let connection = Connection::open_in_memory().unwrap();
        let form = |context: &rusqlite::functions::Context<'_>| {
            let text = context.get::<Option<String>>(0)?;
            Ok(text.map(|text| if text.contains('T') { "iso-naive" } else { "sql" }))
        };
        connection.create_scalar_function("haul_form", 1, FunctionFlags::SQLITE_UTF8, form).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE a (start_time TEXT, note TEXT, x TIMESTAMP);
                 CREATE TABLE b (period_start DATE, updated_at DATE, \"Timestamp\" TEXT);
                 INSERT INTO a VALUES ('1T', '1T', 'x'), (NULL, '2T', 'y'), ('3', '', NULL);
                 INSERT INTO b VALUES ('T', 'T', 'T')",
            )
            .unwrap();
        let expected = [("iso-naive".to_owned(), 2), ("sql".to_owned(), 3)];
        assert_eq!(instant_forms(&connection).unwrap(), expected.into());
    }
}
