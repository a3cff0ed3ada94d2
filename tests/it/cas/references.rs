//! References in other files: found, rewritten by a map, restored, and never partly written.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::support::files::tree;
use crate::support::read_only::ReadOnly;
use haul::cas::format::digest::key_of;
use haul::cas::map::{KeyMap, MAP_NAME, MapRow, MapWriter, reverse_path};
use haul::cas::references::{
    BACKUP_SUFFIX, BACKUP_SUFFIX_REVERSE, Direction, DiskReplacer, DryRun, FileSource, FindingsKept, Original, Packed,
    RealFileSource, Reference, Replacer, Resolver, Rewrite, RewriteEnd, Rewriter, Scanner, Scheme,
};
use haul::cas::{Algorithm, Key};
use haul::durable::{
    CrashFault, Disk, DiskEntry, DiskError, DiskFile, EntryKind, InjectedFault, RealDisk, SimulatedDisk, SourceChange,
    WindowError, is_leftover,
};
use haul::migration::{DIRECTORY_LOCK, Error, Severity};
use haul::pipeline::{Control, Silent, StopToken};
use proptest::prelude::*;

/// The row of a content by the algorithm of its old key.
fn row(content: &str, algorithm: Algorithm) -> MapRow {
    let key = |algorithm| key_of(algorithm, content.as_bytes());
    MapRow {
        old_key: key(algorithm),
        old_algorithm: algorithm,
        new_key: key(Algorithm::Cas),
        size: content.len() as u64,
    }
}

/// The map of contents `0`, `1`, … that are all of one generation.
fn generation(algorithm: Algorithm, rows: u64) -> Vec<MapRow> {
    (0..rows).map(|number| row(&number.to_string(), algorithm)).collect()
}

/// A map on a disk of its own.
fn map_of(rows: &[MapRow]) -> KeyMap {
    let disk = SimulatedDisk::with_directories(&[Path::new("/map")]);
    let path = Path::new("/map").join(MAP_NAME);
    let mut writer = MapWriter::new(Arc::new(disk.clone()), Path::new("/map/scratch"), 1 << 20).expect("a writer");
    rows.iter().for_each(|row| writer.push(*row).expect("room"));
    writer.finish(&path, &StopToken::new()).expect("a map").expect("no stop");
    KeyMap::open_on(&disk, &path).expect("a map")
}

fn resolver(map: &KeyMap, direction: Direction) -> Resolver<'_> {
    Resolver::new(map, direction, None).expect("a map with a reverse file")
}

/// The text with its references rewritten.
fn rewritten(text: &[u8], resolver: &mut Resolver<'_>, pieces_of: usize) -> Vec<u8> {
    let mut rewriter = Rewriter::new(resolver);
    let mut out = Vec::new();
    text.chunks(pieces_of.max(1)).for_each(|piece| rewriter.push(piece, &mut out).expect("a sound map"));
    rewriter.finish(&mut out).expect("a sound map");
    out
}

fn references(text: &[u8]) -> Vec<Reference> {
    let (mut scanner, mut found) = (Scanner::new(), Vec::new());
    let Ok(()) = scanner.push(text, |reference| {
        found.push(reference);
        Ok::<_, std::convert::Infallible>(())
    });
    found.extend(scanner.finish());
    found
}

/// Rewrites files on the real disk.
fn run(
    named: &[&Path],
    resolver: &mut Resolver<'_>,
    replacer: &dyn Replacer,
    suffix: &str,
) -> Result<RewriteEnd, Error> {
    run_in(&RealFileSource, named, resolver, replacer, suffix, &StopToken::new())
}

fn run_in(
    files: &dyn FileSource,
    named: &[&Path],
    resolver: &mut Resolver<'_>,
    replacer: &dyn Replacer,
    backup_suffix: &str,
    stop: &StopToken,
) -> Result<RewriteEnd, Error> {
    let named: Vec<PathBuf> = named.iter().map(|path| path.to_path_buf()).collect();
    let rewrite = Rewrite { files, replacer, backup_suffix, excluded: &[], packed: Packed::default() };
    rewrite.begin(&named)?.run(resolver, FindingsKept::in_memory(), &Control { stop, observer: &Silent })
}

fn forward(named: &[&Path], map: &KeyMap) -> RewriteEnd {
    run(named, &mut resolver(map, Direction::Forward), &DiskReplacer(&RealDisk), BACKUP_SUFFIX).expect("it succeeds")
}

/// The texts of the findings, with paths relative to `root`.
fn said(end: &RewriteEnd, root: &Path) -> Vec<(Severity, String, String)> {
    let relative = |file: &str| file.strip_prefix(&format!("{}/", root.display())).unwrap_or(file).to_owned();
    end.findings.iter().map(|finding| (finding.severity, relative(&finding.file), finding.reason.clone())).collect()
}

