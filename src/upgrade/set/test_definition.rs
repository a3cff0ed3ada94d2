//! A definition with two tiers, for tests.

use crate::upgrade::definition::{Definition, Shape, Tier};

fn shape(name: &str, table: &str, columns: &[&str], without_columns: &[&str], without_tables: &[&str]) -> Shape {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Shape {
        name: name.into(),
        table: table.into(),
        columns: texts(columns),
        without_columns: texts(without_columns),
        without_tables: texts(without_tables),
    }
}

/// Tier `one` has the shapes `A` and `B` of the table `notes`, tier `two` the table `items`.
pub fn definition() -> Definition {
    let notes = vec![shape("A", "notes", &["id", "old"], &["new"], &[]), shape("B", "notes", &["id", "new"], &[], &[])];
    let items = vec![shape("items", "items", &[], &[], &["never"])];
    Definition {
        checklist: Vec::new(),
        criteria: Vec::new(),
        name: "notes-2".into(),
        from: "1".into(),
        to: "2".into(),
        tiers: vec![
            Tier { name: "one".into(), optional: false, shapes: notes },
            Tier { name: "two".into(), optional: true, shapes: items },
        ],
        groups: Vec::new(),
        rebuilds: Vec::new(),
        views: Vec::new(),
        measures: Vec::new(),
        backfills: Vec::new(),
        expectations: Vec::new(),
        queries: Vec::new(),
        inputs: Vec::new(),
        settings: Default::default(),
        flags: Vec::new(),
        monitors: Vec::new(),
        window_days: 7,
        retention: Vec::new(),
        configuration: None,
        secret_columns: Vec::new(),
        sha256: "00".into(),
    }
}
