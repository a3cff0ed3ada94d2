use std::time::Duration;

use super::*;

fn cut(dialect: Dialect, text: &str) -> (String, Option<String>) {
    let found = sections(dialect, text, None).expect("sections");
    (text[found.up.range].to_owned(), found.down.map(|down| text[down.range].to_owned()))
}

fn fault(text: &str) -> (ScriptFault, u64) {
    let (fault, line, _) = sections(Dialect::Postgres, text, None).expect_err("a fault");
    (fault, line)
}

#[test]
fn the_documented_format_has_a_header_and_two_sections() {
    let text =
        "-- Migration: 002_x\n-- Created: 2026-02-28\n\n--  up \nCREATE TABLE t (a int);\n-- DOWN\nDROP TABLE t;\n";
    let found = sections(Dialect::Sqlite, text, None).unwrap();
    assert_eq!(found.header, ["Migration: 002_x", "Created: 2026-02-28"]);
    assert_eq!((&text[found.up.range], found.up.line), ("CREATE TABLE t (a int);\n", 5));
    let down = found.down.unwrap();
    assert_eq!((&text[down.range], down.line), ("DROP TABLE t;\n", 7));
}

#[test]
fn a_file_without_markers_is_one_section() {
    let text = "-- what it is for\nCREATE TABLE t (a int); -- down\n";
    assert_eq!(cut(Dialect::Sqlite, text), (text.to_owned(), None));
    assert_eq!(sections(Dialect::Sqlite, text, None).unwrap().header, ["what it is for"]);
}

#[test]
fn markers_inside_of_literals_and_bodies_are_text() {
    for inside in [
        "'\n-- Down\n'",
        "\"\n-- Down\n\"",
        "/*\n-- Down\n*/",
        "$$\n-- Down\n$$",
        "$f$\n-- Down\n$f$",
        "E'\\'\n-- Down\n'",
    ] {
        let text = format!("-- Up\nSELECT {inside};\n-- Down\nSELECT 2;");
        assert_eq!(cut(Dialect::Postgres, &text).1.as_deref(), Some("SELECT 2;"), "{inside}");
    }
    let function =
        "-- Up\nCREATE FUNCTION f() RETURNS int BEGIN ATOMIC\n-- Down\nSELECT 1;\n-- Down\nEND;\n-- Down\nSELECT 2;";
    assert_eq!(cut(Dialect::Postgres, function).1.as_deref(), Some("SELECT 2;"));
    for end in ["END;", "END"] {
        let trigger = format!(
            "-- Up\nCREATE TRIGGER a AFTER INSERT ON t BEGIN\n-- Down\nSELECT 1;\n-- Down\n{end}\n-- Down\nSELECT 2;"
        );
        assert_eq!(cut(Dialect::Sqlite, &trigger).1.as_deref(), Some("SELECT 2;"), "{end}");
    }
}

#[test]
fn a_section_may_end_without_a_semicolon() {
    for dialect in [Dialect::Sqlite, Dialect::Postgres] {
        assert_eq!(cut(dialect, "-- Up\nSELECT (1\n-- Down\nSELECT 2").0, "SELECT (1\n");
    }
}

#[test]
fn markers_of_other_tools_are_read() {
    let goose = "-- +goose NO TRANSACTION\n-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n-- +goose StatementEnd\n-- +goose Down\nSELECT 2;";
    let found = sections(Dialect::Postgres, goose, None).unwrap();
    assert!(found.up.settings.no_transaction && found.down.unwrap().settings.no_transaction);
    let dbmate = "-- migrate:up transaction:false\nSELECT 1;\n-- migrate:down\nSELECT 2;";
    let found = sections(Dialect::Postgres, dbmate, None).unwrap();
    assert!(found.up.settings.no_transaction && !found.down.unwrap().settings.no_transaction);
}

#[test]
fn directives_apply_to_the_file_or_to_their_section() {
    let text =
        "-- haul: timeout=2s\n-- Up\n-- haul: no-transaction\nSELECT 1;\n-- Down\n-- haul: timeout=1s\nSELECT 2;";
    let found = sections(Dialect::Postgres, text, None).unwrap();
    let down = found.down.unwrap().settings;
    assert_eq!((found.up.settings.timeout, found.up.settings.no_transaction), (Some(Duration::from_secs(2)), true));
    assert_eq!((down.timeout, down.no_transaction), (Some(Duration::from_secs(1)), false));
}

