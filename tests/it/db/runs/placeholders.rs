//! Placeholders (docs/source-sql.md, "Placeholders").

use std::fs;

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use crate::support::haul::Done;

on_both! {
    placeholders_are_filled_from_arguments_the_environment_and_settings
    without_values_a_placeholder_is_refused
    an_unknown_placeholder_is_refused_before_anything_runs
    a_value_cannot_change_the_statements
    hostile_values_in_quotes_arrive_as_they_are
    a_value_is_shown_nowhere
    the_checksum_does_not_depend_on_values
    every_kind_of_section_and_command_fills_placeholders
    a_file_can_do_without_placeholders
}

fn settings(db: &Db, text: &str) {
    fs::write(db.path().join("haul.toml"), format!("[db]\n{text}\n")).unwrap();
}

fn run_with(db: &Db, arguments: &str, variables: &[(&str, &str)]) -> Done {
    Done::of(db.command(arguments).envs(variables.iter().copied()).output().unwrap())
}

fn placeholders_are_filled_from_arguments_the_environment_and_settings(db: &Db) {
    settings(
        db,
        "placeholders_env = [\"MAIL\", \"UNSET_ONE\"]\nplaceholders = { table = \"people\", MAIL = \"none\", n = \"1\" }",
    );
    db.write("1_a.sql", "CREATE TABLE ${table}_${n} (mail TEXT);\nINSERT INTO \"${table}_${n}\" VALUES ('${MAIL}');");
    run_with(db, "migrate --set n=7", &[("MAIL", "it's; me"), ("OTHER", "x")]).expect(0);
    assert_eq!(db.rows("SELECT mail FROM people_7"), ["it's; me"]);
    db.write("2_b.sql", "SELECT '${OTHER}';");
    assert!(
        run_with(db, "migrate", &[("OTHER", "x")]).expect(2).stderr.contains("2_b.sql:1: `${OTHER}` is a placeholder")
    );
}

fn without_values_a_placeholder_is_refused(db: &Db) {
    db.write("1_a.sql", "SELECT '${x}';");
    let done = db.run("migrate").expect(2);
    assert!(done.stderr.contains("nothing fills it in") && done.stderr.contains("--set NAME=VALUE"), "{}", done.stderr);
}

fn an_unknown_placeholder_is_refused_before_anything_runs(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (a INT);").write("2_b.sql", "SELECT 1;\n-- ${comment}\nSELECT '${y}';");
    let done = db.run("migrate --set x=1").expect(2);
    assert!(done.stderr.contains("2_b.sql:3: `${y}` is a placeholder, and it has no value"), "{}", done.stderr);
    assert!(!db.run("lint --set x=1").expect(65).stdout.contains("${comment}"));
    assert!(!db.file().exists() || db.engine() == Engine::Postgres);
    assert!(db.run("migrate --set y").expect(2).stderr.contains("NAME=VALUE"));
    // What is applied is not checked: its values may be gone.
    db.run("migrate --set y=1").expect(0);
    db.run("migrate --set x=1").expect(0);
}

fn a_value_cannot_change_the_statements(db: &Db) {
    db.write("1_a.sql", "CREATE TABLE a (x TEXT);").run("migrate").expect(0);
    let body = match db.engine() {
        Engine::Sqlite => "SELECT ${x};",
        Engine::Postgres => "DO $$ BEGIN PERFORM ${x}; END $$;",
    };
    for value in ["1;DROP", "1--", "x'", "/*", "$$", "END", ""] {
        db.write("2_b.sql", &format!("SELECT 1;\n{body}"));
        let done = db.run(&format!("migrate --set x={value}"));
        assert!(done.code != 0, "{value}: {}", done.texts());
        db.write("2_b.sql", "INSERT INTO a VALUES ('${x}');");
        assert_eq!(db.json(&format!("migrate --dry-run=execute --set x={value}"), 0)["rehearsal"]["applied"], 1);
    }
    let hostile = "'); DROP TABLE a; -- $$ \" \\";
    run_with(db, "migrate", &[]).expect(2);
    settings(db, "placeholders_env = [\"X\"]");
    db.write("2_b.sql", "INSERT INTO a VALUES ('${X}');\nCREATE TABLE \"${X}\" (a INT);");
    run_with(db, "migrate", &[("X", hostile)]).expect(0);
    assert_eq!(db.rows("SELECT x FROM a"), [hostile]);
}

fn hostile_values_in_quotes_arrive_as_they_are(db: &Db) {
    const VALUES: [&str; 10] =
        ["'", "''", "\\", "\\'", "'||'x", "$$", "--", "/*", "'); DROP TABLE a; --", "\u{2028}'\u{ff07} ${X0}"];
    let names: Vec<_> = (0..VALUES.len()).map(|number| format!("X{number}")).collect();
    settings(db, &format!("placeholders_env = {names:?}"));
    let insert = |number: usize, value: &str| format!("INSERT INTO a VALUES ({number}, {value});\n");
    let mut text = "CREATE TABLE a (n INT, x TEXT);\n".to_owned();
    for (number, name) in names.iter().enumerate() {
        text += &insert(number, &format!("'<${{{name}}}>'"));
        text += &match db.engine() {
            Engine::Postgres => insert(number, &format!("E'<\\\\${{{name}}}\\x3e'")).replace("\\\\", "\\x5c"),
            Engine::Sqlite => insert(number, &format!("'<\\${{{name}}}>'")),
        };
    }
    db.write("1_a.sql", &text);
    let variables: Vec<_> = names.iter().map(String::as_str).zip(VALUES).collect();
    run_with(db, "migrate", &variables).expect(0);
    let found = db.rows("SELECT x FROM a ORDER BY n, length(x)");
    let expected: Vec<_> = VALUES.iter().flat_map(|value| [format!("<{value}>"), format!("<\\{value}>")]).collect();
    assert_eq!(found, expected);
}