#[test]
fn each_reference_becomes_what_the_rules_say() {
    let (a, b) = (row("a", Algorithm::Sha256), row("b", Algorithm::Blake3));
    // One name for two contents: `cas:hello` by one algorithm, `hello` by another.
    let (x, y) = (row("cas:hello", Algorithm::Blake3), row("hello", Algorithm::Cas));
    assert_eq!(x.old_key, y.old_key);
    let z = row("z", Algorithm::Cas);
    // Two generations of one content.
    let (old_c, new_c) = (row("c", Algorithm::Blake2s), row("c", Algorithm::Sha256));
    let map = map_of(&[a, b, x, y, z, old_c, new_c]);
    let absent = key_of(Algorithm::Sha256, b"absent");

    let check = |direction, algorithm, text: String, expected: String| {
        let mut resolver = Resolver::new(&map, direction, algorithm).expect("a resolver");
        let found = rewritten(text.as_bytes(), &mut resolver, usize::MAX);
        assert_eq!(String::from_utf8(found).expect("text"), expected, "{direction} {algorithm:?} of {text}");
    };
    let forward = |text: String, expected: String| check(Direction::Forward, None, text, expected);
    let reverse = |text: String, expected: String| check(Direction::Reverse, None, text, expected);
    let same_both_ways = |text: String| {
        forward(text.clone(), text.clone());
        reverse(text.clone(), text);
    };
    let (old, new) = (a.old_key, a.new_key);
    forward(format!("{old}"), format!("{new}"));
    forward(format!("cas:{old}"), format!("cas:{new}"));
    forward(format!("sha256:{old}"), format!("blake3:{new}"));
    forward(format!("blake3:{}", b.old_key), format!("blake3:{}", b.new_key));
    forward(format!("blake2s:{}", old_c.old_key), format!("blake3:{}", old_c.new_key));
    reverse(format!("{new}"), format!("{old}"));
    reverse(format!("cas:{new}"), format!("cas:{old}"));
    reverse(format!("blake3:{new}"), format!("sha256:{old}"));
    reverse(format!("blake3:{}", b.new_key), format!("blake3:{}", b.old_key));

    // Keys of another algorithm, keys without a row, and new keys in an old form.
    for text in [format!("blake2s:{old}"), format!("blake3:{old}"), format!("{absent}"), format!("sha256:{new}")] {
        same_both_ways(text);
    }
    // References that are new keys already.
    forward(format!("{new} cas:{new} blake3:{new}"), format!("{new} cas:{new} blake3:{new}"));
    reverse(format!("{old} cas:{old} sha256:{old}"), format!("{old} cas:{old} sha256:{old}"));
    same_both_ways(format!("{0} cas:{0} blake3:{0}", z.old_key));

    // Ambiguous, unless the reference or the option says which.
    forward(format!("{0} cas:{0}", x.old_key), format!("{0} cas:{0}", x.old_key));
    forward(format!("blake3:{}", x.old_key), format!("blake3:{}", x.new_key));
    check(Direction::Forward, Some(Algorithm::Blake3), format!("{}", x.old_key), format!("{}", x.new_key));
    check(Direction::Forward, Some(Algorithm::Cas), format!("{}", x.old_key), format!("{}", x.old_key));
    check(Direction::Forward, Some(Algorithm::Sha256), format!("{}", x.old_key), format!("{}", x.old_key));
    reverse(format!("blake3:{}", new_c.new_key), format!("blake3:{}", new_c.new_key));
    let of = |algorithm, key| check(Direction::Reverse, Some(algorithm), format!("blake3:{}", new_c.new_key), key);
    of(Algorithm::Sha256, format!("sha256:{}", new_c.old_key));
    of(Algorithm::Blake2s, format!("blake2s:{}", old_c.old_key));
    // The option has no effect on references that are not ambiguous.
    check(Direction::Forward, Some(Algorithm::Cas), format!("{old}"), format!("{new}"));
    check(Direction::Reverse, Some(Algorithm::Cas), format!("{new}"), format!("{old}"));
}

/// A tree of JSON files that refer to contents `0` to `count - 1` in every way, and to nothing else.
fn grow_tree(root: &Path, algorithm: Algorithm, count: u64) {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for number in 0..count {
        let key = key_of(algorithm, number.to_string().as_bytes());
        let reference = match number % 3 {
            0 => format!("{key}"),
            1 => format!("{algorithm}:{key}"),
            _ => format!("cas:{key}"),
        };
        let text = texts.entry(format!("{}/{}/refs.json", number % 7, number % 11)).or_default();
        text.push_str(&format!("{{\"id\": {number}, \"output_digests\": {{\"out\": \"{reference}\"}}}}\n"));
    }
    for (name, text) in texts {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("written");
    }
}

/// Every file that is not a backup.
fn live_files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(root);
    files.retain(|path, _| !path.to_string_lossy().contains(BACKUP_SUFFIX));
    files
}

#[test]
fn ten_thousand_references_are_rewritten_and_restored() {
    let (directory, rows) = (tempfile::tempdir().expect("a directory"), generation(Algorithm::Sha256, 10_000));
    let root = directory.path();
    grow_tree(root, Algorithm::Sha256, 10_000);
    let originals = tree(root);
    let map = map_of(&rows);

    let mut dry = resolver(&map, Direction::Forward);
    let planned = run(&[root], &mut dry, &DryRun, BACKUP_SUFFIX).expect("it succeeds");
    assert_eq!(tree(root), originals, "a dry run changes nothing");

    let end = forward(&[root], &map);
    assert_eq!(end, planned, "and says what the run does");
    assert_eq!((end.files.seen, end.files.changed, end.references.found), (77, 77, 10_000));
    assert_eq!((end.references.replaced, end.exit_code(true)), (10_000, 0));
    assert!(end.findings.is_empty());

    let new_keys: BTreeSet<Key> = rows.iter().map(|row| row.new_key).collect();
    let mut found = BTreeSet::new();
    for (path, bytes) in live_files(root) {
        for reference in references(&bytes) {
            assert!(new_keys.contains(&reference.key), "{} in {}", reference.key, path.display());
            assert_ne!(reference.scheme, Some(Scheme::Digest(Algorithm::Sha256)));
            found.insert(reference.key);
        }
        let name = path.to_string_lossy().into_owned() + BACKUP_SUFFIX;
        assert_eq!(fs::read(root.join(name)).expect("a backup"), originals[&path]);
    }
    assert_eq!(found, new_keys);

    let again = forward(&[root], &map);
    assert_eq!((again.files.changed, again.references.current), (0, 10_000));

    let mut back = resolver(&map, Direction::Reverse);
    let end = run(&[root], &mut back, &DiskReplacer(&RealDisk), BACKUP_SUFFIX_REVERSE).expect("it succeeds");
    assert_eq!((end.files.changed, end.references.replaced), (77, 10_000));
    assert_eq!(live_files(root), originals);
}

