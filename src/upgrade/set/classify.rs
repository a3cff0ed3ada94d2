//! Recognises tier and shape of a database by its tables and their columns, never by the name of its file.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use crate::upgrade::definition::{Definition, Shape};

/// How many tables a message lists.
const TABLES_SHOWN_MAX: usize = 8;

/// What a database was recognised as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// It has one tier and one shape.
    As {
        /// The name of the tier.
        tier: String,
        /// The name of the shape.
        shape: String,
    },
    /// It has no known shape. The text lists its tables with their columns.
    Unknown(String),
    /// It meets the conditions of several shapes, listed as `tier1 A`.
    Ambiguous(Vec<String>),
}

/// Columns of each table, all in lower case: SQLite does not tell cases apart.
type Columns = BTreeMap<String, BTreeSet<String>>;

/// Recognises the database, among the shapes of `tier` alone if that is given.
pub fn classify(connection: &Connection, definition: &Definition, tier: Option<&str>) -> rusqlite::Result<Recognised> {
    let columns = columns(connection)?;
    let tiers = definition.tiers.iter().filter(|known| tier.is_none_or(|tier| tier == known.name));
    let pairs = tiers.flat_map(|tier| tier.shapes.iter().map(move |shape| (tier, shape)));
    let met: Vec<_> = pairs.filter(|(_, shape)| is_met(shape, &columns)).collect();
    Ok(match met.as_slice() {
        [(tier, shape)] => Recognised::As { tier: tier.name.clone(), shape: shape.name.clone() },
        [] => Recognised::Unknown(tables_text(connection, definition)?),
        several => {
            Recognised::Ambiguous(several.iter().map(|(tier, shape)| format!("{} {}", tier.name, shape.name)).collect())
        }
    })
}

fn columns(connection: &Connection) -> rusqlite::Result<Columns> {
    let sql = "SELECT lower(list.name), lower(info.name) FROM pragma_table_list AS list, \
               pragma_table_info(list.name, 'main') AS info WHERE list.schema = 'main' AND list.type = 'table'";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut columns = Columns::new();
    while let Some(row) = rows.next()? {
        columns.entry(row.get(0)?).or_default().insert(row.get(1)?);
    }
    Ok(columns)
}

fn is_met(shape: &Shape, columns: &Columns) -> bool {
    let Some(has) = columns.get(&shape.table.to_ascii_lowercase()) else { return false };
    let has = |column: &String| has.contains(&column.to_ascii_lowercase());
    shape.columns.iter().all(has)
        && !shape.without_columns.iter().any(has)
        && !shape.without_tables.iter().any(|table| columns.contains_key(&table.to_ascii_lowercase()))
}

/// Returns the tables with their columns: those by which shapes are recognised, or if none of them is there, all.
pub fn tables_text(connection: &Connection, definition: &Definition) -> rusqlite::Result<String> {
    let sql = "SELECT list.name, group_concat(info.name, ', ' ORDER BY info.cid) \
               FROM pragma_table_list AS list, pragma_table_info(list.name, 'main') AS info \
               WHERE list.schema = 'main' AND list.type = 'table' AND list.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               GROUP BY 1 ORDER BY 1";
    let mut statement = connection.prepare(sql)?;
    let tables = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut tables: Vec<(String, String)> = tables.collect::<Result<_, _>>()?;
    let shapes = || definition.tiers.iter().flat_map(|tier| &tier.shapes);
    let is_known = |(name, _): &(String, String)| shapes().any(|shape| shape.table.eq_ignore_ascii_case(name));
    if tables.iter().any(is_known) {
        tables.retain(is_known);
    }
    let shown: Vec<_> =
        tables.iter().take(TABLES_SHOWN_MAX).map(|(name, columns)| format!("{name} ({columns})")).collect();
    Ok(match tables.len() {
        0 => "it has no table".into(),
        len if len > shown.len() => format!("{} and {} more tables", shown.join(", "), len - shown.len()),
        _ => shown.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::super::test_definition::definition;
    use super::*;

    fn recognised(sql: &str, tier: Option<&str>) -> Recognised {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(sql).unwrap();
        classify(&connection, &definition(), tier).unwrap()
    }

    fn recognised_as(tier: &str, shape: &str) -> Recognised {
        Recognised::As { tier: tier.into(), shape: shape.into() }
    }

    #[test]
    fn shapes_are_known_apart_by_columns() {
        let cases = [
            ("CREATE TABLE Notes (ID, old)", recognised_as("one", "A")),
            ("CREATE TABLE notes (id, new, extra); CREATE TABLE other (x)", recognised_as("one", "B")),
            ("CREATE TABLE items (id)", recognised_as("two", "items")),
        ];
        for (sql, expected) in cases {
            assert_eq!(recognised(sql, None), expected, "{sql}");
        }
    }

    #[test]
    fn a_shape_that_is_not_known_is_shown() {
        let unknown = |text: &str| Recognised::Unknown(text.into());
        assert_eq!(recognised("CREATE TABLE notes (id, z); CREATE TABLE x (y)", None), unknown("notes (id, z)"));
        assert_eq!(recognised("CREATE TABLE x (y, a)", None), unknown("x (y, a)"));
        assert_eq!(recognised("", None), unknown("it has no table"));
        assert_eq!(recognised("CREATE VIEW items AS SELECT 1 AS id", None), unknown("it has no table"));
        let many: String = (0..11).map(|number| format!("CREATE TABLE t{number:02} (a);")).collect();
        let Recognised::Unknown(text) = recognised(&many, None) else { panic!("it is known") };
        assert!(text.ends_with("t07 (a) and 3 more tables"), "{text}");
    }

    #[test]
    fn several_shapes_are_none_unless_a_tier_is_named() {
        let sql = "CREATE TABLE notes (id, old); CREATE TABLE items (id)";
        assert_eq!(recognised(sql, None), Recognised::Ambiguous(vec!["one A".into(), "two items".into()]));
        assert_eq!(recognised(sql, Some("two")), recognised_as("two", "items"));
        let without = "CREATE TABLE items (id); CREATE TABLE never (x)";
        assert!(matches!(recognised(without, None), Recognised::Unknown(_)));
    }
}
