//! What the tests of SQL migrations share: a directory with migrations and a database, on either engine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ::postgres::{Client, NoTls, SimpleQueryMessage};
use haul::db::script::read_directory;
use haul::db::{Runner, RunnerOptions, Target};
use serde_json::Value;

use super::postgres;
use crate::support::cli::{Done, HAUL};

/// Which engine a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// A directory with migrations, and a database that nobody else has.
pub struct Db {
    pub engine: Engine,
    directory: tempfile::TempDir,
    url: String,
    server: Option<(&'static postgres::Server, String)>,
}

/// Makes two tests of one function that takes a `&Db`.
macro_rules! on_both {
    ($($name:ident)+) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(&crate::support::db::Db::sqlite()); })+
        }
        mod on_postgres {
            $(#[test] fn $name() { if let Some(db) = crate::support::db::Db::postgres() { super::$name(&db); } })+
        }
    };
}
pub(crate) use on_both;

impl Db {
    pub fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("migrations")).expect("a directory");
        Self { engine: Engine::Sqlite, directory, url: "sqlite:x.db".into(), server: None }
    }

    /// `None` after saying that the test is left out.
    pub fn postgres() -> Option<Self> {
        postgres::server().map(Self::on)
    }

    /// With a database on this server.
    pub fn on(server: &'static postgres::Server) -> Self {
        let database = server.database();
        let url = server.url(&database);
        Self { engine: Engine::Postgres, url, server: Some((server, database)), ..Self::sqlite() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file of a SQLite database.
    pub fn file(&self) -> PathBuf {
        self.path().join("x.db")
    }

    /// The database, as the library takes it.
    pub fn target(&self) -> Target {
        match self.engine {
            Engine::Sqlite => Target::Sqlite(self.file()),
            Engine::Postgres => Target::parse(&self.url).expect("an address"),
        }
    }

    /// A runner of the migrations in the directory.
    pub fn runner(&self) -> Runner {
        let target = self.target();
        let migrations = read_directory(target.dialect(), &self.migrations()).expect("migrations");
        Runner::new(target.open().expect("a database"), migrations, RunnerOptions::default()).expect("a runner")
    }

    pub fn migrations(&self) -> PathBuf {
        self.path().join("migrations")
    }

    /// Writes a migration file.
    pub fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.migrations().join(name), text).expect("a file");
        self
    }

    pub fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.migrations().join(name)).expect("a file");
        self
    }

    /// A command that is yet to be run: `haul db …` on this database.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(HAUL);
        command.arg("db").args(arguments.split_whitespace()).current_dir(self.path()).stdin(Stdio::null());
        command.env("DATABASE_URL", &self.url).env_remove("COLUMNS").env_remove("NO_COLOR");
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

    /// Names of the tables that migrations made.
    pub fn tables(&self) -> Vec<String> {
        let sql = match self.engine {
            Engine::Sqlite => {
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'haul_%' ORDER BY 1"
            }
            Engine::Postgres => {
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE 'haul_%' ORDER BY 1"
            }
        };
        self.rows(sql)
    }

    /// What the ledger says is applied, in the order of application.
    pub fn applied(&self) -> Vec<String> {
        self.rows("SELECT name FROM haul_migrations ORDER BY position")
    }

    /// Outcomes in the log, in order.
    pub fn outcomes(&self) -> Vec<String> {
        self.rows("SELECT name || ' ' || outcome FROM haul_migrations_log ORDER BY id")
    }

    /// Everything in the database except for haul's own tables, as the engine's own program shows it.
    pub fn schema(&self) -> String {
        match &self.server {
            None => sqlite_rows(
                &self.file(),
                "SELECT sql FROM sqlite_schema WHERE tbl_name NOT LIKE 'haul_%' ORDER BY name",
            )
            .join("\n"),
            Some(_) => self.dump(&["--schema-only", "-T", "haul_migrations*"]),
        }
    }

    /// All bytes of a SQLite database; all that pg_dump writes of another.
    pub fn everything(&self) -> Vec<u8> {
        match &self.server {
            None => fs::read(self.file()).unwrap_or_default(),
            Some(_) => self.dump(&[]).into_bytes(),
        }
    }

    fn dump(&self, arguments: &[&str]) -> String {
        let (server, database) = self.server.as_ref().expect("a server");
        let dump = server.program("pg_dump", database, arguments, "").expect("pg_dump comes with the server");
        // Later versions put random keys around what they dump.
        dump.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }

    /// What the engine's own shell answers; `None` if it is not installed.
    pub fn shell(&self, sql: &str) -> Option<String> {
        match &self.server {
            None => {
                let output = Command::new("sqlite3").arg(self.file()).arg(sql).output().ok()?;
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                Some(String::from_utf8(output.stdout).expect("text"))
            }
            Some((server, database)) => server.program("psql", database, &["-AtqX", "-v", "ON_ERROR_STOP=1"], sql),
        }
    }
}

fn sqlite_rows(file: &Path, sql: &str) -> Vec<String> {
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