/// Text with many references to contents `0` to `9` by `algorithm`, to others, and with texts that are almost
/// references.
fn text_with(algorithm: Algorithm) -> impl Strategy<Value = Vec<u8>> {
    let key = (0..14_u64).prop_map(move |number| key_of(algorithm, number.to_string().as_bytes()).to_string());
    let part = prop_oneof![
        4 => key,
        2 => "(sha256:|blake2s:|blake3:|cas:)",
        2 => "[ -~\n]{0,3}",
        1 => "[0-9a-f]{63,65}",
        1 => any::<[u8; 2]>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_map_of_one_generation_takes_any_text_there_and_back(
        (algorithm, text) in (0..4_u8).prop_flat_map(|number| {
            let algorithm = Algorithm::from_number(number).expect("one of four");
            (Just(algorithm), text_with(algorithm))
        }),
        pieces_of in 1..200_usize,
    ) {
        let map = map_of(&generation(algorithm, 10));
        let mut forward = resolver(&map, Direction::Forward);
        let there = rewritten(&text, &mut forward, usize::MAX);
        prop_assert_eq!(&rewritten(&text, &mut forward, pieces_of), &there);
        if algorithm == Algorithm::Cas {
            prop_assert_eq!(&there, &text);
        }
        let back = rewritten(&there, &mut resolver(&map, Direction::Reverse), pieces_of);
        prop_assert_eq!(back, text);
    }
}

#[test]
fn a_path_of_an_object_moves_with_its_directories_and_back() {
    let map = map_of(&generation(Algorithm::Sha256, 3));
    let row = &generation(Algorithm::Sha256, 3)[1];
    let (old, new) = (row.old_key.to_string(), row.new_key.to_string());
    let of_two = |key: &str, separator: &str| [&key[..2], &key[2..4], key].join(separator);
    let (mut to_new, mut to_old) = (resolver(&map, Direction::Forward), resolver(&map, Direction::Reverse));
    for separator in ["/", "\\/"] {
        let text = |key: &str| format!("{{\"p\":\"objects{separator}{}.meta\"}}", of_two(key, separator));
        for pieces_of in [1, 7, usize::MAX] {
            let there = rewritten(text(&old).as_bytes(), &mut to_new, pieces_of);
            assert_eq!(String::from_utf8(there.clone()).expect("text"), text(&new));
            assert_eq!(String::from_utf8(rewritten(&there, &mut to_old, pieces_of)).expect("text"), text(&old));
        }
    }
    let expected = format!("objects/{}", of_two(&new, "/"));
    for path in [format!("{}/{old}", &old[..2]), format!("{}/{}", &old[..2], &old[2..])] {
        let there = rewritten(format!("objects/{path}").as_bytes(), &mut to_new, usize::MAX);
        assert_eq!(String::from_utf8(there).expect("text"), expected, "the layout of the new store");
    }
    let elsewhere = format!("objects/zz/{}/{old}", &new[2..4]);
    let there = rewritten(elsewhere.as_bytes(), &mut to_new, usize::MAX);
    assert_eq!(String::from_utf8(there).expect("text"), elsewhere.replace(&old, &new), "not directories of this key");
}

#[test]
fn other_spellings_of_a_reference_are_rewritten() {
    let map = map_of(&generation(Algorithm::Sha256, 3));
    let row = &generation(Algorithm::Sha256, 3)[0];
    let (old, new) = (row.old_key.to_string(), row.new_key.to_string());
    let upper_path = |key: &str| [&key[..2], &key[2..4], key].join("/").to_uppercase();
    let escaped = |key: &str| format!("\\u00{:02x}{}", key.as_bytes()[0], &key[1..]);
    let mut half_upper = old.clone();
    half_upper[..32].make_ascii_uppercase();
    let mut to_new = resolver(&map, Direction::Forward);
    for (text, expected) in [
        (old.to_uppercase(), new.to_uppercase()),
        (format!("sha256:{}", old.to_uppercase()), format!("blake3:{}", new.to_uppercase())),
        (upper_path(&old), upper_path(&new)),
        (half_upper, new.clone()),
        (format!("\"{}\"", escaped(&old)), format!("\"{new}\"")),
        (format!("\"sha256:{}\"", escaped(&old)), format!("\"blake3:{new}\"")),
        (format!("\\{}", escaped(&old)), format!("\\{}", escaped(&old))),
    ] {
        for pieces_of in [1, 5, usize::MAX] {
            let there = rewritten(text.as_bytes(), &mut to_new, pieces_of);
            assert_eq!(String::from_utf8(there).expect("text"), expected, "{text}");
        }
    }
}

#[test]
fn a_file_with_several_names_is_refused_and_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, second) = (directory.path().join("refs.json"), directory.path().join("second.json"));
    let key = generation(Algorithm::Sha256, 1)[0].old_key.to_string();
    fs::write(&path, &key).expect("written");
    fs::hard_link(&path, &second).expect("linked");
    let map = map_of(&generation(Algorithm::Sha256, 1));
    for replacer in [&DryRun as &dyn Replacer, &DiskReplacer(&RealDisk)] {
        let mut to_new = resolver(&map, Direction::Forward);
        let end = run(&[directory.path()], &mut to_new, replacer, BACKUP_SUFFIX).expect("done");
        assert_eq!((end.files.refused, end.references.refused, end.exit_code(false)), (2, 2, 3));
        assert!(end.findings[0].reason.starts_with("the file has 2 names"), "{:?}", end.findings);
    }
    assert_eq!(fs::read_to_string(&second).expect("a file"), key);
    fs::remove_file(&second).expect("removed");
    assert_eq!(forward(&[&path], &map).files.changed, 1);
}