fn a_value_is_shown_nowhere(db: &Db) {
    settings(db, "placeholders_env = [\"WORD\"]");
    let word = [("WORD", "Sw0rdfish'x")];
    let shows = |done: &Done| done.texts().to_lowercase().contains("sw0rdfish");
    db.write("1_a.sql", "CREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('${WORD}');\nSELECT \"${WORD}\" FROM a;");
    for arguments in ["migrate --dry-run", "migrate --dry-run=execute", "lint", "migrate", "status --verbose", "log"] {
        let done = run_with(db, arguments, &word);
        assert!(!shows(&done), "{arguments}: {}", done.texts());
    }
    let done = run_with(db, "migrate --json --progress none", &word).expect(1);
    let failure = &done.json()["failure"];
    assert_eq!((&failure["line"], &failure["text"]), (&3.into(), &"SELECT \"${WORD}\" FROM a;".into()));
    assert!(failure["error"].as_str().unwrap().contains("${WORD}") && !shows(&done), "{}", done.texts());
    let logged = db.rows("SELECT error FROM haul_migrations_log WHERE error IS NOT NULL").concat();
    assert!(logged.contains("${WORD}") && !logged.to_lowercase().contains("sw0rdfish"), "{logged}");
    // Neither when the run goes on, nor when someone has to decide.
    db.write("1_a.sql", "-- haul: no-transaction\nCREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('${WORD}');\nSELECT \"${WORD}\" FROM a;");
    for arguments in ["migrate", "resolve --version 1 --from-statement 3 --yes", "migrate"] {
        let done = run_with(db, arguments, &word);
        assert!(!shows(&done), "{arguments}: {}", done.texts());
    }
    if db.engine() == Engine::Postgres {
        db.write("1_a.sql", "DO $$ BEGIN RAISE NOTICE 'it is %', (SELECT max(x) FROM a); END $$;\nSELECT '${WORD}';");
        let done = run_with(db, "migrate", &word).expect(0);
        assert!(done.stderr.contains("it is ${WORD}") && !shows(&done), "{}", done.texts());
    }
}

fn the_checksum_does_not_depend_on_values(db: &Db) {
    let text = "CREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('${x}');";
    db.write("1_a.sql", text).run("migrate --set x=1").expect(0);
    assert_eq!(db.rows("SELECT checksum FROM haul_migrations"), [blake3::hash(text.as_bytes()).to_hex().to_string()]);
    db.run("verify --set x=2").expect(0);
    db.run("verify").expect(0);
    // A run that goes on finds the statements before to be the same.
    db.write("2_b.sql", "-- haul: no-transaction\nINSERT INTO a VALUES ('${x}');\nINSERT INTO ${t} VALUES ('3');");
    db.run("migrate --set x=1 --set t=nowhere").expect(1);
    db.run("migrate --set x=2 --set t=a").expect(0);
    assert_eq!(db.rows("SELECT x FROM a"), ["1", "1", "3"]);
}

fn every_kind_of_section_and_command_fills_placeholders(db: &Db) {
    db.write("1_a.sql", "-- Up\nCREATE TABLE t_${n} (id INTEGER PRIMARY KEY, x TEXT);\nINSERT INTO t_${n} (id) VALUES (1), (2);\n-- Down\nDROP TABLE t_${n};");
    db.write(
        "2_b.sql",
        "-- Batch: SELECT id FROM t_${n}\nUPDATE t_${n} SET x = '${n}' WHERE id IN (SELECT id FROM haul_batch);",
    );
    db.write("3_c.up.sql", "CREATE INDEX i_${n} ON t_${n} (x);").write("3_c.down.sql", "DROP INDEX i_${n};");
    fs::write(
        db.path().join("haul.toml"),
        "[[db.hooks]]\nwhen = \"after_run\"\nsql = \"UPDATE t_${n} SET x = x || '!'\"\n",
    )
    .unwrap();
    assert_eq!(db.json("lint --set n=5", 0)["errors"], 0);
    assert_eq!(db.json("migrate --set n=5", 0)["applied"], 3);
    assert_eq!(db.rows("SELECT x FROM t_5 ORDER BY id"), ["5!", "5!"]);
    assert_eq!(db.json("rollback --steps 1 --yes --set n=5 --no-hooks", 0)["applied"], 1);
    db.run("rollback --to 0 --force --yes --no-hooks").expect(2);
    db.run("rollback --to 0 --force --yes --set n=5 --no-hooks").expect(0);
    assert_eq!(db.tables(), [""; 0]);
    // What a value makes of a statement counts.
    db.write("4_d.sql", "${verb} TABLE IF EXISTS nothing;");
    assert!(db.run("migrate --set n=5 --set verb=DROP --no-hooks").expect(2).stderr.contains("needs consent"));
}

fn a_file_can_do_without_placeholders(db: &Db) {
    db.write("1_a.sql", "-- haul: no-placeholders\nCREATE TABLE a (x TEXT);\nINSERT INTO a VALUES ('${x}');");
    db.write(
        "2_b.sql",
        "-- Up\nINSERT INTO a VALUES ('${x}');\n-- Down\n-- haul: no-placeholders\nDELETE FROM a WHERE x = '${x}';",
    );
    db.run("migrate --set x=1").expect(0);
    assert_eq!(db.rows("SELECT x FROM a"), ["${x}", "1"]);
    // The Up section, which is done, needs no values for that.
    db.run("rollback --steps 1 --yes").expect(0);
    assert_eq!(db.rows("SELECT x FROM a"), ["1"]);
}
