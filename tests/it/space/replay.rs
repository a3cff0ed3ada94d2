//! Which records are live: against a model written from the rules, and colliding node ids one by one.

use std::collections::{BTreeMap, HashMap};

use crate::support::space::{DELETE, STORE, Space, episode_about, records};
use crate::support::space_runs::{UPDATE, memory};
use haul::migration::{Error, OutcomeCounts, Severity, exit};
use haul::space::generate::samples;
use haul::space::options::MigrateOptions;
use haul::space::outcome::Counts;
use haul::space::policy::{Collisions, Deletes, Duplicates, Policies, Updates};
use haul::space::store::layout::RowKind;
use proptest::prelude::*;
use uuid::Uuid;

/// What a random record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Stores the id with one of a few contents.
    Store(u8),
    Delete,
    Update,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    file: u64,
    sequence: u64,
    id: u8,
    act: Act,
}

impl Record {
    fn id(&self) -> String {
        format!("id-{}", self.id)
    }

    fn encoded(&self) -> (u64, u32, Vec<u8>) {
        let (kind, payload) = match self.act {
            Act::Store(content) => (STORE, episode_about(&self.id(), &content.to_string())),
            Act::Delete => (DELETE, self.id().into_bytes()),
            Act::Update => (UPDATE, memory(&self.id())),
        };
        (self.sequence, kind, payload)
    }

    /// What the store shows of the live node: the content, or `None` for an imported memory.
    fn shown(&self) -> Option<String> {
        match self.act {
            Act::Store(content) => Some(content.to_string()),
            _ => None,
        }
    }
}

fn record() -> impl Strategy<Value = Record> {
    let act = prop_oneof![5 => (0_u8..2).prop_map(Act::Store), 2 => Just(Act::Delete), 2 => Just(Act::Update)];
    let sequence = prop_oneof![6 => 0_u64..6, 1 => Just(u64::MAX), 1 => any::<u64>()];
    (0_u64..3, sequence, 0_u8..4, act).prop_map(|(file, sequence, id, act)| Record { file, sequence, id, act })
}

/// Live contents by id, outcome counts, and how many stores met a live id, by the rules of the specification.
fn model(records: &[Record], policies: &Policies) -> (BTreeMap<String, Option<String>>, Counts, u64) {
    // In the order of writing: by file, then by offset, which is the order of generation within a file.
    let mut written = records.to_vec();
    written.sort_by_key(|record| record.file);
    let mut canonical = written.clone();
    canonical.sort_by_key(|record| record.sequence);
    let order = if policies.duplicates == Duplicates::Latest { &written } else { &canonical };
    let mut live: HashMap<String, Record> = HashMap::new();
    let mut counts = Counts::default();
    let mut met = 0;
    for record in order {
        let id = record.id();
        match record.act {
            Act::Store(_) => {
                let Some(holder) = live.get(&id).copied() else {
                    live.insert(id, *record);
                    continue;
                };
                met += 1;
                if holder.act == record.act {
                    counts.duplicate_identical += 1;
                } else {
                    counts.duplicate_different += 1;
                }
                if policies.duplicates == Duplicates::Latest {
                    live.insert(id, *record);
                }
            }
            Act::Delete => {
                counts.skipped_delete_entry += 1;
                if policies.deletes == Deletes::Apply && live.remove(&id).is_some() {
                    counts.skipped_deleted += 1;
                }
            }
            Act::Update => {}
        }
    }
    for record in canonical.iter().filter(|record| record.act == Act::Update) {
        if policies.updates == Updates::Import && !live.contains_key(&record.id()) {
            live.insert(record.id(), *record);
        } else {
            counts.skipped_update_not_applied += 1;
        }
    }
    counts.migrated = live.len() as u64;
    (live.into_iter().map(|(id, record)| (id, record.shown())).collect(), counts, met)
}

fn with(policies: Policies) -> MigrateOptions {
    MigrateOptions { policies, ..MigrateOptions::default() }
}

fn written(list: &[Record]) -> Space {
    let space = Space::new();
    for file in 0..3 {
        let of_file: Vec<_> = list.iter().filter(|record| record.file == file).map(Record::encoded).collect();
        space.log(file, &records(&of_file));
    }
    space
}

