//! What the tests of SQL migrations share: a directory with migrations and a database, on either engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::postgres::{Client, NoTls, SimpleQueryMessage};
use serde_json::Value;

use super::haul::{Done, HAUL};
use super::postgres;

/// A directory with migrations, and a database that nobody else has.
pub struct Db {
    directory: tempfile::TempDir,
    pub(super) url: String,
    pub(super) server: Option<(&'static postgres::Server, String)>,
}

impl Db {
    pub fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("migrations")).expect("a directory");
        Self { directory, url: "sqlite:x.db".into(), server: None }
    }

    /// On the server for all tests.
    pub fn postgres() -> Self {
        Self::on(postgres::server())
    }

    /// With a database on this server.
    pub fn on(server: &'static postgres::Server) -> Self {
        let database = server.database();
        let url = server.url(&database);
        Self { url, server: Some((server, database)), ..Self::sqlite() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> PathBuf {
        self.path().join("x.db")
    }

    pub fn migrations(&self) -> PathBuf {
        self.path().join("migrations")
    }

    /// Writes a migration file.
    pub fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.migrations().join(name), text).expect("a file");
        self
    }

    /// A command that is yet to be run: `haul db …` on this database, whose file `migrate` may create.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(HAUL);
        let create = (arguments.starts_with("migrate") && self.server.is_none()).then_some("--create");
        // pg_dump takes longer than most tests; tests of backups say when one is made.
        let destroys =
            ["rollback", "redo"].iter().any(|verb| arguments.starts_with(verb)) || arguments.contains("--yes");
        let may_back_up = ["migrate", "rollback", "redo"].iter().any(|verb| arguments.starts_with(verb));
        let is_plain = may_back_up && destroys && self.server.is_some() && !arguments.contains("--backup");
        command.arg("db").args(arguments.split_whitespace()).args(create).current_dir(self.path()).stdin(Stdio::null());
        command.args(is_plain.then_some("--backup=never"));
        command.env("DATABASE_URL", &self.url).env_remove("HAUL_ENV").env_remove("COLUMNS").env_remove("NO_COLOR");
        command
    }

    pub fn run(&self, arguments: &str) -> Done {
        Done::of(self.command(arguments).output().expect("haul runs"))
    }

    /// Runs with `--json` and returns the document, after checking the exit code.
    #[track_caller]
    pub fn json(&self, arguments: &str, code: i32) -> Value {
        self.run(&format!("{arguments} --json --progress none")).expect(code).json()
    }

    /// Runs SQL by other means than haul's.
    pub fn execute(&self, sql: &str) {
        match &self.server {
            None => rusqlite::Connection::open(self.file()).and_then(|db| db.execute_batch(sql)).expect("it runs"),
            Some(_) => self.client().batch_execute(sql).expect("it runs"),
        }
    }

    /// The rows of a query, fields with `|` between, as the engines' shells show them.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        match &self.server {
            None => sqlite_rows(&self.file(), sql),
            Some(_) => {
                let messages = self.client().simple_query(sql).expect("it runs");
                let rows = messages.iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row),
                    _ => None,
                });
                rows.map(|row| (0..row.len()).map(|at| row.get(at).unwrap_or_default()).collect::<Vec<_>>().join("|"))
                    .collect()
            }
        }
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.url, NoTls).expect("a session")
    }
}

pub(super) fn sqlite_rows(file: &Path, sql: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open(file).expect("a database");
    let mut statement = connection.prepare(sql).expect("a statement");
    let width = statement.column_count();
    let row = |row: &rusqlite::Row<'_>| {
        let field = |at| match row.get_ref_unwrap(at) {
            rusqlite::types::ValueRef::Null => String::new(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Real(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(text) | rusqlite::types::ValueRef::Blob(text) => {
                String::from_utf8_lossy(text).into_owned()
            }
        };
        Ok((0..width).map(field).collect::<Vec<_>>().join("|"))
    };
    statement.query_map([], row).expect("rows").collect::<Result<_, _>>().expect("rows")
}
