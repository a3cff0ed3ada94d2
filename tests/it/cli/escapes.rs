//! Whatever stands in names, texts and states, the terminal gets lines of text and nothing else.

use std::fs::{self, File};
use std::process::{Command, Stdio};

use crate::support::db::Db;
use crate::support::haul::{Done, HAUL};
use crate::support::place::Place;
use crate::support::space::{STORE, episode, records};

/// A name that clears the screen, forges a line, moves columns and turns the text round.
const NAME: &str = "x\u{1b}[2J\nfalse: line\t\u{9b}31m\u{202e}y\u{2028}\u{7f}\u{feff}\r\u{7}";

fn is_shown(character: char) -> bool {
    let is_mark = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    );
    character == '\n' || !character.is_control() && !is_mark
}

/// Fails if an output holds what moves a cursor, or a line that nobody wrote.
#[track_caller]
fn assert_plain(command: &str, done: &Done) {
    // The columns of a query are separated by tabs.
    let columns = if command.starts_with("query") { done.stdout.replace('\t', " ") } else { done.stdout.clone() };
    for text in [&columns, &done.stderr] {
        assert!(text.chars().all(is_shown), "{command}: {text:?}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("false: line")), "{command}: {text}");
    }
    assert!(done.code <= 76, "{command} ended with {}: {}", done.code, done.stderr);
}

/// Runs each command, in which `{x}` is the name, with each kind of progress, and fails unless each shows the name.
fn run_all(place: &Place, noun: &str, commands: &[&str]) {
    let mut silent = Vec::new();
    for (text, progress) in commands.iter().flat_map(|text| [(text, "auto"), (text, "none")]) {
        let words = text.split(' ').map(|word| word.replace("{x}", NAME));
        let words: Vec<String> = std::iter::once(noun.to_owned()).chain(words).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--progress", progress]).collect();
        let done = place.run(&words);
        assert_plain(text, &done);
        let is_escaped = ["\\u{1b}", "\\x1b", "\\u001b"].iter().any(|escape| done.texts().contains(escape));
        if !is_escaped {
            silent.push(format!("{noun} {text}: {}", done.texts()));
        }
    }
    assert!(silent.is_empty(), "commands that do not show the name: {}", silent.join("\n"));
}

#[test]
fn spaces_with_any_name_and_content_are_shown_as_text() {
    let place = Place::new();
    let space = place.path().join(NAME);
    fs::create_dir_all(space.join("wal")).unwrap();
    let list = [(1, STORE, episode("a")), (2, STORE, episode(NAME)), (3, STORE, NAME.into()), (9, 77, NAME.into())];
    fs::write(space.join("wal/wal-0000000000000001.log"), records(&list)).unwrap();
    fs::write(space.join("wal").join(NAME), NAME).unwrap();
    run_all(
        &place,
        "space",
        &[
            "plan ./{x}",
            "stats ./{x}",
            "status ./{x}",
            "migrate ./{x} --dry-run",
            "migrate ./{x}",
            "migrate ./{x} --restart --yes",
            "migrate ./{x} --reader {x}",
            "migrate ./{x} --{x}",
            "migrate ./{x} --json",
            "status ./{x}",
            "verify ./{x} --full",
            "get {x} --space ./{x}",
            "get {x}{x} --space ./{x}",
            "get {x} --space ./{x} --json",
            "export ./{x} --to ./{x}.wal",
            "rollback ./{x}",
            "rollback ./{x} --yes",
            "publish ./{x}",
            "clean ./{x}",
            "clean ./{x} --yes",
            "verify ./{x}{x}",
            "{x}",
        ],
    );
    place.run(&["space", "generate", "held", "--nodes", "2"]).expect(0);
    fs::create_dir(place.path().join("held/migration")).unwrap();
    let lock = place.path().join("held/migration/lock");
    fs::write(&lock, format!("pid 1 on {NAME}")).unwrap();
    let held = File::open(&lock).unwrap();
    held.lock().unwrap();
    run_all(&place, "space", &["migrate held", "status held", "rollback held --yes"]);
}

#[test]
fn object_stores_with_any_name_and_content_are_shown_as_text() {
    let place = Place::new();
    place.run(&["cas", "generate", NAME, "--objects", "5", "--seed", "3"]).expect(0);
    let objects = place.path().join(NAME).join("objects");
    fs::create_dir_all(objects.join("ab/cd")).unwrap();
    fs::write(objects.join("ab/cd").join(NAME), "x").unwrap();
    fs::write(objects.join("ab").join(NAME), "x").unwrap();
    fs::write(place.path().join("request.json"), serde_json::to_string(&serde_json::json!({NAME: NAME})).unwrap())
        .unwrap();
    run_all(
        &place,
        "cas",
        &[
            "plan ./{x} ./plan{x}",
            "migrate --source ./{x} --target ./new{x} --dry-run",
            "migrate --source ./{x} --target ./new{x}",
            "migrate --source ./{x} --target ./new{x} --replace --restart --yes",
            "status ./new{x}",
            "verify ./new{x}",
            "doctor ./none{x}",
            "validate ./{x} ./new{x} --map ./none{x}",
            "get ./new{x} {x}",
            "info ./new{x} {x}",
            "map check --map ./new{x}.migration/key-map.tsv",
            "map find {x} --map ./new{x}.migration/key-map.tsv",
            "rewrite-refs ./{x} --map ./new{x}.migration/key-map.tsv --dry-run",
            "rewrite-refs ./none{x} --map ./new{x}.migration/key-map.tsv --dry-run",
            "request-upgrade ./none{x}",
            "result-check ./none{x}",
            "rollback ./new{x} --yes",
            "clean ./new{x} --yes",
            "ls ./none{x}",
        ],
    );
}

#[test]
fn manifests_with_any_name_and_content_are_shown_as_text() {
    let place = Place::new();
    let run = place.path().join("app/artifacts").join(NAME).join("r");
    let other = place.path().join("app/artifacts/other/r");
    fs::create_dir_all(&run).unwrap();
    fs::create_dir_all(&other).unwrap();
    let record = serde_json::json!({"from_version": "1", "to_version": NAME, "applied_at": NAME, "changes": [NAME]});
    let manifest = |version: &str| {
        serde_json::json!({
            "schema_version": version, "run_id": NAME, "job_id": NAME, "job_ref": "x", "job_type": "t", "status": NAME,
            "migration_history": [record],
        })
    };
    fs::write(run.join("manifest.json"), manifest("1.0.0").to_string()).unwrap();
    fs::write(other.join("manifest.json"), manifest(NAME).to_string()).unwrap();
    run_all(
        &place,
        "manifest",
        &[
            "plan app",
            "migrate app --dry-run",
            "history app ./app/artifacts/{x}/r/manifest.json",
            "validate ./app/artifacts/{x}/r/manifest.json",
            "reindex app --rows jsonl",
            "reindex app --sqlite ./{x}.db",
            "query ./{x}.db",
            "query ./{x}.db --json",
            "status ./{x}",
            "migrate app",
            "migrate ./{x}",
            "accept app ./{x}",
            "rollback ./{x} --run last --yes",
            "runs ./{x}",
        ],
    );
    // The command line of the original shows what it showed, but for these characters.
    run_all(
        &place,
        "manifest",
        &["migrate app --compat", "migrate app --list-versions --compat", "migrate ./{x} --compat"],
    );
}

#[test]
fn databases_with_any_name_and_content_are_shown_as_text() {
    let db = Db::sqlite();
    let quoted = format!("\"{NAME}\"");
    db.write(
        "001_first.sql",
        &format!("CREATE TABLE t (a INT, {quoted} INT);\nCREATE VIEW {quoted} AS SELECT a FROM t;"),
    );
    let mut seen = 0;
    let mut run = |words: &[&str]| {
        let mut command = Command::new(HAUL);
        command.arg("db").args(words).current_dir(db.path()).stdin(Stdio::null()).env("DATABASE_URL", "sqlite:x.db");
        let done = Done::of(command.output().unwrap());
        assert_plain(&words.join(" "), &done);
        seen += usize::from(done.texts().contains("\\u{1b}"));
    };
    run(&["migrate", "--create"]);
    db.execute(&format!("CREATE INDEX \"i{NAME}\" ON t (a); DROP VIEW {quoted}"));
    run(&["drift"]);
    db.write("002_bad.sql", &format!("SELECT * FROM \"no {NAME}\" ;\n"));
    run(&["migrate"]);
    run(&["migrate", "--dry-run"]);
    db.write(&format!("003_{NAME}.sql"), "DROP TABLE t;\n");
    run(&["migrate"]);
    run(&["lint"]);
    db.remove(&format!("003_{NAME}.sql")).remove("002_bad.sql");
    for (table, columns) in [("haul_migrations", ["name", "applied_by"]), ("haul_migrations_log", ["owner", "error"])] {
        for column in columns {
            db.execute(&format!("UPDATE {table} SET {column} = '{NAME}'"));
        }
    }
    for verb in ["status --verbose", "log", "verify", "migrate", "rollback --steps 1", "rollback --steps 1 --yes"] {
        run(&verb.split(' ').collect::<Vec<_>>());
    }
    run(&["status", "--table", NAME]);
    run(&["create", "--name", NAME, "--dir", NAME]);
    run(&["baseline", NAME]);
    run(&["migrate", "--database", &format!("sqlite:{NAME}/x.db")]);
    assert!(seen >= 12, "only {seen} commands show the name");
}
