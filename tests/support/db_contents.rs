//! What a database of a test holds, by means of the library and of the engine's own programs.

use std::fs;
use std::process::Command;

use haul::db::script::{Folders, examine_directory};
use haul::db::{Runner, RunnerOptions, Target};

use super::db::{Db, sqlite_rows};

/// Which engine a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

impl Db {
    pub fn engine(&self) -> Engine {
        if self.server.is_some() { Engine::Postgres } else { Engine::Sqlite }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database, as the library takes it.
    pub fn target(&self) -> Target {
        match self.engine() {
            Engine::Sqlite => Target::Sqlite(self.file().into()).creating(),
            Engine::Postgres => Target::parse(&self.url).expect("an address"),
        }
    }

    /// A runner of the migrations in the directory.
    pub fn runner(&self) -> Runner {
        let target = self.target();
        let examined = examine_directory(target.dialect(), &self.migrations(), Folders::Refuse).expect("a directory");
        let migrations = examined.into_migrations().expect("migrations");
        Runner::new(target.open().expect("a database"), migrations, RunnerOptions::default()).expect("a runner")
    }

    pub fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.migrations().join(name)).expect("a file");
        self
    }

    /// Names of the tables that migrations made.
    pub fn tables(&self) -> Vec<String> {
        let sql = match self.engine() {
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
        let dump = server.program("pg_dump", database, arguments, "");
        // Later versions put random keys around what they dump.
        dump.lines().filter(|line| !line.contains("restrict ")).collect::<Vec<_>>().join("\n")
    }

    /// What the engine's own shell answers.
    pub fn shell(&self, sql: &str) -> String {
        match &self.server {
            None => {
                let output = Command::new("sqlite3").arg(self.file()).arg(sql).output().expect("sqlite3");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                String::from_utf8(output.stdout).expect("text")
            }
            Some((server, database)) => server.program("psql", database, &["-AtqX", "-v", "ON_ERROR_STOP=1"], sql),
        }
    }
}

/// Makes two tests of one function that takes a `&Db`.
macro_rules! on_both {
    ($($name:ident)+) => {
        mod on_sqlite {
            $(#[test] fn $name() { super::$name(&crate::support::db::Db::sqlite()); })+
        }
        mod on_postgres {
            $(
                #[test]
                #[ignore = "needs PostgreSQL"]
                fn $name() { super::$name(&crate::support::db::Db::postgres()); }
            )+
        }
    };
}
pub(crate) use on_both;
