//! A plan, for tests.

use std::collections::BTreeMap;

use super::model::{Environment, MemberPlan, Mode, Plan};
use crate::upgrade::facts::{Baseline, FileState, ForeignKeyState, TableFacts};
use crate::upgrade::set::Member;

fn member() -> MemberPlan {
    let facts = TableFacts { columns: vec!["a".into()], rows: 1, content_sha256: "c1".into(), bytes: None };
    let baseline = Baseline {
        tables: BTreeMap::from([("old".to_owned(), facts)]),
        integrity: vec!["ok".into()],
        foreign_keys: ForeignKeyState::Violations(BTreeMap::new()),
        fts: BTreeMap::new(),
        fts_bytes: BTreeMap::new(),
        instant_forms: BTreeMap::new(),
        pages: 2,
        free_pages: 0,
        page_bytes: 4096,
        journal_mode: "delete".into(),
        encoding: "UTF-8".into(),
    };
    MemberPlan {
        member: Member {
            key: "a.db".into(),
            path: "/set/a.db".into(),
            tier: "t".into(),
            shape: "s".into(),
            is_primary: true,
        },
        schema_sha256: "s1".into(),
        file_bytes: 8192,
        wal_bytes: 0,
        file_state: FileState {
            bytes: 8192,
            modified_ns: 1,
            inode: 2,
            wal_bytes: 0,
            wal_modified_ns: 0,
            change_counter: Some(3),
            wal_salt: None,
        },
        side_files: Vec::new(),
        baseline,
        steps: Vec::new(),
        predictions: Vec::new(),
    }
}

/// A plan for one database.
pub fn plan() -> Plan {
    Plan {
        version: 1,
        tool_version: "1".into(),
        made_at: "2026-01-31T12:00:00Z".into(),
        upgrade: "example".into(),
        definition_sha256: "d1".into(),
        from: "1".into(),
        to: "2".into(),
        application: None,
        mode: Mode::Staged,
        assume_tz: "UTC".into(),
        inputs_sha256: BTreeMap::new(),
        settings: BTreeMap::new(),
        environment: Environment { sqlite_version: "3".into(), system: "s".into(), cpus: 2 },
        members: vec![member()],
        measures: Vec::new(),
        excluded: Vec::new(),
        blocks: Vec::new(),
        notes: Vec::new(),
        estimate: Vec::new(),
        space_needed_bytes: 0,
    }
}
