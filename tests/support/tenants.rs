//! Tenants of tests: schemas of a PostgreSQL database, or SQLite files, each with a ledger of its own.

use std::fs;

use haul::db::Target;
use serde_json::Value;

use super::db::{Db, sqlite_rows};
use super::db_contents::Engine;

/// Tenants with the names `tenant_01`, `tenant_02` and so on.
pub struct Tenants<'a> {
    pub db: &'a Db,
    pub names: Vec<String>,
}

impl<'a> Tenants<'a> {
    /// Makes schemas, or empty databases.
    pub fn new(db: &'a Db, count: usize) -> Self {
        let names: Vec<_> = (1..=count).map(|number| format!("tenant_{number:02}")).collect();
        let tenants = Self { db, names };
        match db.engine() {
            Engine::Postgres => db.execute(&tenants.each(|name| format!("CREATE SCHEMA {name};"))),
            Engine::Sqlite => {
                (0..count).for_each(|index| tenants.execute(index, "PRAGMA user_version = 1"));
                fs::write(db.path().join("list"), tenants.each(|name| format!("{name}.db\n"))).expect("a file");
            }
        }
        tenants
    }

    fn each(&self, text: impl Fn(&String) -> String) -> String {
        self.names.iter().map(text).collect()
    }

    /// What names all of them on the command line.
    pub fn arguments(&self) -> &'static str {
        match self.db.engine() {
            Engine::Postgres => "--schemas tenant_*",
            Engine::Sqlite => "--databases list",
        }
    }

    /// Runs a verb on all of them, and returns the document.
    #[track_caller]
    pub fn json(&self, verb: &str, code: i32) -> Value {
        self.db.run(&format!("{verb} {} --json --progress none", self.arguments())).expect(code).json()
    }

    /// One of them, as the library takes it.
    pub fn target(&self, index: usize) -> Target {
        match self.db.engine() {
            Engine::Postgres => self.db.target().in_schema(&self.names[index]).expect("a schema"),
            Engine::Sqlite => Target::Sqlite(self.db.path().join(format!("{}.db", self.names[index])).into()),
        }
    }

    pub fn rows(&self, index: usize, sql: &str) -> Vec<String> {
        let name = &self.names[index];
        match self.db.engine() {
            Engine::Postgres => self.db.rows(&format!("SET search_path = {name}; {sql}")),
            Engine::Sqlite => sqlite_rows(&self.db.path().join(format!("{name}.db")), sql),
        }
    }

    pub fn execute(&self, index: usize, sql: &str) {
        let name = &self.names[index];
        match self.db.engine() {
            Engine::Postgres => self.db.execute(&format!("SET search_path = {name}; {sql}")),
            Engine::Sqlite => {
                let file = self.db.path().join(format!("{name}.db"));
                rusqlite::Connection::open(file).and_then(|db| db.execute_batch(sql)).expect("it runs");
            }
        }
    }

    /// What is applied in one of them, and how often each file was.
    pub fn applied(&self, index: usize) -> Vec<String> {
        let sql = "SELECT m.name, (SELECT count(*) FROM haul_migrations_log l WHERE l.version = m.version AND \
                   l.outcome = \
                   'applied') FROM haul_migrations m ORDER BY position";
        self.rows(index, sql)
    }
}

/// The outcomes in a document, each with the number of tenants; without those that none has.
pub fn counts(document: &Value) -> String {
    let counts = document["counts"].as_object().expect("counts");
    let shown = counts.iter().filter(|(_, count)| **count != 0).map(|(name, count)| format!("{count} {name}"));
    shown.collect::<Vec<_>>().join(", ")
}
