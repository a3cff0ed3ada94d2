//! Small upgrades for the tests of phases 2 to 4.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::db::Dialect;
use crate::db::script::statements;
use crate::upgrade::definition::{Backfill, Definition, Files, Group, Script, ScriptStatement, Shape, ShapeSql, Tier};
use crate::upgrade::set::Member;

/// A definition of one tier `t` with one shape `s`, and nothing to do.
pub fn definition() -> Definition {
    let shape = Shape {
        name: "s".into(),
        table: "old".into(),
        columns: Vec::new(),
        without_columns: Vec::new(),
        without_tables: Vec::new(),
    };
    Definition {
        checklist: Vec::new(),
        criteria: Vec::new(),
        name: "example".into(),
        from: "1".into(),
        to: "2".into(),
        tiers: vec![Tier { name: "t".into(), optional: false, shapes: vec![shape] }],
        groups: Vec::new(),
        rebuilds: Vec::new(),
        views: Vec::new(),
        measures: Vec::new(),
        backfills: Vec::new(),
        expectations: Vec::new(),
        queries: Vec::new(),
        inputs: Vec::new(),
        settings: BTreeMap::new(),
        flags: Vec::new(),
        monitors: Vec::new(),
        window_days: 7,
        retention: Vec::new(),
        configuration: None,
        secret_columns: Vec::new(),
        sha256: String::new(),
    }
}

/// A script for the primary file of tier `t`.
pub fn script(name: &str, text: &str) -> Script {
    let statement = |found: crate::db::script::Statement| ScriptStatement {
        text: text[found.range].trim_end_matches(';').to_owned(),
        line: found.line,
    };
    Script {
        name: name.into(),
        text: text.into(),
        tiers: vec!["t".into()],
        files: Files::Primary,
        table: None,
        statements: statements(Dialect::Sqlite, text).into_iter().map(statement).collect(),
    }
}

/// The definition with groups of one script each.
pub fn with_groups(groups: &[(&str, &str)]) -> Definition {
    let group = |(name, text): &(&str, &str)| Group {
        name: (*name).into(),
        scripts: vec![format!("{name}.sql")],
        parsed: vec![script(&format!("{name}.sql"), text)],
    };
    Definition { groups: groups.iter().map(group).collect(), ..definition() }
}

/// SQL for all shapes.
pub fn sql(text: &str) -> ShapeSql {
    ShapeSql { shapes: Vec::new(), sql: text.into(), file: None }
}

/// A backfill of the primary file of tier `t`.
pub fn backfill(name: &str, rows: &str, write: &str) -> Backfill {
    Backfill {
        name: name.into(),
        tier: "t".into(),
        files: Files::Primary,
        rows: vec![sql(rows)],
        write: sql(write),
        write_for: Vec::new(),
    }
}

/// The primary file of tier `t`.
pub fn member() -> Member {
    Member { key: "a.db".into(), path: PathBuf::from("a.db"), tier: "t".into(), shape: "s".into(), is_primary: true }
}
