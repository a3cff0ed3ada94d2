//! Keys on the command line: old ones with a map, and their first digits.

use super::runs::cas_in;
use crate::support::old_store::OldStore;
use haul::cas::format::digest::key_of;
use haul::cas::source::location::Shape;
use haul::cas::{Algorithm, Key};

const MAP: &str = "--map new.migration/key-map.tsv";

fn content(number: u16) -> Vec<u8> {
    format!("content {number}").into_bytes()
}

/// Objects of every generation, migrated to `new`.
fn migrated() -> OldStore {
    let store = OldStore::new();
    for number in 0..4 {
        store.object(Algorithm::ALL[usize::from(number)], &content(number), Shape::TwoLevels);
    }
    store.cas("migrate --source old --target new").expect(0);
    store
}

fn old_key(number: u16) -> Key {
    key_of(Algorithm::ALL[usize::from(number % 4)], &content(number))
}

#[test]
fn an_object_is_read_by_its_old_key_and_by_the_first_digits_of_any() {
    let store = migrated();
    for number in 0..4 {
        let (old, new) = (old_key(number).to_string(), key_of(Algorithm::Cas, &content(number)).to_string());
        let algorithm = Algorithm::ALL[usize::from(number)].name();
        let asked = [
            new.to_string(),
            new[..8].to_string(),
            format!("cas:{}", &new[..8]),
            format!("{old} {MAP}"),
            format!("{algorithm}:{old} {MAP}"),
            format!("{algorithm}:{} {MAP}", &old[..8]),
            format!("{new} {MAP}"),
        ];
        for words in asked {
            let got = store.cas(&format!("get new {words}")).expect(0);
            assert_eq!(got.stdout.as_bytes(), content(number), "{words}");
            let info = store.cas(&format!("info new {words} --json")).expect(0);
            assert_eq!(info.json()["digest"], *new, "{words}");
        }
        let found = store.cas(&format!("map find {} {MAP} --json", &old[..8])).expect(0);
        assert_eq!(found.json()["as_old"][0]["new_key"], *new);
        let found = store.cas(&format!("map find {} --new --target new --json", &new[..8])).expect(0);
        assert_eq!(found.json()["as_new"][0]["old_key"], *old);
    }
}

#[test]
fn what_is_meant_is_said_where_it_is_not_clear() {
    let store = migrated();
    let old = old_key(3);
    let unmapped = store.cas(&format!("get new sha256:{old}")).expect(2);
    assert!(unmapped.next().contains("--map"), "{}", unmapped.stderr);
    let hinted = store.cas(&format!("get new {old}")).expect(1);
    assert!(hinted.stderr.contains("it is an old key: add --map new.migration/key-map.tsv"), "{}", hinted.stderr);
    let other = store.cas(&format!("get new blake3:{old} {MAP}")).expect(2);
    assert!(other.stderr.contains("has no old key blake3:"), "{}", other.stderr);
    for verb in ["get new", "info new", "map find --target new"] {
        for wrong in ["abc", "ABCDEF", "sha1:abcdef"] {
            store.cas(&format!("{verb} {wrong}")).expect(2);
        }
    }
    store.cas("get new 0000000000").expect(2);
    store.cas("map find 0000000000 --target new").expect(1);
}

/// A prefix of four digits that several of a thousand keys share.
#[test]
fn an_ambiguous_beginning_names_candidates() {
    let store = OldStore::new();
    (0..1_000).for_each(|number| _ = store.object(Algorithm::Sha256, &content(number), Shape::TwoLevels));
    store.cas("migrate --source old --target new").expect(0);
    let shared = |algorithm: Algorithm| {
        let mut keys: Vec<_> = (0..1_000).map(|number| key_of(algorithm, &content(number)).to_string()).collect();
        keys.sort();
        let pair =
            keys.windows(2).find(|pair| pair[0][..4] == pair[1][..4]).expect("two of a thousand share four digits");
        (pair[0].clone(), pair[1].clone())
    };
    let ((old, other_old), (new, other_new)) = (shared(Algorithm::Sha256), shared(Algorithm::Cas));
    for (words, first, second) in [
        (format!("get new {}", &new[..4]), &new, &other_new),
        (format!("info new {}", &new[..4]), &new, &other_new),
        (format!("get new {} {MAP}", &old[..4]), &old, &other_old),
        (format!("map find {} {MAP} --old", &old[..4]), &old, &other_old),
        (format!("map find {} --target new --new", &new[..4]), &new, &other_new),
    ] {
        let done = store.cas(&words).expect(2);
        assert!(done.stderr.contains(&**first) && done.stderr.contains(&**second), "{words}: {}", done.stderr);
        assert_eq!(done.next(), "give more digits");
    }
    let enough = new.bytes().zip(other_new.bytes()).take_while(|(a, b)| a == b).count() + 1;
    store.cas(&format!("info new {}", &new[..enough])).expect(0);
}

/// The key of `cas:` and a content without the prefix is the key of that content with it.
#[test]
fn one_old_key_of_two_generations_needs_its_algorithm() {
    let store = OldStore::new();
    store.object(Algorithm::Blake3, b"cas:hello", Shape::Flat);
    store.object(Algorithm::Cas, b"hello", Shape::TwoLevels);
    store.cas("migrate --source old --target new").expect(0);
    let key = key_of(Algorithm::Cas, b"hello");
    let done = store.cas(&format!("get new {key} {MAP}")).expect(2);
    assert!(done.stderr.contains(&format!("blake3:{key}, cas:{key}")), "{}", done.stderr);
    let got = |algorithm: &str| cas_in(store.place(), &format!("get new {algorithm}:{key} {MAP}")).expect(0).stdout;
    assert_eq!((got("blake3"), got("cas")), ("cas:hello".into(), "hello".into()));
}

#[test]
fn source_and_target_may_be_given_by_position() {
    let store = OldStore::with_objects(3);
    store.cas("plan old new").expect(0);
    store.cas("estimate old new").expect(0);
    store.cas("migrate old new --dry-run").expect(0);
    store.cas("migrate old new").expect(0);
    store.cas("migrate --source old --target new").expect(0);
    store.cas(&format!("validate old new {MAP}")).expect(0);
    store.cas("doctor old").expect(0);
    for mixed in ["old --target new", "--source old new", "old", "--source old", "old new more", "old new --source old"]
    {
        for verb in ["plan", "migrate", "estimate"] {
            store.cas(&format!("{verb} {mixed}")).expect(2);
        }
    }
}