#[test]
fn files_longer_than_a_window_are_rewritten_whole() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("long.txt");
    let map = map_of(&generation(Algorithm::Sha256, 3));
    let reference = |number: u64| format!("sha256:{}", key_of(Algorithm::Sha256, number.to_string().as_bytes()));
    for shift in [0, 1, 20, 60, 70, 71, 72] {
        // The first ends `shift` behind the first window, the second ends the file.
        let mut text = vec![b'.'; (1 << 20) + shift - reference(0).len()];
        text.extend_from_slice(reference(0).as_bytes());
        text.resize(text.len() + (1 << 20), b' ');
        text.extend_from_slice(reference(1).as_bytes());
        fs::write(&path, &text).expect("written");
        let end = forward(&[&path], &map);
        assert_eq!(end.references.replaced, 2);
        let expected = rewritten(&text, &mut resolver(&map, Direction::Forward), usize::MAX);
        assert!(fs::read(&path).expect("a file") == expected, "{shift}");
        fs::remove_file(path.with_extension("txt.haul-backup")).expect("a backup");
    }
}

#[test]
fn binary_files_backups_and_temporary_files_are_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    let (map, rows) = (map_of(&generation(Algorithm::Sha256, 1)), generation(Algorithm::Sha256, 1));
    let key = rows[0].old_key.to_string();
    let put = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(root.join(name).parent().expect("a directory")).expect("made");
        fs::write(root.join(name), bytes).expect("written");
    };
    put("a.json", key.as_bytes());
    put("a.json.haul-backup-old", key.as_bytes());
    put("b.kept", key.as_bytes());
    put(".c.json.tmp", key.as_bytes());
    put("binary", format!("\0{key}").as_bytes());
    put("late", &[vec![b'.'; 8 << 10], vec![0], format!(" {key}").into_bytes()].concat());
    put("map.tsv", b"old_key\told_algorithm\tnew_key\tsize\n");
    put("store.migration/key-map.tsv", b"");
    put("store.migration/journal.jsonl", key.as_bytes());
    symlink("a.json", root.join("link")).expect("a link");
    symlink(".", root.join("loop")).expect("a link");
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("made");

    let end = run(&[root], &mut resolver(&map, Direction::Forward), &DiskReplacer(&RealDisk), ".kept").expect("done");
    assert_eq!((end.files.seen, end.files.changed, end.files.skipped, end.exit_code(true)), (11, 2, 9, 0));
    let not_regular = "not a regular file: a link, a pipe or a device";
    let expected = [
        ("binary", "binary: it has a NUL byte near its start"),
        ("link", not_regular),
        ("loop", not_regular),
        ("map.tsv", "a key map"),
        ("pipe", not_regular),
        ("store.migration", "the state of a migration"),
    ];
    let expected = expected.map(|(name, reason)| (Severity::Note, name.to_owned(), reason.to_owned()));
    assert_eq!(said(&end, root), expected);
    assert_eq!(fs::read(root.join("store.migration/journal.jsonl")).expect("a file"), key.as_bytes());

    // A named path is accepted only if it is a file.
    let end = forward(&[&root.join(".c.json.tmp"), &root.join("link"), &root.join("pipe")], &map);
    assert_eq!((end.files.changed, end.files.refused, end.exit_code(false)), (1, 2, 3));
    assert!(root.join("link").is_symlink());
}

#[test]
fn unknown_and_ambiguous_references_are_reported_with_their_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("refs.json");
    let (x, y) = (row("cas:hello", Algorithm::Blake3), row("hello", Algorithm::Cas));
    let absent = key_of(Algorithm::Sha256, b"absent");
    let text = format!("[\"sha256:{absent}\", \"{}\", \"{}\"]", x.old_key, x.new_key);
    fs::write(&path, &text).expect("written");
    let end = forward(&[&path], &map_of(&[x, y]));
    assert_eq!((end.files.unchanged, end.references.found), (1, 3));
    assert_eq!((end.references.unknown, end.references.ambiguous, end.references.current), (1, 1, 1));
    let found: Vec<_> = end.findings.iter().map(|f| (f.severity, f.offset, f.length, f.id.clone())).collect();
    let ambiguous_at = 2 + 71 + 4;
    assert_eq!(
        found,
        [
            (Severity::Note, 2, 71, Some(absent.to_string())),
            (Severity::Refused, ambiguous_at, 64, Some(x.old_key.to_string())),
        ]
    );
    assert_eq!((end.exit_code(false), end.exit_code(true)), (3, 3));
    fs::write(&path, format!("{absent}")).expect("written");
    let end = forward(&[&path], &map_of(&[x, y]));
    assert_eq!((end.exit_code(false), end.exit_code(true)), (0, 3));
}

