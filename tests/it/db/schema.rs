//! The schema as text: what `dump` prints, and what `drift` finds different.

use crate::support::db::Db;
use crate::support::db_contents::{Engine, on_both};
use serde_json::Value;

on_both! {
    a_dump_orders_objects_by_what_they_need
    a_pattern_leaves_objects_out_of_drift
    a_dump_is_the_same_whatever_the_order_that_made_it
    a_dump_makes_the_schema_that_it_shows
    a_dump_loads_again_whatever_the_names_are
    a_dump_leaves_out_rows_and_own_tables
    a_schema_that_nobody_touched_has_not_drifted
    a_change_by_hand_is_a_drift
    an_object_dropped_by_hand_is_a_drift
    a_run_that_does_nothing_keeps_the_drift
    a_failed_run_stores_the_schema_that_it_left
    without_a_run_there_is_nothing_to_compare
    a_look_changes_nothing
}

/// One object of each kind that the engine has.
fn objects(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL CHECK (name <> ''), boss INT REFERENCES people);
             CREATE UNIQUE INDEX by_name ON people (name) WHERE boss IS NULL;
             CREATE VIEW bosses AS SELECT * FROM people WHERE boss IS NULL;
             CREATE TRIGGER logged AFTER INSERT ON people BEGIN SELECT 1; SELECT 2; END;
             CREATE VIRTUAL TABLE found USING fts5(text);"
        }
        Engine::Postgres => {
            "CREATE SCHEMA s;
             CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
             CREATE DOMAIN s.age AS int CHECK (VALUE >= 0);
             CREATE TYPE pair AS (a int, b text);
             CREATE SEQUENCE counter INCREMENT BY 5 CYCLE MAXVALUE 100;
             CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 2 * x; $$;
             CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END; $f$;
             CREATE AGGREGATE total (int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
             CREATE TABLE people (id serial PRIMARY KEY, \"Full Name\" varchar(40) COLLATE \"C\" DEFAULT 'x' NOT NULL, m mood,
                 a s.age, d int GENERATED ALWAYS AS (twice(3)) STORED, boss int REFERENCES people, CHECK (boss <> id));
             CREATE UNLOGGED TABLE s.quick (id int GENERATED ALWAYS AS IDENTITY, p pair, n numeric(10, 2)) WITH (fillfactor = 70);
             CREATE TABLE events (at date NOT NULL, what text) PARTITION BY RANGE (at);
             CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
             CREATE INDEX by_name ON people (lower(\"Full Name\")) WHERE boss IS NULL;
             CREATE INDEX by_day ON events (at);
             CREATE VIEW bosses AS SELECT id FROM people WHERE boss IS NULL;
             CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM people;
             CREATE RULE none AS ON DELETE TO s.quick DO INSTEAD NOTHING;
             CREATE TRIGGER noted BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION noted();
             ALTER TABLE people ENABLE ROW LEVEL SECURITY;
             CREATE POLICY own ON people FOR SELECT USING (boss IS NULL);
             COMMENT ON TABLE people IS 'who ''they'' are';
             COMMENT ON COLUMN people.m IS 'today';"
        }
    }
}

fn dump(db: &Db) -> String {
    db.run("dump").expect(0).stdout
}

/// Applies a migration with this text.
fn migrated<'a>(db: &'a Db, text: &str) -> &'a Db {
    db.write("001_first.sql", text);
    db.run("migrate").expect(0);
    db
}

fn another(engine: Engine) -> Db {
    match engine {
        Engine::Sqlite => Db::sqlite(),
        Engine::Postgres => Db::postgres(),
    }
}

/// What `drift` says is different: kinds and objects.
fn drift(db: &Db, code: i32) -> Vec<String> {
    let found = db.json("drift", code);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let changes = found["changes"].as_array().expect("a list").iter();
    changes.map(|change| format!("{} {}", text(&change["kind"]), text(&change["object"]))).collect()
}

/// How the engines call the table `name` of a migration.
fn table(db: &Db, name: &str) -> String {
    match db.engine() {
        Engine::Sqlite => format!("table {name}"),
        Engine::Postgres => format!("table public.{name}"),
    }
}

