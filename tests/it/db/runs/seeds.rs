//! Seeds (docs/source-sql.md, "Seeds").

use std::fs;

use crate::support::db::Db;
use crate::support::db_contents::on_both;
use crate::support::haul::Done;

on_both! {
    a_seed_runs_once_for_each_text
    seeds_are_chosen_by_environment
    a_seed_that_fails_leaves_nothing
    a_seed_that_destroys_data_needs_consent
    faulty_seeds_are_refused_before_anything_runs
}

fn write(db: &Db, name: &str, text: &str) {
    let path = db.path().join("seeds").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn with_table(db: &Db) -> &Db {
    db.write("1_seen.sql", "CREATE TABLE seen (x TEXT);").run("migrate").expect(0);
    db
}

fn seen(db: &Db) -> String {
    db.rows("SELECT x FROM seen").join(" ")
}

fn insert(text: &str) -> String {
    format!("INSERT INTO seen VALUES ('{text}');")
}

fn a_seed_runs_once_for_each_text(db: &Db) {
    with_table(db);
    write(db, "b.sql", &insert("${who}"));
    write(db, "a.sql", &insert("a"));
    write(db, "README.md", "no seed");
    let end = db.json("seed --set who=me", 0);
    assert_eq!((&end["applied"], &end["details"][0]["name"]), (&2.into(), &"seed a".into()));
    assert_eq!(db.json("seed --set who=me", 0)["applied"], 0);
    write(db, "a.sql", &insert("a2"));
    let status = db.json("status", 0);
    assert_eq!((&status["seeds"][0]["state"], &status["seeds"][1]["state"]), (&"changed".into(), &"applied".into()));
    assert!(db.run("status").expect(0).stdout.contains("seed a (changed)"));
    // Only `seed` runs them.
    db.run("migrate").expect(0);
    assert_eq!(db.json("seed --set who=me", 0)["applied"], 1);
    assert_eq!(db.json("seed --again b --set who=you", 0)["applied"], 1);
    assert_eq!(db.json("seed --all --set who=all", 0)["applied"], 2);
    assert_eq!(seen(db), "a me a2 you a2 all");
    assert!(db.run("seed --again c").expect(2).stderr.contains("next: name one of: a, b"));
    assert_eq!(db.rows("SELECT kind, name FROM haul_migrations_files ORDER BY name"), ["seed|a", "seed|b"]);
    assert_eq!(db.applied(), ["1_seen"]);
}

fn seeds_are_chosen_by_environment(db: &Db) {
    with_table(db);
    write(db, "z.sql", &insert("common"));
    write(db, "staging/a.sql", &insert("staging"));
    write(db, "live/a.sql", &insert("live"));
    let environments = ["staging", "live", "other"].map(|name| format!("[db.env.{name}]\ndatabase = '{}'\n", db.url()));
    fs::write(db.path().join("haul.toml"), environments.concat()).unwrap();
    let run = |arguments: &str, environment: &str| {
        Done::of(db.command(arguments).env("HAUL_ENV", environment).output().unwrap())
    };
    run("seed", "staging").expect(0);
    assert_eq!(seen(db), "common staging");
    run("seed", "live").expect(0);
    run("seed", "other").expect(0);
    assert_eq!(seen(db), "common staging live");
    assert!(run("seed", "../seeds").expect(2).stderr.contains("environment"));
    fs::rename(db.path().join("seeds"), db.path().join("rows")).unwrap();
    assert!(db.run("seed").expect(2).stderr.contains("no directory of seeds at ./seeds"));
    assert_eq!(db.json("seed --dir rows", 0)["applied"], 0);
    fs::write(db.path().join("haul.toml"), "[db]\nseeds = \"rows\"\n").unwrap();
    assert_eq!(db.json("seed --all", 0)["applied"], 1);
}

fn a_seed_that_fails_leaves_nothing(db: &Db) {
    with_table(db);
    write(db, "a.sql", &insert("a"));
    write(db, "b.sql", &format!("{}\nINSERT INTO nowhere VALUES (1);", insert("b")));
    write(db, "c.sql", &insert("c"));
    let end = db.json("seed", 1);
    assert_eq!((&end["applied"], &end["failure"]["line"]), (&1.into(), &2.into()));
    assert_eq!(end["pending"], serde_json::json!(["seed b", "seed c"]));
    assert_eq!(seen(db), "a");
    assert_eq!(db.outcomes()[2..], ["seed a started", "seed a applied", "seed b started", "seed b failed"]);
    write(db, "b.sql", &insert("b"));
    db.run("seed").expect(0);
    assert_eq!(seen(db), "a b c");
}

fn a_seed_that_destroys_data_needs_consent(db: &Db) {
    with_table(db);
    write(db, "a.sql", "DROP TABLE IF EXISTS t;");
    assert!(db.run("seed").expect(2).stderr.contains("seeds/a.sql:1 drops a table"));
    assert_eq!(db.json("seed --yes", 0)["applied"], 1);
}

fn faulty_seeds_are_refused_before_anything_runs(db: &Db) {
    with_table(db);
    write(db, "a.sql", &insert("a"));
    for (name, text, said) in [
        ("b.sql", "-- haul: no-transaction\nSELECT 1;", "b.sql:2: a file without a version runs in one transaction"),
        ("b.sql", "SELECT '${x}';", "b.sql:1: `${x}` is a placeholder"),
        ("b.sql", "-- nothing", "b.sql:1: the Up section has no statement"),
        ("b.SQL", "SELECT 1;", "its name ends in `.SQL`"),
    ] {
        write(db, name, text);
        let done = db.run("seed").expect(2);
        assert!(done.stderr.contains(said), "{text}: {}", done.stderr);
        fs::remove_file(db.path().join("seeds").join(name)).unwrap();
    }
    assert_eq!(seen(db), "");
}