#[test]
fn findings_are_bounded_in_memory_and_whole_in_the_report() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, report) = (directory.path().join("refs.txt"), directory.path().join("report.jsonl"));
    let text: String =
        (0..1500).map(|n| format!("{}\n", key_of(Algorithm::Sha256, format!("x{n}").as_bytes()))).collect();
    fs::write(&path, text).expect("written");
    let map = map_of(&generation(Algorithm::Sha256, 1));
    let findings = FindingsKept::logged(&RealDisk, &report).expect("a report");
    let excluded = [report.canonicalize().expect("it is there")];
    let rewrite = Rewrite {
        files: &RealFileSource,
        replacer: &DryRun,
        backup_suffix: BACKUP_SUFFIX,
        excluded: &excluded,
        packed: Packed::default(),
    };
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let named = [directory.path().to_path_buf()];
    let begun = rewrite.begin(&named).expect("no other run");
    let end = begun.run(&mut resolver(&map, Direction::Forward), findings, &control).expect("done");
    assert_eq!((end.references.unknown, end.findings.len(), end.findings_left_out), (1500, 1000, 500));
    let lines = fs::read_to_string(&report).expect("a report");
    assert_eq!((lines.lines().count(), end.files.skipped), (1500, 1), "the report itself is left alone");
    let error = FindingsKept::logged(&RealDisk, &report).expect_err("it is there");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_directory_inside_or_around_a_store_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    let key = generation(Algorithm::Sha256, 1)[0].old_key.to_string();
    fs::create_dir_all(root.join("data/store/objects/ab")).expect("made");
    fs::write(root.join("data/store/index.ndjson"), &key).expect("written");
    fs::write(root.join("data/refs.json"), &key).expect("written");
    symlink("data/store/objects", root.join("link")).expect("a link");
    let before = tree(root);
    let map = map_of(&generation(Algorithm::Sha256, 1));
    let try_at = |name: &str| run(&[&root.join(name)], &mut resolver(&map, Direction::Forward), &DryRun, BACKUP_SUFFIX);
    for (name, how) in
        [("data/store", "is"), ("data", "contains"), ("", "contains"), ("data/store/objects/ab", "is inside")]
    {
        let error = try_at(name).expect_err("a store");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(&format!(" {how} a content-addressed store")), "{error}");
    }
    // One bad name, even the last, is enough to refuse all of them before anything is changed.
    let named = [&root.join("data/refs.json") as &Path, &root.join("data/store")];
    let mut to_new = resolver(&map, Direction::Forward);
    run(&named, &mut to_new, &DiskReplacer(&RealDisk), BACKUP_SUFFIX).expect_err("a store");
    let missing = [&root.join("data/refs.json") as &Path, &root.join("absent")];
    let error = run(&missing, &mut to_new, &DiskReplacer(&RealDisk), BACKUP_SUFFIX).expect_err("nothing is there");
    assert_eq!(error.exit_code(), 2);
    assert_eq!(tree(root), before);
    // A directory next to the store is not part of it, and a named file is accepted.
    fs::create_dir(root.join("data/objects")).expect("made");
    assert_eq!(try_at("data/objects").expect("no store").files.seen, 0);
    let end = forward(&[&root.join("data/store/index.ndjson")], &map);
    assert_eq!(end.files.changed, 1);
}

#[test]
fn a_backup_that_holds_something_else_refuses_its_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    grow_tree(root, Algorithm::Sha256, 3);
    let map = map_of(&generation(Algorithm::Sha256, 3));
    let originals = tree(root);
    let file = root.join("1/1/refs.json");
    let backup = root.join("1/1/refs.json.haul-backup");
    let mut other = fs::read(&file).expect("a file");
    *other.last_mut().expect("a byte") ^= 1;
    for bytes in [b"shorter".to_vec(), other] {
        fs::write(&backup, &bytes).expect("written");
        for replacer in [&DryRun as &dyn Replacer, &DiskReplacer(&RealDisk)] {
            let end = run(&[&file], &mut resolver(&map, Direction::Forward), replacer, BACKUP_SUFFIX).expect("done");
            assert_eq!((end.files.refused, end.references.refused, end.exit_code(false)), (1, 1, 3));
            let reason = &end.findings[0].reason;
            assert!(reason.ends_with("has other content; move it away, or choose another --backup-suffix"), "{reason}");
        }
        assert_eq!(fs::read(&file).expect("a file"), originals[Path::new("1/1/refs.json")]);
        assert_eq!(fs::read(&backup).expect("a backup"), bytes);
    }
    fs::remove_file(&backup).expect("removed");
    fs::create_dir(&backup).expect("made");
    let end = forward(&[root], &map);
    assert_eq!((end.files.refused, end.files.changed, end.references.replaced), (1, 2, 2), "the others go on");
    fs::remove_dir(&backup).expect("removed");
    fs::copy(&file, &backup).expect("copied");
    let end = forward(&[root], &map);
    assert_eq!((end.files.changed, end.files.unchanged, end.references.current), (1, 2, 2), "one that fits is used");
    assert_eq!(fs::read(&backup).expect("a backup"), originals[Path::new("1/1/refs.json")]);
}

#[test]
fn permission_bits_are_kept_by_the_file_and_its_backup() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("refs.json");
    fs::write(&path, generation(Algorithm::Sha256, 1)[0].old_key.to_string()).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
    forward(&[&path], &map_of(&generation(Algorithm::Sha256, 1)));
    for path in [&path, &directory.path().join("refs.json.haul-backup")] {
        assert_eq!(fs::metadata(path).expect("a file").permissions().mode() & 0o7777, 0o640);
    }
}

#[test]
fn a_stop_ends_the_rewrite_between_files() {
    let directory = tempfile::tempdir().expect("a directory");
    grow_tree(directory.path(), Algorithm::Sha256, 3);
    let before = tree(directory.path());
    let (map, stop) = (map_of(&generation(Algorithm::Sha256, 3)), StopToken::new());
    stop.request();
    let mut to_new = resolver(&map, Direction::Forward);
    let end = run_in(&RealFileSource, &[directory.path()], &mut to_new, &DiskReplacer(&RealDisk), BACKUP_SUFFIX, &stop);
    let end = end.expect("no error");
    assert_eq!((end.stopped, end.exit_code(false), end.files.seen), (true, 75, 0));
    assert_eq!(tree(directory.path()), before);
}