fn check(list: &[Record], policies: Policies) -> Result<(), TestCaseError> {
    let (live, counts, met) = model(list, &policies);
    let space = written(list);
    let result = space.migrate(&with(policies));
    if policies.duplicates == Duplicates::Fail && met > 0 {
        let error = result.expect_err("a store of a live id");
        prop_assert!(matches!(error, Error::Findings { count, .. } if count == met), "{} of {}", error, met);
        prop_assert_eq!(space.findings(Severity::Fatal).len() as u64, met);
        prop_assert!(!space.root().join("CURRENT").exists());
        return Ok(());
    }
    let end = result.expect("a published store");
    prop_assert_eq!(end.records, list.len() as u64);
    prop_assert_eq!(end.counts.sum(), end.records);
    prop_assert_eq!(&end.counts, &counts, "{:?}", policies);
    let store = space.store();
    prop_assert_eq!(store.len(), counts.migrated);
    let mut found = BTreeMap::new();
    for node in store.iter() {
        let node = node.expect("a sound block");
        let shown = (node.node().kind() == RowKind::Episode).then(|| node.node().content().unwrap().to_owned());
        prop_assert_eq!(found.insert(node.node().episode_id().to_owned(), shown), None, "an id is live once");
        let got = store.get(&node.id).unwrap().expect("it is found by its id");
        prop_assert_eq!(got.node().payload(), node.node().payload());
    }
    prop_assert_eq!(&found, &live, "{:?}", policies);
    for id in (0..4).map(|id| format!("id-{id}")) {
        let got = store.get_by_episode_id(&id).unwrap();
        prop_assert_eq!(got.is_some(), live.contains_key(&id));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 25, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_live_set_is_that_of_a_simple_walk(list in prop::collection::vec(record(), 0..14)) {
        for duplicates in [Duplicates::Engram, Duplicates::Latest, Duplicates::Fail] {
            for deletes in [Deletes::Apply, Deletes::Ignore] {
                for updates in [Updates::Report, Updates::Import] {
                    check(&list, Policies { duplicates, deletes, updates, ..Policies::default() })?;
                }
            }
        }
    }
}

#[test]
fn the_order_of_metadata_makes_no_difference() {
    let with_metadata = |pairs: &[(&str, &str)]| {
        let mut episode = samples::episode("a");
        episode.metadata = pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        episode.encode()
    };
    let first = with_metadata(&[("x", "1"), ("y", "2")]);
    for (other, identical) in [
        (with_metadata(&[("y", "2"), ("x", "1")]), true),
        (with_metadata(&[("x", "0"), ("y", "2"), ("x", "1")]), true),
        ([&first[..], b"trailing"].concat(), true),
        (with_metadata(&[("x", "1"), ("y", "3")]), false),
        (with_metadata(&[("x", "1")]), false),
    ] {
        let space = Space::new();
        space.log(1, &records(&[(0, STORE, first.clone())])).log(2, &records(&[(0, STORE, other.clone())]));
        let end = space.migrate(&MigrateOptions::default()).unwrap();
        let counts = (end.counts.duplicate_identical, end.counts.duplicate_different);
        assert_eq!(counts, if identical { (1, 0) } else { (0, 1) });
        let store = space.store();
        assert_eq!(store.iter().next().unwrap().unwrap().node().payload(), first, "the older file wins");
        let note = &space.findings(Severity::Note).into_iter().find(|found| found.3.starts_with("duplicate")).unwrap();
        assert_eq!((note.0.as_str(), note.1), ("wal-0000000000000002.log", 0));
        assert_eq!(note.3, if identical { "duplicate, identical" } else { "duplicate, different" });
    }
}

#[test]
fn the_lowest_sequence_wins_even_in_the_newer_file() {
    let space = Space::new();
    space.log(1, &records(&[(5, STORE, episode_about("a", "old file"))]));
    space.log(2, &records(&[(3, STORE, episode_about("a", "new file"))]));
    space.migrate(&MigrateOptions::default()).unwrap();
    let found = space.store().get_by_episode_id("a").unwrap().unwrap();
    assert_eq!(found.node().content(), Some("new file"));
}

const SPELT: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

fn spellings() -> Vec<String> {
    vec![
        SPELT.to_owned(),
        SPELT.to_uppercase(),
        SPELT.replace('-', ""),
        format!("{{{SPELT}}}"),
        format!("urn:uuid:{SPELT}"),
        format!("URN:UUID:{}", SPELT.to_uppercase()),
    ]
}

fn v5(id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes())
}

fn rekey() -> MigrateOptions {
    with(Policies { collisions: Collisions::Rekey, ..Policies::default() })
}

/// A space whose records, in this order, have descending sequence numbers: the last one is the first in canonical order.
fn backwards(ids: &[String]) -> Space {
    let count = ids.len() as u64;
    let list: Vec<_> = ids.iter().zip(0..).map(|(id, place)| (count - place, STORE, episode_about(id, id))).collect();
    let space = Space::new();
    space.log(1, &records(&list));
    space
}

/// Every id of the store under the node id it has, checked through all three ways to a node.
#[track_caller]
fn assert_ids(space: &Space, expected: &[(&str, Uuid)]) {
    let store = space.store();
    let found: Vec<_> = store.iter().map(|node| node.unwrap()).collect();
    let listed: Vec<_> = found.iter().map(|node| (node.node().episode_id(), node.id)).collect();
    assert_eq!(listed, expected, "source order");
    assert_eq!(store.len(), expected.len() as u64);
    for (id, uuid) in expected {
        assert_eq!(store.get(uuid).unwrap().unwrap().node().episode_id(), *id);
        let by_text = store.get_by_episode_id(id).unwrap().unwrap();
        assert_eq!((by_text.id, by_text.node().content()), (*uuid, Some(*id)));
        assert_eq!(by_text.node().to_node(by_text.id).id, *uuid);
    }
    let entries: Vec<_> = (0..store.len()).map(|number| store.id_entry(number).unwrap().uuid).collect();
    assert!(entries.is_sorted(), "the index is in order");
}

