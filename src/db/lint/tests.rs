//! Tests each rule on both engines: statements that it reports and statements that it does not.

use Dialect::{Postgres, Sqlite};

use super::*;

/// Returns the names of the rules that report an Up section with these statements.
fn found(dialect: Dialect, statements: &str) -> Vec<&'static str> {
    in_file(dialect, &format!("-- Up\n{statements}\n-- Down\nSELECT 1;\n"))
}

fn in_file(dialect: Dialect, text: &str) -> Vec<&'static str> {
    let examined = Examined::of_texts(dialect, [("1_a.sql", text)]);
    lint(&examined, None).into_iter().map(|finding| finding.rule).collect()
}

/// A statement, and the rules that report it on each engine.
type Case = (&'static str, &'static [&'static str], &'static [&'static str]);

const DATA: &[Case] = &[
    ("DROP TABLE t;", &["drop-table"], &["drop-table"]),
    ("DROP TABLE IF EXISTS s.t CASCADE;", &["drop-table"], &["drop-table"]),
    ("CREATE TABLE t (a int); DROP TABLE t;", &[], &[]),
    ("DROP SCHEMA s;", &["drop-schema"], &["drop-schema"]),
    ("DROP TYPE mood CASCADE;", &["drop-cascade"], &["drop-cascade"]),
    ("DROP EXTENSION hstore CASCADE;", &["drop-cascade"], &["drop-cascade"]),
    ("DROP FOREIGN DATA WRAPPER w CASCADE;", &["drop-cascade"], &["drop-cascade"]),
    ("DROP FOREIGN TABLE f CASCADE;", &["drop-table"], &["drop-table"]),
    ("ALTER TYPE pair DROP ATTRIBUTE b;", &["drop-attribute"], &["drop-attribute"]),
    ("ALTER TYPE pair ADD ATTRIBUTE b int;", &[], &[]),
    ("DROP TYPE mood;", &[], &[]),
    ("DROP OWNED BY app;", &["drop-owned"], &["drop-owned"]),
    ("ALTER TABLE t DROP COLUMN a;", &["drop-column"], &["drop-column"]),
    ("ALTER TABLE t ADD b int, DROP a;", &["drop-column"], &["drop-column"]),
    ("ALTER TABLE t DROP CONSTRAINT a;", &[], &[]),
    ("ALTER TABLE t ALTER a DROP NOT NULL;", &[], &[]),
    ("TRUNCATE t;", &["truncate"], &["truncate"]),
    ("ALTER TABLE t ALTER COLUMN a SET DATA TYPE text;", &["type-change"], &["type-change"]),
    ("ALTER TABLE t ALTER a TYPE text USING a::text;", &["type-change"], &["type-change"]),
    ("ALTER TABLE t ALTER COLUMN type SET DEFAULT 1;", &[], &[]),
    ("ALTER TABLE t ADD COLUMN type text;", &[], &[]),
    ("UPDATE t SET a = 1;", &["whole-table-write"], &["whole-table-write"]),
    ("DELETE FROM t;", &["whole-table-write"], &["whole-table-write"]),
    ("UPDATE t SET a = 1 WHERE b = 2;", &[], &[]),
    ("CREATE TABLE t AS SELECT 1 AS a; UPDATE t SET a = 2;", &[], &[]),
    ("-- Batch: SELECT a FROM t\nDELETE FROM t2; DELETE FROM t WHERE a IN (SELECT a FROM haul_batch);", &[], &[]),
    ("ALTER TABLE t RENAME COLUMN a TO b;", &["rename"], &["rename"]),
    ("ALTER TABLE t RENAME TO u;", &["rename"], &["rename"]),
    ("ALTER TABLE t RENAME CONSTRAINT a TO b;", &[], &[]),
    ("CREATE TABLE IF NOT EXISTS t (a int);", &["if-not-exists"], &["if-not-exists"]),
    ("CREATE TABLE t (a text DEFAULT 'CREATE TABLE IF NOT EXISTS');", &[], &[]),
];

const COLUMNS: &[Case] = &[
    ("ALTER TABLE t ADD a int NOT NULL;", &["not-null-without-default"], &["not-null-without-default"]),
    ("ALTER TABLE t ADD a int NOT NULL DEFAULT 0;", &[], &[]),
    ("ALTER TABLE t ADD a int CHECK (a IS NOT NULL);", &[], &[]),
    ("CREATE TABLE t (b int); ALTER TABLE t ADD a int NOT NULL;", &[], &[]),
    ("ALTER TABLE t ADD a int UNIQUE;", &["column-refused"], &["constraint-builds-index"]),
    ("ALTER TABLE t ADD a int PRIMARY KEY;", &["column-refused"], &["constraint-builds-index"]),
    ("ALTER TABLE t ADD a text DEFAULT CURRENT_TIMESTAMP;", &["default-not-constant"], &[]),
    ("ALTER TABLE t ADD a text DEFAULT (random());", &["default-not-constant"], &[]),
    ("ALTER TABLE t ADD a int DEFAULT 5 CHECK (a > 0);", &[], &[]),
    ("ALTER TABLE t ADD a text DEFAULT 'x' CHECK (a > 0);", &[], &[]),
    ("ALTER TABLE t ADD a float DEFAULT random();", &["default-not-constant"], &["column-rewrites-table"]),
    ("ALTER TABLE t ADD a bigserial NOT NULL;", &[], &["column-rewrites-table"]),
    ("ALTER TABLE t ADD a timestamptz DEFAULT now();", &["default-not-constant"], &[]),
    ("ALTER TABLE t ADD a int GENERATED ALWAYS AS (b + 1) STORED;", &[], &["column-rewrites-table"]),
];

const LOCKS: &[Case] = &[
    ("CREATE INDEX i ON t (a);", &[], &["index-locks-writes"]),
    ("CREATE UNIQUE INDEX i ON t (a);", &[], &["index-locks-writes"]),
    ("CREATE TABLE \"T\" (a int); CREATE INDEX i ON \"T\" (a);", &[], &[]),
    ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0);", &[], &["constraint-scans-table"]),
    ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID;", &[], &[]),
    ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u;", &[], &["constraint-scans-table"]),
    ("ALTER TABLE t ADD CONSTRAINT c UNIQUE (a);", &[], &["constraint-builds-index"]),
    ("ALTER TABLE t ADD CONSTRAINT c UNIQUE USING INDEX i;", &[], &[]),
    ("ALTER TABLE t ALTER a SET NOT NULL;", &[], &["set-not-null-scans-table"]),
    ("ALTER TABLE t SET TABLESPACE x;", &[], &["rewrites-table"]),
    ("CLUSTER t;", &[], &["rewrites-table"]),
    ("LOCK TABLE t;", &[], &["lock-table"]),
    ("REFRESH MATERIALIZED VIEW CONCURRENTLY v;", &[], &[]),
    ("ALTER TYPE mood ADD VALUE 'x'; INSERT INTO t VALUES ('x');", &[], &["enum-value-in-transaction"]),
    ("ALTER TYPE mood ADD VALUE 'x';", &[], &[]),
    ("SET search_path = x;", &[], &["session-setting"]),
    ("SET LOCAL search_path = x;", &[], &[]),
    ("INSERT OR ROLLBACK INTO t VALUES (1);", &["or-rollback"], &[]),
    ("INSERT OR IGNORE INTO t VALUES (1);", &[], &[]),
];

#[test]
fn each_rule_reports_only_its_own_statements() {
    let mut wrong = Vec::new();
    for (statements, sqlite, postgres) in DATA.iter().chain(COLUMNS).chain(LOCKS) {
        for (dialect, expected) in [(Sqlite, sqlite), (Postgres, postgres)] {
            let found = found(dialect, statements);
            if found != *expected {
                wrong.push((dialect, statements, found));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(found(Postgres, "REFRESH MATERIALIZED VIEW v;"), ["refresh-blocks-readers"]);
}

#[test]
fn sections_without_a_transaction_have_other_rules() {
    let alone = |dialect, statement: &str| {
        in_file(dialect, &format!("-- haul: no-transaction\n-- Up\n{statement}\n-- Down\nSELECT 1;\n"))
    };
    assert_eq!(alone(Postgres, "CREATE INDEX CONCURRENTLY i ON t (a);"), [""; 0]);
    assert_eq!(alone(Postgres, "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a);"), ["index-may-be-invalid"]);
    assert_eq!(alone(Postgres, "VACUUM FULL t;"), ["rewrites-table"]);
    assert_eq!(alone(Sqlite, "VACUUM;"), ["rewrites-table"]);
    assert_eq!(alone(Sqlite, "VACUUM INTO 'x';"), [""; 0]);
    assert_eq!(alone(Sqlite, "INSERT OR ROLLBACK INTO t VALUES (1);"), [""; 0]);
}

#[test]
fn every_rule_has_a_case() {
    let cases = DATA.iter().chain(COLUMNS).chain(LOCKS);
    let mut shown: BTreeSet<_> = cases.flat_map(|case| case.1.iter().chain(case.2)).copied().collect();
    shown.extend([
        "refresh-blocks-readers",
        "index-may-be-invalid",
        "missing-down",
        "version-gap",
        "version-lengths",
        "own-transaction",
        "repeatable",
    ]);
    assert_eq!(rules().map(|rule| rule.name).collect::<BTreeSet<_>>(), shown);
}

#[test]
fn times_of_different_lengths_are_reported() {
    let files = [
        ("20231231235959_a.sql", "-- Up\nSELECT 1;\n-- Down\nSELECT 1;"),
        ("202401011200_b.sql", "-- Up\nSELECT 1;\n-- Down\nSELECT 1;"),
    ];
    for dialect in [Sqlite, Postgres] {
        let all = lint(&Examined::of_texts(dialect, files), None);
        let shown: Vec<_> = all.iter().map(|finding| (&*finding.file, finding.rule)).collect();
        assert_eq!(shown, [("202401011200_b.sql", "version-lengths")]);
        let counted = [("1_a.sql", files[0].1), ("20231231235959_a.sql", files[0].1)];
        assert!(
            lint(&Examined::of_texts(dialect, counted), None).iter().all(|finding| finding.rule != "version-lengths")
        );
    }
}

#[test]
fn a_transaction_around_the_section_is_a_note() {
    for dialect in [Sqlite, Postgres] {
        assert_eq!(found(dialect, "BEGIN;\nCREATE TABLE t (a int);\nCOMMIT;"), ["own-transaction"]);
        assert_eq!(found(dialect, "BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;"), ["transaction-control"]);
    }
}

#[test]
fn repeatable_migrations_that_cannot_run_twice_are_reported() {
    for (text, expected) in [
        ("CREATE VIEW v AS SELECT 1;", &["repeatable"][..]),
        ("CREATE OR REPLACE VIEW v AS SELECT 1;", &[]),
        ("CREATE TABLE IF NOT EXISTS t (a int);", &[]),
        ("DROP VIEW IF EXISTS v;\nCREATE VIEW v AS SELECT 1;", &[]),
        ("-- haul: no-transaction\nVACUUM;", &["directive"]),
        ("-- Up\nSELECT 1;\n-- Down\nSELECT 2;", &["sections"]),
    ] {
        let all = lint(&Examined::of_texts(Postgres, [("R__v.sql", text)]), None);
        let found: Vec<_> = all.iter().map(|finding| finding.rule).collect();
        assert_eq!(found, expected, "{text}");
        assert!(all.iter().all(|finding| finding.version.is_none()));
    }
}

#[test]
fn files_that_look_like_those_of_other_tools_are_errors() {
    for dialect in [Sqlite, Postgres] {
        assert_eq!(found(dialect, "SELECT 1;\n-- //@UNDO\nDROP TABLE t;"), ["sections"]);
        assert_eq!(found(dialect, "--changeset me:1\nSELECT 1;"), ["sections"]);
        assert_eq!(found(dialect, "INSERT INTO t VALUES ('${a}');"), ["placeholder"]);
    }
}

#[test]
fn down_sections_are_checked_by_the_rules_about_locks_only() {
    let text = "-- Up\nCREATE TABLE t (a int);\n-- Down\nDROP TABLE t;\nCREATE INDEX i ON u (a);\n";
    assert_eq!(in_file(Postgres, text), ["index-locks-writes"]);
    assert_eq!(in_file(Postgres, "SELECT 1;"), ["missing-down"]);
}

#[test]
fn invalid_files_are_reported_with_the_findings_of_the_others() {
    let files = [
        ("1_a.sql", "SELECT 1;\nVACUUM;"),
        ("2_b.sql", "SELECT 1;\n\nDROP TABLE t;"),
        ("2_c.sql", "SELECT 1;"),
        ("4_d.sql", "-- haul: fast\nSELECT 1;"),
        ("5_e.sql", "COMMIT;"),
        ("6_f.sql", "-- Up\nSELECT 1;\n-- Down\nSELECT 1;"),
        ("d.sql", "SELECT 1;"),
    ];
    for dialect in [Sqlite, Postgres] {
        let all = lint(&Examined::of_texts(dialect, files), None);
        let shown: Vec<_> = all.iter().map(|finding| (&*finding.file, finding.line, finding.rule)).collect();
        let expected = [
            ("1_a.sql", 2, "non-transactional-statement"),
            ("2_b.sql", 0, "missing-down"),
            ("2_b.sql", 3, "drop-table"),
            ("2_c.sql", 0, "version"),
            ("4_d.sql", 1, "directive"),
            ("5_e.sql", 0, "version-gap"),
            ("5_e.sql", 1, "transaction-control"),
            ("d.sql", 0, "version"),
        ];
        assert_eq!(shown, expected);
        let later = lint(&Examined::of_texts(dialect, files), Some(&"3".parse().unwrap()));
        let rules: Vec<_> = later.iter().map(|finding| finding.rule).collect();
        assert_eq!(rules, ["directive", "version-gap", "transaction-control", "version"]);
    }
}