#[test]
fn a_map_without_a_reverse_file_gets_one_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, scratch) = (directory.path().join(MAP_NAME), directory.path().join("scratch"));
    let mut writer = MapWriter::new(Arc::new(RealDisk), &scratch, 1 << 20).expect("a writer");
    generation(Algorithm::Sha256, 100).iter().for_each(|row| writer.push(*row).expect("room"));
    writer.finish(&path, &StopToken::new()).expect("a map").expect("no stop");
    let reverse = fs::read(reverse_path(&path)).expect("a reverse file");
    fs::remove_file(reverse_path(&path)).expect("removed");
    let map = KeyMap::open(&path).expect("a map");
    let error = Resolver::new(&map, Direction::Forward, None).map(drop).expect_err("no reverse file");
    assert!(error.next_step().expect("a step").contains("haul cas map index"), "{error}");
    let stop = StopToken::new();
    for memory_bytes in [0, 1 << 20] {
        let rows = map.write_reverse(Arc::new(RealDisk), &scratch, memory_bytes, &stop).expect("written");
        assert_eq!(rows, Some(100));
        assert_eq!(fs::read(reverse_path(&path)).expect("a reverse file"), reverse);
        assert!(!scratch.exists());
    }
    stop.request();
    assert_eq!(map.write_reverse(Arc::new(RealDisk), &scratch, 0, &stop).expect("no error"), None);
    assert_eq!(fs::read_dir(directory.path()).expect("a list").count(), 2, "map and reverse file");
}

/// The files of a simulated disk.
struct SimulatedFiles {
    disk: SimulatedDisk,
    /// The number of checks after which a file is reported as changed.
    asks: Option<u32>,
    /// Paths that may not be read.
    locked: Vec<PathBuf>,
    fault: Option<ReadFault>,
}

/// Calls of one kind fail, so many from the n-th on.
#[derive(Debug, Clone)]
struct ReadFault {
    call: &'static str,
    after: u32,
    failing: u32,
    code: i32,
    seen: Rc<Cell<u32>>,
}

impl ReadFault {
    fn check(&self, call: &'static str, path: &Path) -> Result<(), DiskError> {
        if call != self.call {
            return Ok(());
        }
        let before = self.seen.replace(self.seen.get() + 1);
        let fails = before >= self.after && before - self.after < self.failing;
        let error = || DiskError::new(call, path, std::io::Error::from_raw_os_error(self.code));
        if fails { Err(error()) } else { Ok(()) }
    }

    fn was_met(&self) -> bool {
        self.seen.get() > self.after
    }
}

struct SimulatedOriginal {
    fault: Option<ReadFault>,
    file: Arc<dyn DiskFile>,
    len_bytes: u64,
    path: PathBuf,
    asks_left: Cell<Option<u32>>,
}

impl SimulatedFiles {
    fn of(disk: &SimulatedDisk) -> Self {
        Self { disk: disk.clone(), asks: None, locked: Vec::new(), fault: None }
    }

    fn check_fault(&self, call: &'static str, path: &Path) -> Result<(), DiskError> {
        self.fault.as_ref().map_or(Ok(()), |fault| fault.check(call, path))
    }

    fn check_access(&self, path: &Path) -> Result<(), DiskError> {
        let denied = || DiskError::new("read", path, std::io::ErrorKind::PermissionDenied.into());
        if self.locked.iter().any(|locked| locked == path) { Err(denied()) } else { Ok(()) }
    }
}

impl FileSource for SimulatedFiles {
    fn list(&self, directory: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        self.check_access(directory)?;
        self.check_fault("list", directory)?;
        self.disk.list(directory)
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        self.check_fault("look up", path)?;
        self.disk.kind(path)
    }

    fn canonical(&self, path: &Path) -> PathBuf {
        path.to_path_buf()
    }

    fn open(&self, path: &Path) -> Result<Box<dyn Original>, DiskError> {
        self.check_access(path)?;
        self.check_fault("open", path)?;
        let file = self.disk.open_for_read(path)?;
        let (len_bytes, path) = (file.len()?, path.to_path_buf());
        let fault = self.fault.clone();
        Ok(Box::new(SimulatedOriginal { fault, file, len_bytes, path, asks_left: Cell::new(self.asks) }))
    }
}

impl Original for SimulatedOriginal {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn names(&self) -> u64 {
        1
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), WindowError> {
        self.fault.as_ref().map_or(Ok(()), |fault| fault.check("read", &self.path))?;
        Ok(self.file.read_exact_at(offset, buffer)?)
    }

    fn check_unchanged(&self) -> Result<(), WindowError> {
        let Some(asks_left) = self.asks_left.get() else { return Ok(()) };
        let change = || SourceChange { path: self.path.clone(), what: "length 1 became 2".into() };
        self.asks_left.set(Some(asks_left.checked_sub(1).ok_or_else(change)?));
        Ok(())
    }
}

const TREE: &str = "/tree";
const MODE: u32 = 0o640;

