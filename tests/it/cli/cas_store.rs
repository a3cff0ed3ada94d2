//! `haul cas info`, `ls`, `get` and `put`.

use std::fs::{self, File};
use std::io::Write;
use std::process::Stdio;

use crate::support::conformance::conformance;
use crate::support::files::tree;
use crate::support::haul::Done;
use crate::support::place::Place;
use serde_json::{Value, json};

const HELLO: &str = "888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d";
const ABSENT: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn cas(place: &Place, arguments: &str) -> Done {
    let words: Vec<_> = std::iter::once("cas").chain(arguments.split_whitespace()).collect();
    place.run(&words)
}

/// Returns a place with a store `v2` that contains `hello`.
fn place_with_hello() -> Place {
    let place = Place::new();
    fs::write(place.path().join("hello.txt"), "hello").unwrap();
    cas(&place, "put v2 hello.txt --created-at 1795207503").expect(0);
    place
}

#[test]
fn an_object_goes_in_and_comes_out() {
    let place = Place::new();
    fs::write(place.path().join("hello.txt"), "hello").unwrap();
    let put = cas(&place, "put v2 hello.txt --created-at 1795207503").expect(0);
    insta::assert_snapshot!(put.texts(), @"
    888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d
    ---
    stored: 5 bytes of content, 5 bytes as identity
    ");
    let get = cas(&place, &format!("get v2 {HELLO}")).expect(0);
    assert_eq!((&*get.stdout, &*get.stderr), ("hello", ""));
    let out = cas(&place, &format!("get v2 {HELLO} --out out.txt")).expect(0);
    insta::assert_snapshot!(out.texts(), @"
    ---
    5 bytes written to out.txt
    ");
    assert_eq!(fs::read(place.path().join("out.txt")).unwrap(), b"hello");
    let info = cas(&place, &format!("info v2 {HELLO}")).expect(0);
    insta::assert_snapshot!(info.texts(), @"
    key                         888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d
    content                     5 bytes
    blob                        5 bytes, identity
    blob hash                   ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f
    created                     2026-11-20T20:45:03Z
    path                        v2/objects/88/8c/888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d
    ---
    ");
    let ls = cas(&place, "ls v2").expect(0);
    assert_eq!((&*ls.stdout, &*ls.stderr), (&*format!("{HELLO}\t5\n"), ""));
}

#[test]
fn every_output_is_one_document() {
    let place = place_with_hello();
    let again = cas(&place, "put v2 hello.txt --compress zstd --json").expect(0);
    let record = json!({
        "digest": HELLO, "encoding": "identity", "original_size": 5, "stored_size": 5,
        "stored_blob_hash": "ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f",
        "created_at": 1795207503,
    });
    let with = |fields: Value| {
        let mut document = record.clone();
        document.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        document
    };
    let nothing_written = json!({
        "blob_written": false, "sidecar_written": false, "index_line_written": false, "index_tail_ended": false,
    });
    assert_eq!((again.json(), &*again.stderr), (with(nothing_written), ""));
    let info = cas(&place, &format!("info v2 {HELLO} --json")).expect(0).json();
    assert_eq!(info, with(json!({ "path": format!("v2/objects/88/8c/{HELLO}") })));
    let get = cas(&place, &format!("get v2 {HELLO} --json --out out.txt")).expect(0);
    assert_eq!((get.json(), &*get.stderr), (with(json!({ "out": "out.txt" })), ""));
    let ls = cas(&place, "ls v2 --json").expect(0).json();
    assert_eq!(ls, json!({ "objects": [{ "digest": HELLO, "size": 5 }] }));
    let both = cas(&place, &format!("get v2 {HELLO} --json")).expect(2);
    assert!(both.json()["error"]["next"].as_str().unwrap().contains("--out FILE"));
}

#[test]
fn the_empty_store_has_an_empty_list() {
    let place = Place::new();
    fs::create_dir_all(place.path().join("v2/objects")).unwrap();
    fs::write(place.path().join("v2/index.ndjson"), "").unwrap();
    assert_eq!(cas(&place, "ls v2").expect(0).stdout, "");
    assert_eq!(cas(&place, "ls v2 --json").expect(0).json(), json!({ "objects": [] }));
}

#[test]
fn standard_input_is_content_too() {
    let place = Place::new();
    let put = |how: &[&str], content: &[u8]| {
        let mut command = place.command(&[&["cas", "put", "v2", "-", "--json"], how].concat());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        Done::of(child.wait_with_output().unwrap()).expect(0).json()
    };
    let text = b"text ".repeat(10_000);
    for how in [&["--compress", "zstd"][..], &["--compress", "zstd:19"], &[]] {
        let document = put(how, &[&*text, how.len().to_string().as_bytes(), how.concat().as_bytes()].concat());
        assert_eq!(document["encoding"], if how.is_empty() { "identity" } else { "zstd" });
        let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!((1_700_000_000..=age).contains(&document["created_at"].as_u64().unwrap()), "the clock's time");
    }
    let empty = put(&["--compress", "zstd"], b"");
    assert_eq!((&empty["stored_size"], &empty["original_size"]), (&json!(9), &json!(0)));
}

#[test]
fn missing_stores_and_objects_are_errors_that_create_nothing() {
    let place = Place::new();
    for arguments in ["info v2 KEY", "ls v2", "get v2 KEY", "get v2 KEY --out out.txt"] {
        let done = cas(&place, &arguments.replace("KEY", HELLO)).expect(2);
        assert!(done.stdout.is_empty() && done.stderr.contains("there is no v2"), "{arguments}: {}", done.stderr);
    }
    let done = cas(&place, "put v2 absent.txt").expect(2);
    assert!(done.stderr.contains("absent.txt does not exist"), "{}", done.stderr);
    let done = cas(&place, "put v2 .").expect(2);
    assert!(done.stderr.contains("is a directory"), "{}", done.stderr);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);

    let place = place_with_hello();
    for arguments in ["info v2 KEY", "get v2 KEY", "get v2 KEY --out out.txt"] {
        let done = cas(&place, &arguments.replace("KEY", ABSENT)).expect(1);
        assert_eq!((&*done.stdout, &*done.stderr), ("", &*format!("error: no object {ABSENT} in v2\n")), "{arguments}");
    }
    assert!(!place.path().join("out.txt").exists());
}

#[test]
fn arguments_that_make_no_sense_are_usage_errors() {
    let place = place_with_hello();
    let upper = HELLO.to_uppercase();
    for arguments in [
        "get v2",
        &format!("get v2 {upper}"),
        &format!("info v2 {}", &HELLO[1..]),
        &format!("get v2 {HELLO} --out v2"),
        "put v2",
        "put v2 hello.txt --compress gzip",
        "put v2 hello.txt --compress zstd:23",
        "put v2 hello.txt --created-at -1",
        "put hello.txt hello.txt",
    ] {
        let done = cas(&place, arguments).expect(2);
        assert!(done.stdout.is_empty() && done.stderr.contains("error"), "{arguments}: {}", done.stderr);
    }
}

#[test]
fn damage_ends_with_65_and_a_conflict_with_70() {
    let place = place_with_hello();
    let blob = place.path().join(format!("v2/objects/88/8c/{HELLO}"));
    fs::write(&blob, "hellO").unwrap();
    let get = cas(&place, &format!("get v2 {HELLO}")).expect(65);
    assert!(get.stdout.is_empty() && get.stderr.contains("next: "), "{}", get.stderr);
    let put = cas(&place, "put v2 hello.txt --json").expect(70);
    assert_eq!(put.json()["error"]["exit_code"], 70);
    assert_eq!(fs::read(&blob).unwrap(), b"hellO");
    fs::remove_file(place.path().join("v2/index.ndjson")).unwrap();
    let ls = cas(&place, "ls v2").expect(65);
    assert!(ls.stderr.contains("index.ndjson: it is missing"), "{}", ls.stderr);
}

#[test]
fn a_full_output_is_an_error_and_a_closed_one_is_not() {
    let place = place_with_hello();
    let mut command = place.command(&["cas", "get", "v2", HELLO]);
    let full = Done::of(command.stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap());
    assert_eq!(full.code, 75, "{}", full.stderr);
    assert!(full.stderr.contains("cannot write content to the output"), "{}", full.stderr);
    cas(&place, &format!("get v2 {HELLO} --out absent/out.txt")).expect(1);

    fs::write(place.path().join("large"), vec![b'x'; 8 << 20]).unwrap();
    let key = cas(&place, "put v2 large").expect(0).stdout;
    let mut child = place.command(&["cas", "get", "v2", key.trim()]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_second_writer_must_wait() {
    let place = place_with_hello();
    let mut first = place.command(&["cas", "put", "v2", "-"]);
    let mut first = first.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    first.stdin.as_mut().unwrap().write_all(b"begin").unwrap();
    let temporary = place.path().join("v2/objects/.tmp_0");
    while !temporary.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let second = cas(&place, "put v2 hello.txt").expect(75);
    assert!(second.stderr.contains(&format!("pid {}", first.id())), "{}", second.stderr);
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
    assert!(!temporary.exists());
    cas(&place, "put v2 hello.txt").expect(0);
}

mod conformance {
    use super::*;

    #[test]
    #[ignore = "needs the conformance data"]
    fn the_store_of_the_reference_is_read_in_full() {
        let data = conformance("requiem");
        let place = Place::new();
        let store = data.join("cas-v2");
        let store = store.to_str().unwrap();
        let listed = place.run(&["cas", "ls", store, "--json"]).expect(0).json();
        let objects = listed["objects"].as_array().unwrap();
        let inputs: Vec<_> = tree(&data.join("inputs")).into_values().collect();
        assert_eq!(objects.len(), inputs.len());
        for object in objects {
            let key = object["digest"].as_str().unwrap();
            place.run(&["cas", "get", store, key, "--out", "out"]).expect(0);
            let content = fs::read(place.path().join("out")).unwrap();
            assert!(inputs.contains(&content), "{key}");
            let info = place.run(&["cas", "info", store, key, "--json"]).expect(0).json();
            assert_eq!((&info["stored_size"], &info["original_size"]), (&object["size"], &json!(content.len())));
        }
    }
}
