//! Migrations of a SQLite database: a squashed file makes what its chain makes, and is there as a whole or not at all.

use std::collections::BTreeMap;
use std::fs;

use fastrand::Rng;

use super::{Model, Runner};

#[derive(Default)]
pub struct Database {
    /// The files as they were written.
    chain: BTreeMap<String, String>,
    tables: Vec<Table>,
    /// How many names were given.
    names: u64,
    /// The text of the squashed file that was last compared with its chain.
    compared: String,
    /// The last version that it replaces.
    to: usize,
    /// Whether the chain leaves rows, which belong into the squashed file.
    leaves_rows: bool,
}

struct Table {
    name: String,
    columns: Vec<String>,
    /// Whether a view or a trigger names it: then it keeps its names.
    is_seen: bool,
}

const DATABASE: &str = "--database sqlite:a.db --dir m";

impl Database {
    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        // Some names need quotes.
        let ending = if self.names.is_multiple_of(3) { " of \"\"x\"\"" } else { "" };
        format!("\"{kind}{}{ending}\"", self.names)
    }

    /// Returns a statement that runs behind those that were returned before.
    fn statement(&mut self, random: &mut Rng) -> String {
        if self.tables.is_empty() {
            return self.table(random);
        }
        let index = random.usize(..self.tables.len());
        let (table, is_seen) = (self.tables[index].name.clone(), self.tables[index].is_seen);
        let columns = self.tables[index].columns.len();
        let column = random.usize(..columns);
        let old = self.tables[index].columns[column].clone();
        match random.u8(..10) {
            0 | 1 => self.table(random),
            2 | 3 => {
                let new = self.name("c");
                self.tables[index].columns.push(new.clone());
                format!("ALTER TABLE {table} ADD COLUMN {new} TEXT /* a comment; */ DEFAULT 'x''; y'")
            }
            4 => format!("CREATE INDEX {} ON {table} ({old}) WHERE {old} IS NOT NULL", self.name("i")),
            5 => {
                self.tables[index].is_seen = true;
                format!("CREATE VIEW {} AS SELECT {old} FROM {table} -- to the end", self.name("v"))
            }
            6 => {
                self.tables[index].is_seen = true;
                let name = self.name("g");
                format!("CREATE TRIGGER {name} AFTER INSERT ON {table} BEGIN SELECT '\n-- Down\n'; SELECT 1; END")
            }
            7 if !is_seen => {
                let new = self.name("c");
                self.tables[index].columns[column] = new.clone();
                format!("ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
            }
            8 if !is_seen => {
                self.tables[index].name = self.name("t");
                format!("ALTER TABLE {table} RENAME TO {}", self.tables[index].name)
            }
            9 => format!("PRAGMA user_version = {}", random.u16(..)),
            _ => {
                let end = if self.leaves_rows { String::new() } else { format!(";\nDELETE FROM {table}") };
                format!("INSERT INTO {table} DEFAULT VALUES{end}")
            }
        }
    }

    fn table(&mut self, random: &mut Rng) -> String {
        let (name, id, other) = (self.name("t"), self.name("c"), self.name("c"));
        let numbered = if random.bool() { " AUTOINCREMENT" } else { "" };
        let key = self.tables.last().map(|table| format!(" REFERENCES {}", table.name)).filter(|_| random.bool());
        let text = format!(
            "CREATE TABLE {name} ({id} INTEGER PRIMARY KEY{numbered}, {other} INTEGER{} CHECK ({other} <> 7))",
            key.unwrap_or_default()
        );
        self.tables.push(Table { name, columns: vec![id, other], is_seen: false });
        text
    }

    fn write_next(&mut self, run: &mut Runner<'_>) -> String {
        let count = run.random.usize(1..4);
        let statements: Vec<_> = (0..count).map(|_| format!("{}\n;\n", self.statement(&mut run.random))).collect();
        let (name, text) = (format!("{:03}_m.sql", self.chain.len() + 1), format!("-- Up\n{}", statements.concat()));
        fs::write(run.work.join("m").join(&name), &text).expect("a file");
        self.chain.insert(name.clone(), text);
        name
    }

    /// Returns what a new database holds after these files.
    fn made(&self, run: &mut Runner<'_>, files: &[(String, String)]) -> Result<String, String> {
        run.shell("rm -rf other other.* && mkdir other");
        for (name, text) in files {
            fs::write(run.work.join("other").join(name), text).expect("a file");
        }
        let mut text = String::new();
        let squash = format!("db squash --with-data --dir other --to {} --out other.sql", self.to);
        for line in ["db migrate --create --yes --dir other", &squash, "db dump"] {
            let end = run.run(&format!("{line} --database sqlite:other.db"));
            if end.code != 0 {
                return Err(format!("{line}: {}", end.text));
            }
            text = end.text;
        }
        // Rows and positions are not in a dump.
        let squashed = fs::read_to_string(run.work.join("other.sql")).expect("a squashed file");
        let body = squashed.split_once("\n-- Up\n").map(|(_, body)| body).unwrap_or_default();
        Ok(format!("{text}\n{body}"))
    }
}

impl Model for Database {
    fn begin(&mut self, run: &mut Runner<'_>) {
        fs::create_dir(run.work.join("m")).expect("a directory");
        self.leaves_rows = run.random.bool();
        (0..3).for_each(|_| drop(self.write_next(run)));
    }

    fn act(&mut self, run: &mut Runner<'_>) -> String {
        match run.random.u8(..8) {
            0 | 1 => format!("wrote {}", self.write_next(run)),
            2 => format!("migrate: exit {}", run.run(&format!("db migrate --create --yes {DATABASE}")).code),
            _ => {
                run.shell("rm -f out.sql");
                self.to = run.random.usize(1..=self.chain.len());
                let data = if self.leaves_rows { " --with-data" } else { "" };
                let line = format!("db squash {DATABASE} --to {} --out out.sql{data}", self.to);
                if run.random.bool() {
                    run.run_killed(&line);
                    return format!("killed: {line}");
                }
                let end = run.run(&line);
                if end.code != 0 || !run.work.join("out.sql").exists() {
                    run.lose(format!("{line}: exit {}: {}", end.code, end.text));
                }
                line
            }
        }
    }

    fn last(&self, _run: &Runner<'_>) -> &'static str {
        "db migrate --create --yes --database sqlite:a.db --dir m"
    }

    fn check(&mut self, run: &mut Runner<'_>) -> Result<(), String> {
        for (name, text) in &self.chain {
            if fs::read_to_string(run.work.join("m").join(name)).ok().as_ref() != Some(text) {
                return Err(format!("{name} is not what was written"));
            }
        }
        let Ok(squashed) = fs::read_to_string(run.work.join("out.sql")) else { return Ok(()) };
        if squashed == self.compared {
            return Ok(());
        }
        let chain: Vec<_> = self.chain.clone().into_iter().take(self.to).collect();
        let expected = self.made(run, &chain)?;
        let found = self.made(run, &[(format!("{:03}_squashed.sql", self.to), squashed.clone())])?;
        if found != expected {
            return Err(format!("the squashed file of {} makes something else", self.to));
        }
        self.compared = squashed;
        Ok(())
    }
}