fn a_dump_is_the_same_whatever_the_order_that_made_it(db: &Db) {
    let statements = ["CREATE TABLE b (x INT)", "CREATE TABLE a (x INT)", "CREATE INDEX i ON a (x)"];
    migrated(db, &statements.join(";\n"));
    let other = another(db.engine());
    other.execute(&format!("{};{};{}", statements[1], statements[2], statements[0]));
    assert_eq!(dump(db), dump(&other));
    let document = db.json("dump", 0);
    assert_eq!(document["text"], dump(db));
    assert_eq!(document["digest"], blake3::hash(dump(db).as_bytes()).to_hex().to_string());
}

fn a_dump_makes_the_schema_that_it_shows(db: &Db) {
    migrated(db, objects(db.engine()));
    let text = dump(db);
    let other = another(db.engine());
    other.execute(&text);
    assert_eq!(dump(&other), text);
    // The engine's own program agrees, which nobody here wrote.
    assert_eq!(other.schema(), db.schema());
}

/// Objects of which every name breaks out of a comment, a quote or a line.
fn hostile_objects(engine: Engine) -> String {
    let names = ["a\nb", "it's", "\"\"x", "-- c", "*/ d", "\u{1b}[2J", "\u{202e}\u{9b}", "e\n\n-- table f\r\n;"];
    let objects = names.iter().map(|name| {
        let trigger = match engine {
            Engine::Sqlite => format!("CREATE TRIGGER \"g{name}\" AFTER INSERT ON \"t{name}\" BEGIN SELECT 1; END;"),
            Engine::Postgres => format!(
                "CREATE TRIGGER \"g{name}\" AFTER INSERT ON \"t{name}\" FOR EACH ROW EXECUTE FUNCTION noted();
                 COMMENT ON COLUMN \"t{name}\".\"c{name}\" IS 'x\ny';"
            ),
        };
        format!(
            "CREATE TABLE \"t{name}\" (\"c{name}\" INT); CREATE INDEX \"i{name}\" ON \"t{name}\" (\"c{name}\");
             CREATE VIEW \"v{name}\" AS SELECT \"c{name}\" FROM \"t{name}\" -- the end\n; {trigger}"
        )
    });
    let function = "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END; $f$;";
    let function = if engine == Engine::Postgres { function } else { "" };
    format!("{function}{}", objects.collect::<String>())
}

fn a_dump_loads_again_whatever_the_names_are(db: &Db) {
    db.execute(&hostile_objects(db.engine()));
    let text = dump(db);
    let other = another(db.engine());
    other.execute(&text);
    assert_eq!(dump(&other), text);
    assert_eq!(other.schema(), db.schema());
    // Each title is one line, so the objects are told apart.
    let titles = text.lines().filter(|line| line.starts_with("-- ") && line.contains("\\u{1b}"));
    assert!(titles.count() >= 4, "{text}");
    db.write("001_people.sql", "CREATE TABLE people (name TEXT)").run("baseline 1").expect(0);
    db.execute("DROP VIEW \"va\nb\"");
    let object = if db.engine() == Engine::Sqlite { "removed view va\nb" } else { "removed view public.\"va\nb\"" };
    assert_eq!(drift(db, 65), [object]);
    assert!(db.run("drift").expect(65).stdout.contains("\\u{a}b"));
}

fn a_dump_leaves_out_rows_and_own_tables(db: &Db) {
    migrated(db, "CREATE TABLE people (name TEXT); INSERT INTO people VALUES ('no row of it');");
    let text = dump(db);
    assert!(text.contains("people") && !text.contains("haul_") && !text.contains("no row of it"), "{text}");
    db.execute("CREATE TABLE haul_migrations_of_mine (a INT)");
    assert!(dump(db).contains("haul_migrations_of_mine"));
}

fn a_schema_that_nobody_touched_has_not_drifted(db: &Db) {
    migrated(db, objects(db.engine()));
    assert_eq!(drift(db, 0), [""; 0]);
    db.execute("DELETE FROM people");
    assert_eq!(drift(db, 0), [""; 0]);
}

