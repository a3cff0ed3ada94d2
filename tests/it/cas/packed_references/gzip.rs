//! References in gzip files.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;

use flate2::bufread::MultiGzDecoder;
use flate2::{Compression, GzBuilder};

use super::{line, migrated, rewrite, write};

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().filename("log.json").mtime(1_700_000_000).write(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut text).unwrap();
    text
}

#[test]
fn a_packed_text_is_rewritten_on_request_and_put_back_in_reverse() {
    let (store, old, new) = migrated();
    // Two members, as `cat a.gz b.gz` makes them, and more text than one piece has.
    let text = line(&old).repeat(10_000);
    let original = [packed(&text), packed(&line(&old))].concat();
    let path = write(&store, "log.gz", &original);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = rewrite(&store, "").expect(3).json();
    assert_eq!((&refused["files"]["refused"], &refused["references"]["refused"]), (&1.into(), &10_001.into()));
    assert!(refused["findings"].to_string().contains("--gzip"), "{refused}");
    assert_eq!(fs::read(&path).unwrap(), original);
    let dry = rewrite(&store, "--gzip --dry-run").expect(0);
    assert_eq!(fs::read(&path).unwrap(), original);
    let done = rewrite(&store, "--gzip").expect(0);
    for end in [&dry, &done] {
        assert_eq!(end.json()["references"]["replaced"], 10_001);
    }
    let bytes = fs::read(&path).unwrap();
    assert_eq!(unpacked(&bytes), line(&new).repeat(10_001));
    let header = flate2::bufread::GzDecoder::new(&*bytes);
    let header = header.header().unwrap();
    assert_eq!((header.filename(), header.mtime()), (Some(&b"log.json"[..]), 1_700_000_000));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    let backup = path.with_file_name("log.gz.haul-backup");
    assert_eq!(fs::read(&backup).unwrap(), original, "the original is kept byte for byte");
    let again = rewrite(&store, "--gzip").expect(0);
    assert_eq!(again.json()["files"]["changed"], 0);
    rewrite(&store, "--gzip --reverse").expect(0);
    assert_eq!(unpacked(&fs::read(&path).unwrap()), line(&old).repeat(10_001));
}

#[test]
fn a_damaged_a_binary_and_an_enormous_file_stay_as_they_are() {
    let (store, old, _) = migrated();
    let whole = packed(&line(&old).repeat(100));
    let cut = write(&store, "cut.gz", &whole[..whole.len() - 9]);
    let followed = write(&store, "followed.gz", &[&whole[..], b"garbage"].concat());
    let binary = write(&store, "binary.gz", &packed(&[&[0; 100][..], &line(&old)].concat()));
    let enormous = write(&store, "enormous.gz", &packed(&vec![b'x'; 1 << 20]).repeat(17));
    let linked = write(&store, "linked.gz", &whole);
    fs::hard_link(&linked, store.place().join("refs/second.gz")).unwrap();
    let before = [&cut, &followed, &binary, &enormous, &linked].map(|path| fs::read(path).unwrap());
    let done = rewrite(&store, "--gzip").expect(3);
    let end = done.json();
    assert_eq!((&end["files"]["refused"], &end["files"]["skipped"]), (&5.into(), &1.into()), "{end}");
    let findings = end["findings"].to_string();
    for text in ["not a whole gzip file", "unpacks to more than", "the file has 2 names", "binary"] {
        assert!(findings.contains(text), "{text}: {findings}");
    }
    assert_eq!([&cut, &followed, &binary, &enormous, &linked].map(|path| fs::read(path).unwrap()), before);
}

#[test]
fn the_first_bytes_and_not_the_name_say_what_is_a_gzip_file() {
    let (store, old, new) = migrated();
    let plain = write(&store, "plain.gz", &line(&old));
    let gzip = write(&store, "gzip.json", &packed(&line(&old)));
    rewrite(&store, "--gzip").expect(0);
    assert_eq!(fs::read(&plain).unwrap(), line(&new));
    assert_eq!(unpacked(&fs::read(&gzip).unwrap()), line(&new));
    assert_eq!(fs::read(&gzip).unwrap()[8], 2, "it is compressed as hard as before");
}

#[test]
fn a_gzip_file_without_references_to_rewrite_is_not_packed_again() {
    let (store, _, new) = migrated();
    let current = write(&store, "current.gz", &packed(&line(&new)));
    let other = write(&store, "other.gz", &packed(b"no reference\n").repeat(2));
    let cut = write(&store, "cut.gz", &packed(b"no reference\n")[..20]);
    let read = || [&current, &other, &cut].map(|path| fs::read(path).unwrap());
    let before = read();
    let end = rewrite(&store, "").expect(0).json();
    assert_eq!((&end["files"]["unchanged"], &end["files"]["skipped"]), (&2.into(), &1.into()), "{end}");
    let end = rewrite(&store, "--gzip").expect(3).json();
    assert_eq!((&end["files"]["unchanged"], &end["files"]["refused"]), (&2.into(), &1.into()), "{end}");
    assert_eq!(read(), before);
    assert_eq!(fs::read_dir(store.place().join("refs")).unwrap().count(), 3, "no backups");
}

#[test]
fn a_kept_original_of_a_killed_run_is_used_and_another_file_in_its_place_is_not_replaced() {
    let (store, old, new) = migrated();
    let original = packed(&line(&old));
    let killed = write(&store, "killed.gz", &original);
    write(&store, "killed.gz.haul-backup", &original);
    let taken = write(&store, "taken.gz", &original);
    write(&store, "taken.gz.haul-backup", b"something else");
    let end = rewrite(&store, "--gzip").expect(3).json();
    assert_eq!((&end["files"]["changed"], &end["files"]["refused"]), (&1.into(), &1.into()), "{end}");
    assert_eq!(unpacked(&fs::read(&killed).unwrap()), line(&new));
    assert_eq!(fs::read(&taken).unwrap(), original);
}