/// Two files with references, one without.
fn simulated_tree() -> SimulatedDisk {
    let disk = SimulatedDisk::new();
    let keys: Vec<_> = generation(Algorithm::Sha256, 40).iter().map(|row| row.old_key).collect();
    let text = |keys: &[Key]| keys.iter().map(|key| format!("\"sha256:{key}\",\n")).collect::<String>();
    disk.install_file(Path::new("/tree/a.json"), text(&keys[..30]).as_bytes());
    disk.install_file(Path::new("/tree/below/b.json"), text(&keys[30..]).as_bytes());
    disk.install_file(Path::new("/tree/none.txt"), b"nothing to see");
    for path in ["/tree/a.json", "/tree/below/b.json"] {
        disk.set_mode(Path::new(path), MODE).expect("a file");
    }
    disk.crash_image(disk.operations(), CrashFault::AllKept)
}

/// Whatever cannot be read because the process or the medium fails ends the run, and each file is whole afterwards.
#[test]
fn a_process_or_a_medium_that_fails_ends_the_rewrite() {
    let map = map_of(&generation(Algorithm::Sha256, 40));
    let whole = simulated_tree();
    rewrite_simulated(&whole, &map).expect("no fault");
    let ends: [(&'static str, i32); 8] = [
        ("list", libc::EIO),
        ("list", libc::ESTALE),
        ("look up", libc::ENOMEM),
        ("look up", libc::EIO),
        ("open", libc::EMFILE),
        ("open", libc::ESTALE),
        ("read", libc::ENOMEM),
        ("read", libc::EIO),
    ];
    for (call, code) in ends {
        let disk = simulated_tree();
        let before = disk.crash_image(disk.operations(), CrashFault::AllKept);
        for after in 0.. {
            let image = disk.kill_image(disk.operations());
            let fault = ReadFault { call, after, failing: u32::MAX, code, seen: Rc::default() };
            let files = SimulatedFiles { fault: Some(fault.clone()), ..SimulatedFiles::of(&image) };
            let mut to_new = resolver(&map, Direction::Forward);
            let replacer = DiskReplacer(&image);
            let result = run_in(&files, &[Path::new(TREE)], &mut to_new, &replacer, BACKUP_SUFFIX, &StopToken::new());
            if !fault.was_met() {
                break;
            }
            let place = format!("{call} {after}, error {code}");
            check_whole(&image, &before, &whole, &place);
            match result {
                Err(error) => assert!(error.next_step().is_some(), "{error}: {place}"),
                // Up to two files in a row may be on bad spots of a medium that works.
                Ok(end) => {
                    assert!(code == libc::EIO && call != "list" && end.exit_code(false) == 3, "{place}: {end:?}")
                }
            }
            rewrite_simulated(&image, &map).unwrap_or_else(|error| panic!("{error}: {place}"));
            assert_eq!(lasting(&image), lasting(&whole), "{place}");
        }
    }
}

#[test]
fn a_spot_that_can_be_read_again_is_no_fault() {
    let map = map_of(&generation(Algorithm::Sha256, 40));
    let disk = simulated_tree();
    let fault = ReadFault { call: "read", after: 1, failing: 1, code: libc::EIO, seen: Rc::default() };
    let files = SimulatedFiles { fault: Some(fault.clone()), ..SimulatedFiles::of(&disk) };
    let mut to_new = resolver(&map, Direction::Forward);
    let replacer = DiskReplacer(&disk);
    let end = run_in(&files, &[Path::new(TREE)], &mut to_new, &replacer, BACKUP_SUFFIX, &StopToken::new());
    let end = end.expect("no fault");
    assert!(fault.was_met());
    assert_eq!((end.exit_code(false), end.files.changed), (0, 2), "{end:?}");
}

fn rewrite_simulated(disk: &SimulatedDisk, map: &KeyMap) -> Result<RewriteEnd, Error> {
    let files = SimulatedFiles::of(disk);
    let mut to_new = resolver(map, Direction::Forward);
    run_in(&files, &[Path::new(TREE)], &mut to_new, &DiskReplacer(disk), BACKUP_SUFFIX, &StopToken::new())
}

fn faults() -> impl Iterator<Item = CrashFault> {
    let seeds = (0..8).flat_map(|n| [CrashFault::ScatteredWrites(n), CrashFault::ScatteredNames(n)]);
    CrashFault::ALL.into_iter().chain(seeds)
}

/// Fails unless each file of the tree has its old or its new content, and its mode. A new file must have a backup.
fn check_whole(found: &SimulatedDisk, old: &SimulatedDisk, new: &SimulatedDisk, place: &str) {
    let (found_files, old_files, new_files) = (found.snapshot(), old.snapshot(), new.snapshot());
    for (path, old_bytes) in &old_files {
        let found_bytes = found_files.get(path).unwrap_or_else(|| panic!("{} is gone: {place}", path.display()));
        assert!([old_bytes, &new_files[path]].contains(&found_bytes), "{} is half: {place}", path.display());
        assert_eq!(found.mode(path).expect("a file"), old.mode(path).expect("a file"), "{place}");
        if found_bytes != old_bytes {
            let backup = PathBuf::from(format!("{}{BACKUP_SUFFIX}", path.display()));
            assert_eq!(found_files.get(&backup), Some(old_bytes), "no backup of {}: {place}", path.display());
            assert_eq!(found.mode(&backup).expect("a file"), MODE, "{place}");
        }
    }
}

/// All files but locks and temporary files: their removal need not be durable, because the next run repeats it.
fn lasting(disk: &SimulatedDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_lasting = |path: &Path| {
        let name = path.file_name().expect("a file");
        name != DIRECTORY_LOCK && !is_leftover(name)
    };
    disk.snapshot().into_iter().filter(|(path, _)| is_lasting(path)).collect()
}

#[test]
fn a_crash_leaves_each_file_old_or_new_and_the_next_run_completes() {
    let map = map_of(&generation(Algorithm::Sha256, 40));
    let (old, whole) = (simulated_tree(), simulated_tree());
    let end = rewrite_simulated(&whole, &map).expect("no fault");
    assert_eq!((end.files.changed, end.files.unchanged, end.references.replaced), (2, 1, 40));
    check_whole(&whole.crash_image(whole.operations(), CrashFault::UnsyncedDropped), &old, &whole, "done");
    for fault in faults() {
        for (operations, image) in whole.crash_images(fault).enumerate() {
            let place = format!("{fault:?} after {operations}");
            check_whole(&image, &old, &whole, &place);
            let end = rewrite_simulated(&image, &map).expect("the next run");
            assert_eq!((end.files.refused, end.references.unknown), (0, 0), "{place}");
            assert_eq!(image.snapshot(), whole.snapshot(), "{place}");
            let settled = image.crash_image(image.operations(), CrashFault::UnsyncedDropped);
            assert_eq!(lasting(&settled), whole.snapshot(), "not durable: {place}");
        }
    }
}

#[test]
fn a_killed_run_is_completed_durably() {
    let map = map_of(&generation(Algorithm::Sha256, 40));
    let (old, whole) = (simulated_tree(), simulated_tree());
    rewrite_simulated(&whole, &map).expect("no fault");
    for operations in 0..=whole.operations() {
        let image = whole.kill_image(operations);
        let place = format!("killed after {operations}");
        check_whole(&image, &old, &whole, &place);
        rewrite_simulated(&image, &map).expect("the next run");
        for fault in [CrashFault::UnsyncedDropped].into_iter().chain((0..16).map(CrashFault::ScatteredNames)) {
            for (operations, later) in image.crash_images(fault).enumerate() {
                check_whole(&later, &old, &whole, &format!("{place}, then {fault:?} after {operations}"));
            }
        }
        let settled = image.crash_image(image.operations(), CrashFault::UnsyncedDropped);
        assert_eq!(lasting(&settled), whole.snapshot(), "{place}");
    }
}

#[test]
fn a_failed_run_can_be_repeated() {
    let map = map_of(&generation(Algorithm::Sha256, 40));
    let (old, whole) = (simulated_tree(), simulated_tree());
    rewrite_simulated(&whole, &map).expect("no fault");
    for kind in InjectedFault::ALL {
        for n in 0..whole.operations() {
            let disk = simulated_tree();
            disk.fail_operation(n, kind);
            let _ = rewrite_simulated(&disk, &map);
            let place = format!("{kind:?} at {n}");
            check_whole(&disk, &old, &whole, &place);
            rewrite_simulated(&disk, &map).expect("the second run");
            assert_eq!(disk.snapshot(), whole.snapshot(), "{place}");
        }
    }
}

#[test]
fn a_file_that_changes_meanwhile_is_refused_and_nothing_is_left_of_it() {
    let map = map_of(&generation(Algorithm::Sha256, 40));
    let old = simulated_tree().snapshot();
    // After the survey, after the backup, after the new file was written.
    for asks in 0..3 {
        let disk = simulated_tree();
        let files = SimulatedFiles { asks: Some(asks), ..SimulatedFiles::of(&disk) };
        let mut to_new = resolver(&map, Direction::Forward);
        let stop = StopToken::new();
        let end =
            run_in(&files, &[Path::new(TREE)], &mut to_new, &DiskReplacer(&disk), BACKUP_SUFFIX, &stop).expect("done");
        let unread = u64::from(asks == 0);
        assert_eq!((end.files.refused, end.files.unchanged, end.exit_code(false)), (2 + unread, 1 - unread, 3));
        assert_eq!((end.references.replaced, end.references.refused), (0, 40));
        assert!(end.findings[0].reason.contains("length 1 became 2"), "{:?}", end.findings);
        assert_eq!(disk.snapshot(), old, "after {asks}");
    }
}

#[test]
fn unreadable_files_are_refused_and_the_others_are_rewritten() {
    let (map, disk) = (map_of(&generation(Algorithm::Sha256, 40)), simulated_tree());
    for (locked, changed) in [("/tree/a.json", 1), ("/tree/below", 0)] {
        let files = SimulatedFiles { locked: vec![locked.into()], ..SimulatedFiles::of(&disk) };
        let mut to_new = resolver(&map, Direction::Forward);
        let stop = StopToken::new();
        let end =
            run_in(&files, &[Path::new(TREE)], &mut to_new, &DiskReplacer(&disk), BACKUP_SUFFIX, &stop).expect("done");
        assert_eq!((end.files.changed, end.files.refused, end.exit_code(false)), (changed, 1, 3), "{locked}");
        let refused: Vec<_> = end.findings.iter().map(|finding| (finding.severity, finding.file.as_str())).collect();
        assert_eq!(refused, [(Severity::Refused, locked)]);
        rewrite_simulated(&disk, &map).expect("nothing is locked any more");
    }
}

#[test]
fn a_dry_run_needs_no_disk_that_can_be_written_to() {
    let directory = tempfile::tempdir().expect("a directory");
    grow_tree(directory.path(), Algorithm::Sha256, 3);
    let map = map_of(&generation(Algorithm::Sha256, 3));
    let mut to_new = resolver(&map, Direction::Forward);
    let end = run(&[directory.path()], &mut to_new, &DiskReplacer(&ReadOnly), BACKUP_SUFFIX).expect("the others go on");
    assert_eq!((end.files.refused, end.exit_code(false)), (3, 3), "it cannot be written to");
    let end = run(&[directory.path()], &mut to_new, &DryRun, BACKUP_SUFFIX).expect("nothing is written");
    assert_eq!(end.files.changed, 3);
}