fn a_change_by_hand_is_a_drift(db: &Db) {
    migrated(db, "CREATE TABLE people (\n    name TEXT\n);\n");
    db.execute("ALTER TABLE people ADD COLUMN age INT; CREATE TABLE more (a INT);");
    let (more, people) = (table(db, "more"), table(db, "people"));
    assert_eq!(drift(db, 65), [format!("added {more}"), format!("changed {people}")]);
    let told = db.run("drift").expect(65).stdout;
    assert!(told.contains(&format!("changed {people}\n")) && told.contains("2 differences"), "{told}");
    assert!(told.lines().any(|line| line.trim_start().starts_with('+') && line.contains("age")), "{told}");
    // Taken back, it is gone.
    db.execute("DROP TABLE more; ALTER TABLE people DROP COLUMN age;");
    assert_eq!(drift(db, 0), [""; 0]);
}

fn an_object_dropped_by_hand_is_a_drift(db: &Db) {
    migrated(db, "CREATE TABLE people (name TEXT); CREATE INDEX by_name ON people (name);");
    db.execute("DROP INDEX by_name");
    let expected = if db.engine() == Engine::Sqlite { "removed index by_name" } else { "removed index public.by_name" };
    assert_eq!(drift(db, 65), [expected]);
}

fn a_run_that_does_nothing_keeps_the_drift(db: &Db) {
    migrated(db, "CREATE TABLE people (name TEXT);");
    db.execute("CREATE TABLE more (a INT)");
    db.run("migrate").expect(0);
    assert_eq!(drift(db, 65), [format!("added {}", table(db, "more"))]);
    // The next migration takes it over: from then on it is part of what was there.
    db.write("002_next.sql", "CREATE TABLE next (a INT);");
    db.run("migrate").expect(0);
    assert_eq!(drift(db, 0), [""; 0]);
}

fn a_failed_run_stores_the_schema_that_it_left(db: &Db) {
    migrated(db, "CREATE TABLE people (name TEXT);");
    db.write("002_half.sql", "-- haul: no-transaction\nCREATE TABLE half (a INT);\nSELECT nothing;\n");
    db.run("migrate").expect(1);
    assert_eq!(drift(db, 0), [""; 0]);
    assert!(dump(db).contains("half"));
}

fn without_a_run_there_is_nothing_to_compare(db: &Db) {
    db.execute("CREATE TABLE people (name TEXT)");
    let told = db.run("drift").expect(2).stderr;
    assert!(told.contains("no run has stored a schema yet") && told.contains("haul db baseline"), "{told}");
    db.write("001_people.sql", "CREATE TABLE people (name TEXT)");
    db.run("baseline 1").expect(0);
    assert_eq!(drift(db, 0), [""; 0]);
}

fn a_look_changes_nothing(db: &Db) {
    migrated(db, objects(db.engine())).execute("CREATE TABLE more (a INT)");
    let before = db.everything();
    dump(db);
    drift(db, 65);
    assert!(db.everything() == before);
}

/// Objects whose names are in another order than their needs.
fn chained(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "CREATE TABLE z (id INTEGER PRIMARY KEY, y INT REFERENCES y); CREATE TABLE y (id INTEGER PRIMARY KEY);
             CREATE VIEW b AS SELECT id FROM z; CREATE VIEW a AS SELECT id FROM b;
             CREATE TRIGGER t INSTEAD OF INSERT ON a BEGIN INSERT INTO z (id) VALUES (new.id); END;"
        }
        Engine::Postgres => {
            "CREATE TABLE users (id int PRIMARY KEY, name text);
             CREATE FUNCTION users_count() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM users; END;
             CREATE FUNCTION any_name() RETURNS text LANGUAGE sql AS 'SELECT min(name) FROM users';
             CREATE FUNCTION label(u users) RETURNS text LANGUAGE sql AS 'SELECT u.name';
             CREATE TYPE z_part AS (a int); CREATE TYPE a_whole AS (p z_part, u users);
             CREATE FUNCTION is_small(n int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT n < 100';
             CREATE DOMAIN a_small AS int CHECK (is_small(VALUE));
             CREATE VIEW b_base WITH (security_barrier=true) AS SELECT id, label(users) AS l FROM users;
             CREATE VIEW a_top AS SELECT id, l FROM b_base;
             CREATE FUNCTION tops() RETURNS SETOF a_top LANGUAGE sql AS 'SELECT * FROM a_top';
             CREATE VIEW a_first AS SELECT * FROM tops();
             CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY (START WITH 1000 INCREMENT BY 10), n bigint DEFAULT users_count(),
                 s smallint GENERATED BY DEFAULT AS IDENTITY, t text DEFAULT any_name(), CHECK (is_small(id)));
             CREATE TABLE z_parent (x int); CREATE TABLE b_child (y int) INHERITS (z_parent);
             CREATE MATERIALIZED VIEW mv AS SELECT id FROM users WITH NO DATA; CREATE UNIQUE INDEX by_id ON mv (id);
             CREATE VIEW grouped AS SELECT id, name FROM users GROUP BY id;
             CREATE SEQUENCE own; ALTER TABLE a ADD COLUMN o int DEFAULT nextval('own'); ALTER SEQUENCE own OWNED BY a.o;
             CREATE AGGREGATE summed (int) (SFUNC = int4pl, STYPE = int);
             CREATE VIEW a_sum AS SELECT summed(id) FROM users;
             CREATE TRIGGER t INSTEAD OF INSERT ON a_top FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
             COMMENT ON FUNCTION tops() IS 'the tops'; COMMENT ON VIEW a_top IS 'the top'; COMMENT ON SEQUENCE own IS 'o';"
        }
    }
}

