//! The shortest runner of a definition: groups, then backfills, file by file.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::db::sqlite::connect::set_up;
use crate::upgrade::definition::Definition;
use crate::upgrade::set::Member;
use crate::upgrade::values::{AssumedZone, Values, create_views, register};

/// A file of a set, with what is asked of it.
pub struct Database {
    pub connection: Connection,
    pub member: Member,
}

pub fn values(definition: &Definition, zone: &str, plugins: Option<&str>) -> Values {
    Values {
        run_clock: "2026-02-01T00:00:00Z".parse().expect("an instant"),
        zone: AssumedZone::parse(zone).expect("a zone"),
        inputs: plugins.map(|text| ("plugins".to_owned(), text.to_owned())).into_iter().collect(),
        settings: definition.settings.clone(),
    }
}

impl Database {
    /// Prepares a connection. The shape is that whose conditions the file meets.
    pub fn new(connection: Connection, definition: &Definition, tier: &str, is_primary: bool, values: &Values) -> Self {
        set_up(&connection).expect("settings");
        register(&connection, values).expect("functions");
        let shape = shape(&connection, definition, tier);
        create_views(&connection, definition, tier, &shape).expect("views");
        let key = format!("{tier}-{shape}");
        let member = Member { path: key.clone().into(), key, tier: tier.into(), shape, is_primary };
        Self { connection, member }
    }

    pub fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap_or_else(|error| panic!("{}: {error}: {sql}", self.member.key));
    }

    pub fn text(&self, sql: &str) -> String {
        let sql = format!("SELECT CAST(({sql}) AS TEXT)");
        let found = self.connection.query_row(&sql, [], |row| row.get::<_, Option<String>>(0));
        found.unwrap_or_else(|error| panic!("{}: {error}: {sql}", self.member.key)).unwrap_or_else(|| "NULL".into())
    }

    pub fn has_table(&self, name: &str) -> bool {
        self.text(&format!("SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND name = '{name}'")) == "1"
    }
}

/// Returns the only shape that fits.
pub fn shape(connection: &Connection, definition: &Definition, tier: &str) -> String {
    let shapes = shapes(connection, definition);
    let [(found, shape)] = &shapes[..] else { panic!("{shapes:?} for a file of {tier}") };
    assert_eq!(found, tier);
    shape.clone()
}

/// Returns tiers and names of all shapes that fit.
pub fn shapes(connection: &Connection, definition: &Definition) -> Vec<(String, String)> {
    let columns = |table: &str| -> Vec<String> {
        let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)").expect("a query");
        let rows = statement.query_map([table], |row| row.get(0)).expect("columns");
        rows.collect::<Result<_, _>>().expect("columns")
    };
    let mut found = Vec::new();
    for tier in &definition.tiers {
        let fitting = tier.shapes.iter().filter(|shape| {
            let there = columns(&shape.table);
            !there.is_empty()
                && shape.columns.iter().all(|column| there.contains(column))
                && !shape.without_columns.iter().any(|column| there.contains(column))
                && shape.without_tables.iter().all(|table| columns(table).is_empty())
        });
        found.extend(fitting.map(|shape| (tier.name.clone(), shape.name.clone())));
    }
    found
}

/// Upgrades all files of a set. Returns the rows that each backfill wrote, over all files.
pub fn upgrade(definition: &Definition, set: &[Database]) -> BTreeMap<String, usize> {
    let measures = measures(definition, set);
    for database in set {
        groups(definition, database);
    }
    let mut written = BTreeMap::new();
    for database in set {
        facts(database, set, &measures);
        for (name, rows) in backfills(definition, database) {
            *written.entry(name).or_default() += rows;
        }
    }
    written
}

pub fn groups(definition: &Definition, database: &Database) {
    for (_, scripts) in definition.groups_of(&database.member) {
        for script in scripts {
            if script.table.as_ref().is_none_or(|table| database.has_table(table)) {
                script.statements.iter().for_each(|statement| database.run(&statement.text));
            }
        }
    }
}

fn measures(definition: &Definition, set: &[Database]) -> Vec<(String, String, String, f64)> {
    let mut found = Vec::new();
    for database in set {
        let Member { key, tier, shape, .. } = &database.member;
        for measure in definition.measures.iter().filter(|measure| measure.tier == *tier) {
            let sql = crate::upgrade::definition::ShapeSql::of_shape(&measure.selects, shape);
            if let Some(sql) = sql {
                let value = database.text(sql).parse().expect("a number");
                found.push((key.clone(), tier.clone(), measure.name.clone(), value));
            }
        }
    }
    found
}

fn facts(database: &Database, set: &[Database], measures: &[(String, String, String, f64)]) {
    database.run(
        "DROP TABLE IF EXISTS temp.haul_files; DROP TABLE IF EXISTS temp.haul_measures;
         CREATE TEMP TABLE haul_files(file TEXT, tier TEXT, shape TEXT, is_primary INTEGER, pages INTEGER, free_pages INTEGER,
             integrity_ok INTEGER, foreign_key_findings INTEGER, fts_inconsistent INTEGER);
         CREATE TEMP TABLE haul_measures(file TEXT, tier TEXT, name TEXT, value);",
    );
    for Member { key, tier, shape, is_primary, .. } in set.iter().map(|database| &database.member) {
        let sql = "INSERT INTO temp.haul_files VALUES (?1, ?2, ?3, ?4, 100, 10, 1, 0, 0)";
        database.connection.execute(sql, params![key, tier, shape, is_primary]).expect("facts");
    }
    for (file, tier, name, value) in measures {
        let sql = "INSERT INTO temp.haul_measures VALUES (?1, ?2, ?3, ?4)";
        database.connection.execute(sql, params![file, tier, name, value]).expect("a measure");
    }
}

/// Runs the backfills of a file twice. The second time nothing is written.
fn backfills(definition: &Definition, database: &Database) -> Vec<(String, usize)> {
    let pass = || -> Vec<(String, usize)> {
        let backfills = definition.backfills_of(&database.member).into_iter();
        let each = backfills.map(|backfill| {
            let shape = &database.member.shape;
            let rows = backfill.rows_for(shape).expect("rows");
            database.run("DROP TABLE IF EXISTS temp.haul_rows");
            database.run(&format!("CREATE TEMP TABLE haul_rows AS SELECT row_number() OVER () AS n, * FROM ({rows})"));
            (backfill.name.clone(), write(database, backfill.write_for(shape)))
        });
        each.collect()
    };
    let first = pass();
    assert!(pass().iter().all(|(_, written)| *written == 0), "a second pass writes nothing");
    first
}

fn write(database: &Database, sql: &str) -> usize {
    let rows: i64 = database.text("SELECT count(*) FROM temp.haul_rows").parse().expect("a number");
    let mut statement = database.connection.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let ranges = (0..rows).step_by(1000);
    ranges.map(|from| statement.execute([from, from + 1000]).unwrap_or_else(|error| panic!("{error}: {sql}"))).sum()
}