#[test]
fn spellings_of_one_uuid_fail_each_with_a_finding() {
    let ids = spellings();
    let space = backwards(&ids);
    let error = space.migrate(&MigrateOptions::default()).unwrap_err();
    assert_eq!(error.exit_code(), exit::BAD_DATA);
    let found = space.findings(Severity::Fatal);
    assert_eq!(found.len(), ids.len() - 1, "all but the first in canonical order");
    assert!(found.iter().all(|found| found.3.contains(SPELT) && found.2 > 64));
    assert!(!space.root().join("CURRENT").exists());
}

#[test]
fn spellings_of_one_uuid_are_rekeyed_but_for_the_first() {
    let ids = spellings();
    let space = backwards(&ids);
    let end = space.migrate(&rekey()).unwrap();
    assert_eq!(end.counts.migrated, ids.len() as u64);
    let last = ids.len() - 1;
    let expected: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(place, id)| (id.as_str(), if place == last { SPELT.parse().unwrap() } else { v5(id) }))
        .collect();
    assert_ids(&space, &expected);
    let notes = space.findings(Severity::Note);
    assert_eq!(notes.iter().filter(|found| found.3.contains("rekeyed to")).count(), last);
    assert!(space.store().get_by_episode_id(&SPELT.replace('f', "F")).unwrap().is_none(), "a spelling nobody stored");
}

#[test]
fn only_live_records_collide() {
    let upper = SPELT.to_uppercase();
    let space = Space::new();
    let list = [
        (0, STORE, episode_about(SPELT, "gone")),
        (1, DELETE, SPELT.as_bytes().to_vec()),
        (2, STORE, episode_about(&upper, &upper)),
        (3, UPDATE, memory(SPELT)),
    ];
    space.log(1, &records(&list));
    space.migrate(&MigrateOptions::default()).unwrap();
    assert_ids(&space, &[(&upper, SPELT.parse().unwrap())]);
}

#[test]
fn an_id_that_spells_the_name_based_uuid_of_another() {
    let spelt = v5("plain").to_string();
    // The plain one comes first and keeps its id; the spelt one is rekeyed.
    let space = backwards(&[spelt.clone(), "plain".into()]);
    assert_eq!(space.migrate(&MigrateOptions::default()).unwrap_err().exit_code(), exit::BAD_DATA);
    let space = backwards(&[spelt.clone(), "plain".into()]);
    space.migrate(&rekey()).unwrap();
    assert_ids(&space, &[(&spelt, v5(&spelt)), ("plain", v5("plain"))]);
    // The spelt one comes first: the plain one has no other id to go to.
    let space = backwards(&["plain".into(), spelt]);
    assert_eq!(space.migrate(&rekey()).unwrap_err().exit_code(), exit::BAD_DATA);
    let found = space.findings(Severity::Fatal);
    assert_eq!(found.len(), 1);
    assert!(found[0].3.contains("and so is the rekeyed one"), "{}", found[0].3);
}

#[test]
fn a_rekeyed_id_that_is_taken_fails() {
    let upper = SPELT.to_uppercase();
    let taken = v5(&upper).to_string();
    for order in [[upper.clone(), SPELT.into(), taken.clone()], [taken, upper, SPELT.into()]] {
        let space = backwards(&order);
        assert_eq!(space.migrate(&rekey()).unwrap_err().exit_code(), exit::BAD_DATA);
        let found = space.findings(Severity::Fatal);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].3.contains("is taken too"), "{}", found[0].3);
        let place = order.iter().position(|id| id.chars().any(char::is_uppercase)).unwrap() as u64;
        let record_bytes = 64 + episode_about(SPELT, SPELT).len() as u64;
        assert_eq!((found[0].1, found[0].2), (place * record_bytes, record_bytes), "the finding names the record");
        assert!(!space.root().join("CURRENT").exists());
    }
}

#[test]
fn an_imported_memory_collides_like_any_other() {
    let upper = SPELT.to_uppercase();
    let import = Policies { updates: Updates::Import, collisions: Collisions::Rekey, ..Policies::default() };
    let space = Space::new();
    space.log(1, &records(&[(0, STORE, episode_about(SPELT, SPELT)), (1, UPDATE, memory(&upper))]));
    space.migrate(&with(import)).unwrap();
    let store = space.store();
    assert_eq!(store.get(&SPELT.parse().unwrap()).unwrap().unwrap().node().episode_id(), SPELT);
    let imported = store.get_by_episode_id(&upper).unwrap().unwrap();
    assert_eq!((imported.id, imported.node().kind()), (v5(&upper), RowKind::Memory));
    assert_eq!(imported.node().row().strength.get(), 0.0);
}