fn a_dump_orders_objects_by_what_they_need(db: &Db) {
    db.execute(chained(db.engine()));
    let text = dump(db);
    let other = another(db.engine());
    other.execute(&text);
    assert_eq!(dump(&other), text);
    assert_eq!(other.schema(), db.schema());
}

fn a_pattern_leaves_objects_out_of_drift(db: &Db) {
    migrated(db, "CREATE TABLE people (name TEXT);");
    db.execute("CREATE TABLE log_1 (a INT); CREATE TABLE log_2 (a INT); CREATE TABLE more (a INT);");
    let more = table(db, "more");
    let pattern = table(db, "log_*").replace(' ', "?");
    let ignoring = |pattern: &str, code| {
        let mut command = db.command("drift --json --progress none --ignore");
        crate::support::haul::Done::of(command.arg(pattern.replace('?', " ")).output().unwrap()).expect(code).json()
    };
    let found = ignoring(&pattern, 65);
    assert_eq!((found["changes"].as_array().unwrap().len(), &found["changes"][0]["object"]), (1, &more.clone().into()));
    assert_eq!(found["left_out"].as_array().unwrap().len(), 2);
    std::fs::write(db.path().join("haul.toml"), format!("[db]\nignore = [\"{more}\"]\n")).unwrap();
    ignoring(&pattern, 0);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn on_postgres_a_partition_that_comes_by_itself_is_no_drift() {
    let db = Db::postgres();
    migrated(
        &db,
        "CREATE TABLE log (at date NOT NULL PRIMARY KEY) PARTITION BY RANGE (at);
         CREATE TABLE log_10 PARTITION OF log FOR VALUES FROM ('2026-10-01') TO ('2026-11-01');",
    );
    db.execute(
        "CREATE TABLE log_11 PARTITION OF log FOR VALUES FROM ('2026-11-01') TO ('2026-12-01'); CREATE INDEX own ON log_11 (at);
         DROP TABLE log_10;",
    );
    let found = db.json("drift", 0);
    let left_out = found["left_out"].as_array().unwrap();
    assert!(
        left_out.contains(&"added table public.log_11".into())
            && left_out.contains(&"removed table public.log_10".into())
    );
    db.execute("ALTER TABLE log_11 ADD CHECK (at > '2026-01-01'); CREATE TABLE apart (x INT)");
    assert_eq!(drift(&db, 65), ["added table public.apart"]);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn on_postgres_a_dump_counts_what_it_leaves_out() {
    let db = Db::postgres();
    db.execute(
        "CREATE TYPE span AS RANGE (subtype = int); CREATE TABLE t (a INT, b INT); CREATE STATISTICS s ON a, b FROM t",
    );
    let text = dump(&db);
    assert!(text.ends_with("-- left out\n-- 1 range types\n-- 1 extended statistics\n;\n"), "{text}");
    another(Engine::Postgres).execute(&text);
}