#[test]
fn faults_are_reported_with_their_line() {
    assert_eq!(fault("-- Down\nSELECT 1;\n"), (ScriptFault::DownBeforeUp, 1));
    assert_eq!(fault("SELECT 1;\n-- Up\n"), (ScriptFault::StatementBeforeUp, 2));
    assert_eq!(fault("-- Up\n-- Up\n"), (ScriptFault::RepeatedMarker("Up"), 2));
    assert_eq!(fault("-- Up\n-- Down\n-- Down\n"), (ScriptFault::RepeatedMarker("Down"), 3));
    assert_eq!(fault("-- Up\n-- migrate:down\n"), (ScriptFault::MixedMarkers, 2));
    assert_eq!(fault("-- haul: fast\n"), (ScriptFault::UnknownDirective("fast".into()), 1));
    assert_eq!(fault("SELECT 1;\n-- haul: no-transaction\n"), (ScriptFault::LateDirective, 2));
    assert_eq!(fault("-- Up\nSELECT '\n-- Down\n").1, 2);
    assert_eq!(
        fault("-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n-- +goose Down\n"),
        (ScriptFault::UnmatchedStatementMarkers, 4)
    );
    assert_eq!(fault("-- +goose ENVSUB ON\n").0, ScriptFault::UnknownAnnotation("ENVSUB ON".into()));
    let (pair, ..) = sections(Dialect::Postgres, "-- Down\n", Some(Direction::Up)).unwrap_err();
    assert_eq!(pair, ScriptFault::MarkerInPair);
}

/// The line of the comment in the Up section that looks like a marker, if there is one.
fn unread(text: &str, half: Option<Direction>) -> Option<u64> {
    sections(Dialect::Sqlite, text, half).expect("sections").up.unread.map(|(_, line, _)| line)
}

#[test]
fn files_of_node_pg_migrate_and_sql_migrate_are_cut() {
    for (up, down) in [
        ("-- Up Migration", "-- Down Migration"),
        ("-- +migrate Up", "-- +migrate Down"),
        ("-- +micrate Up", "-- +micrate Down"),
    ] {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let text = format!("{up}\nSELECT 1;\n{down}\nSELECT 2;\n");
            assert_eq!(cut(dialect, &text), ("SELECT 1;\n".into(), Some("SELECT 2;\n".into())), "{up}");
        }
    }
    let text = "-- +migrate Up notransaction\n-- +migrate StatementBegin\nSELECT 1;\n-- +migrate StatementEnd\n";
    assert!(sections(Dialect::Postgres, text, None).unwrap().up.settings.no_transaction);
    assert_eq!(fault("-- Up\nSELECT 1;\n-- Down Migration\nSELECT 2;\n"), (ScriptFault::MixedMarkers, 3));
}

#[test]
fn a_comment_that_looks_like_a_marker_counts_before_a_statement() {
    for marker in
        ["-- Down:", "--- Down", "/* Down */", "# Down", "# --- !Downs", "-- //@UNDO", "-- ==== DOWN ====", "// Down"]
    {
        assert_eq!(unread(&format!("-- Up\nSELECT 1;\n{marker}\n\nSELECT 2;\n"), None), Some(3), "{marker}");
        assert_eq!(unread(&format!("SELECT 1\n{marker}\nSELECT 2"), None), Some(2), "{marker}");
    }
    for heading in [
        "-- //@UNDO\n-- SQL to undo the change goes here.",
        "-- Rollback:\n-- removes what was made",
        "/*\n * Down\n */",
    ] {
        assert_eq!(unread(&format!("SELECT 1;\n{heading}\nDROP TABLE t;\n"), None), Some(2), "{heading}");
    }
    assert_eq!(unread("--liquibase formatted sql\n\n--changeset me:1\nSELECT 1;\n", None), Some(1));
    assert_eq!(unread("SELECT 1;\n-- Rollback\nSELECT 2;\n-- Down:\nSELECT 3;\n", None), Some(2));
}

#[test]
fn a_comment_that_looks_like_a_marker_may_be_a_remark() {
    for text in [
        "SELECT 1;\n-- Down:\n",
        "SELECT 1;\n-- Down:\n-- DROP TABLE t;\n",
        "-- Rollback:\n--   DROP TABLE t;\nCREATE TABLE t (a int);\n",
        "CREATE TABLE t (\n  -- undo\n  a int\n);\n",
        "SELECT 1; -- Down:\nSELECT 2;\n",
        "SELECT '\n-- Down:\n';\n",
        "SELECT 1; /* Down */ SELECT 2;\n",
        "/* Down\nDROP TABLE t;\n*/\nSELECT 1;\n",
        "/*\n-- Down\n*/\nSELECT 1;\n",
        "-- Rollback:\n-- restore the backup of the night\nALTER TABLE t ADD a int;\n",
        "-- Rollback:\n-- none\nDROP TABLE t;\n",
        "/*\n * Scale the readings down\n */\nSELECT 1;\n",
        "CREATE TRIGGER a AFTER INSERT ON t BEGIN\n-- Rollback\nSELECT 1;\nEND;\n",
    ] {
        assert_eq!(unread(text, None), None, "{text}");
    }
    for heading in ["-- Down Migration", "-- Rollback", "-- Down:"] {
        let text = format!("{heading}\nDROP TABLE t;\n");
        assert_eq!(unread(&text, Some(Direction::Down)), None, "{heading}");
    }
    assert_eq!(unread("CREATE TABLE t (a);\n-- Rollback\nDROP TABLE t;\n", Some(Direction::Up)), Some(2));
}
