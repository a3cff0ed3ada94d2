//! The commands around a Requiem store: digests, requests, results.

use std::fs;

use crate::support::place::Place;
use serde_json::Value;

#[test]
fn hash_vectors_give_the_same_digest_by_every_path() {
    let place = Place::new();
    let done = place.run(&["cas", "hash-vectors"]).expect(0);
    insta::assert_snapshot!(done.texts());
    let document = place.run(&["cas", "hash-vectors", "--json"]).expect(0).json();
    assert_eq!(document["digests"]["one_shot"], 177);
    assert_eq!((&document["exit_code"], &document["file"]), (&0.into(), &Value::Null));
}

#[test]
fn wrong_vectors_are_named() {
    let place = Place::new();
    let wrong = "e4828756587d78184d6582cc11fbd23814711a4762fe70d17b59c48f349bb3e4";
    let text = format!(r#"{{"vectors": [{{"input_utf8": "a", "blake3_req": "{wrong}"}}]}}"#);
    fs::write(place.path().join("v.json"), text).unwrap();
    let done = place.run(&["cas", "hash-vectors", "--file", "v.json"]).expect(65);
    assert!(done.stdout.contains(&format!("expected {wrong}")), "{}", done.stdout);
    assert!(done.stdout.contains("found    a4828756"), "{}", done.stdout);
    let document = place.run(&["cas", "hash-vectors", "--file", "v.json", "--json"]).expect(65).json();
    let mismatch = &document["mismatches"][0];
    assert_eq!((&mismatch["vector"], &mismatch["function"]), (&"text \"a\"".into(), &"req:".into()));
    assert_eq!(mismatch["paths"].as_array().unwrap().len(), 14);

    fs::write(place.path().join("v.json"), r#"{"vectors": [], "more": 1}"#).unwrap();
    let done = place.run(&["cas", "hash-vectors", "--file", "v.json"]).expect(65);
    insta::assert_snapshot!(done.stderr, @r#"
    error: v.json: unknown member "more" at offset 16
    next: give a file of the shape of hash-vectors.json
    "#);
    place.run(&["cas", "hash-vectors", "--file", "absent.json"]).expect(1);
}

/// Two programs, a request and a directory to work in, for `haul cas dual-run`.
struct Dual {
    place: Place,
}

impl Dual {
    fn new(old: &str, new: &str) -> Self {
        let place = Place::new();
        fs::create_dir(place.path().join("work")).unwrap();
        fs::write(place.path().join("r.json"), "{}").unwrap();
        let dual = Self { place };
        dual.program("old", old);
        dual.program("new", new);
        dual
    }

    /// Creates a program that is a shell script. Another process writes it: a process that another test forks at that
    /// moment would inherit the open file, and a file that is open for writing cannot be executed.
    fn program(&self, name: &str, script: &str) {
        let script = format!("#!/bin/sh\n{script}\n");
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", "printf %s \"$1\" > \"$2\" && chmod +x \"$2\"", "sh", &script, name]);
        assert!(shell.current_dir(self.place.path()).status().unwrap().success());
    }

    fn command(&self, more: &[&str]) -> std::process::Command {
        let arguments = ["cas", "dual-run", "--request", "r.json", "--out", "f.json", "--work-dir", "work"];
        let programs = ["--old-bin", "./old", "--new-bin", "./new"];
        let mut command = self.place.command(&[&arguments[..], &programs, more].concat());
        command.env("MARK", "passed on").env("PLACE", self.place.path());
        command
    }

    fn run(&self, more: &[&str]) -> crate::support::haul::Done {
        let done = crate::support::haul::Done::of(self.command(more).output().unwrap());
        assert_eq!(fs::read_dir(self.place.path().join("work")).unwrap().count(), 0, "nothing is left behind");
        done
    }

    fn document(&self) -> Option<String> {
        fs::read_to_string(self.place.path().join("f.json")).ok()
    }
}

/// Returns a program that checks how it is run and answers with `stdout` and a digest.
fn answering(stdout: &str, digest: &str) -> String {
    format!(
        r#"
[ "$1 $2 $3 $5" = "exec run --request --out" ] || exit 11
[ "$(cat "$4")" = "{{}}" ] || exit 12
case "$4$PWD" in /*/work/*) ;; *) exit 13 ;; esac
[ -z "$(ls -A)" ] || exit 14
[ "$MARK" = "passed on" ] || exit 15
if read line; then exit 16; fi
echo left > left-behind
printf '%s' '{{"ok":true,"exit_code":0,"stdout":"{stdout}","stderr":"","request_digest":"q","result_digest":"{digest}"}}' > "$6"
exit 1"#
    )
}

#[test]
fn dual_run_compares_what_two_programs_answer() {
    let dual = Dual::new(&answering("hi", "aaa"), &answering("hi", "bbb"));
    let done = dual.run(&[]).expect(0);
    insta::assert_snapshot!(done.texts(), @"
    exit code                   same
    standard output             same
    standard error              same
    request digest              same
    result digest               different
      old                       aaa
      new                       bbb
    ---
    running ./old, then ./new, for at most 60000 ms each
    ");
    let expected = concat!(
        r#"{"dual_run":{"old_digest":"aaa","new_digest":"bbb","match":false,"exit_codes_match":true,"stdout_match":true,"#,
        r#""stderr_match":true,"request_digests_match":true,"truncated":false,"mismatches":["digest_mismatch"]}}"#,
        "\n"
    );
    assert_eq!(dual.document().as_deref(), Some(expected));

    dual.program("new", &answering("ho", "aaa"));
    let done = dual.run(&["--json"]).expect(1);
    assert_eq!(done.json()["dual_run"]["mismatches"], serde_json::json!(["stdout_mismatch"]));
    assert_eq!(done.json(), serde_json::from_str::<Value>(&dual.document().unwrap()).unwrap());
}

#[test]
fn a_program_that_does_not_answer_is_an_error_that_leaves_nothing() {
    let good = answering("hi", "aaa");
    for (new, code, what) in [
        ("exit 3", 1, "the new program ./new: wrote no result (exit status: 3)\n"),
        ("echo no such command >&2; exit 2", 1, "./new: wrote no result (exit status: 2): no such command\n"),
        ("kill -9 $$", 1, "./new: wrote no result (signal: 9 (SIGKILL))\n"),
        ("mkdir \"$6\"", 1, "it is not a regular file"),
        (
            "echo '{' > \"$6\"",
            1,
            "./new: wrote a result that is not a JSON document: expected the name of a member at offset 2\n",
        ),
        ("echo '{\"ok\":true}' > \"$6\"", 1, "./new: wrote a result that has no readable \"exit_code\"\n"),
    ] {
        let dual = Dual::new(&good, new);
        let done = dual.run(&[]).expect(code);
        assert!(done.stderr.contains(what), "{new}: {}", done.stderr);
        assert_eq!(dual.document(), None);
    }
    let dual = Dual::new(&good, &good);
    fs::remove_file(dual.place.path().join("new")).unwrap();
    let done = dual.run(&[]).expect(1);
    insta::assert_snapshot!(done.stderr, @"
    running ./old, then ./new, for at most 60000 ms each
    error: the new program ./new: cannot be started: No such file or directory (os error 2)
    next: check its path and that it may be executed
    ");
    fs::remove_file(dual.place.path().join("r.json")).unwrap();
    let done = dual.run(&[]).expect(2);
    assert!(done.stderr.contains("r.json does not exist"), "{}", done.stderr);
    let out = ["--out", "absent/f.json"];
    let arguments = ["cas", "dual-run", "--request", "r.json", "--old-bin", "./old", "--new-bin", "./new"];
    let done = dual.place.run(&[&arguments[..], &out].concat()).expect(2);
    assert!(done.stderr.starts_with("error: absent is not a directory\n"), "{}", done.stderr);
}

/// A program whose command has a session of its own, as the reference's commands have; it never ends.
const ENDLESS: &str =
    "setsid sh -c 'echo $$ > \"$PLACE/pid.part\"; mv \"$PLACE/pid.part\" \"$PLACE/pid\"; sleep 600' & wait";

fn assert_gone(pid_file: &std::path::Path) {
    let pid = fs::read_to_string(pid_file).unwrap();
    let stat = format!("/proc/{}/stat", pid.trim());
    let is_there = || fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
    let waits =
        (0..2000).take_while(|_| is_there()).inspect(|_| std::thread::sleep(std::time::Duration::from_millis(5)));
    assert!(waits.count() < 2000, "{pid} is still there");
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_its_children() {
    let dual = Dual::new(&answering("hi", "aaa"), ENDLESS);
    let done = dual.run(&["--timeout-ms", "3000", "--progress", "none"]).expect(75);
    insta::assert_snapshot!(done.stderr, @"
    error: the new program ./new: took longer than 3000 ms and was killed
    next: give it more time with --timeout-ms
    ");
    assert_gone(&dual.place.path().join("pid"));
    assert_eq!(dual.document(), None);
}

#[test]
fn a_stop_ends_a_program_with_its_children() {
    let dual = Dual::new(ENDLESS, "exit 1");
    let mut command = dual.command(&["--json"]);
    let haul = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pid_file = dual.place.path().join("pid");
    while !pid_file.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let kill = format!("kill -INT {}", haul.id());
    assert!(std::process::Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    let done = crate::support::haul::Done::of(haul.wait_with_output().unwrap()).expect(75);
    assert_eq!(done.json()["error"]["message"], "the old program ./old: was killed because a stop was requested");
    assert_gone(&pid_file);
    assert_eq!(fs::read_dir(dual.place.path().join("work")).unwrap().count(), 0);
}

/// The request of the known digest vectors, as a person writes it.
const REQUEST: &str = r#"{
  "request_id": "r1",
  "command": "/bin/sh",
  "argv": ["-c", "echo hi; env | sort"],
  "workspace_root": "ws",
  "env": {"LANG": "C", "TZ": "UTC", "API_TOKEN": "very secret"},
  "policy": {
    "mode": "strict",
    "env_allowlist": []
  }
}
"#;
const TURBO: &str = "e15c8072b04cf38c758fd30aa98319c261cb74c50e4799cc0a3384be07b8c85c";

#[test]
fn requests_are_upgraded_in_place_once() {
    let place = Place::new();
    let file = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    fs::write(place.path().join("r.json"), REQUEST).unwrap();
    let done = place.run(&["cas", "request-upgrade", "r.json"]).expect(0);
    insta::assert_snapshot!(done.texts());
    assert!(!done.stdout.contains("very secret"));
    for dry in [&["--dry-run"][..], &["--dry-run", "--in-place"], &["--dry-run", "--out-dir", "out"]] {
        place.run(&[&["cas", "request-upgrade", "r.json"], dry].concat()).expect(0);
    }
    assert_eq!((file("r.json").as_str(), fs::read_dir(place.path()).unwrap().count()), (REQUEST, 1));

    let document = place.run(&["cas", "request-upgrade", "r.json", "--in-place", "--json"]).expect(0).json();
    let report = &document["files"][0];
    assert_eq!(
        (&document["dry_run"], &document["upgraded"], &report["outcome"]),
        (&false.into(), &1.into(), &"upgraded".into())
    );
    assert_eq!((&report["request_digest_before"], &report["request_digest_after"]), (&TURBO.into(), &TURBO.into()));
    let upgraded = REQUEST.replace("[]\n", "[],\n    \"scheduler_mode\": \"turbo\"\n");
    assert_eq!((file("r.json"), file("r.json.haul-backup")), (upgraded.clone(), REQUEST.to_owned()));

    let document = place.run(&["cas", "request-upgrade", "r.json", "--in-place", "--json"]).expect(0).json();
    assert_eq!((&document["upgraded"], &document["unchanged"]), (&0.into(), &1.into()));
    assert_eq!((file("r.json"), fs::read_dir(place.path()).unwrap().count()), (upgraded, 2));
}

#[test]
fn requests_that_cannot_be_upgraded_are_named() {
    let place = Place::new();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    write("fast.json", r#"{"command":"a","policy":{"scheduler_mode":"fast"}}"#);
    write("outside.json", r#"{"command":"a","scheduler_mode":"repro","policy":{}}"#);
    fs::File::create(place.path().join("huge.json")).unwrap().set_len((16 << 20) + 1).unwrap();
    let files = ["fast.json", "outside.json", "huge.json", "absent.json"];
    let command = [&["cas", "request-upgrade", "--move-scheduler-mode", "--out-dir", "out"], &files[..]].concat();
    insta::assert_snapshot!(place.run(&command).expect(3).texts());
    let written = fs::read_to_string(place.path().join("out/outside.json")).unwrap();
    assert_eq!(written, r#"{"command":"a","policy":{"scheduler_mode":"repro"}}"#);
    assert_eq!(fs::read_dir(place.path().join("out")).unwrap().count(), 1);
    place.run(&["cas", "request-upgrade", "r.json", "in/r.json", "--dry-run", "--out-dir", "out"]).expect(2);
    place.run(&["cas", "request-upgrade"]).expect(2);
    place.run(&["cas", "request-upgrade", "a", "--in-place", "--out-dir", "b"]).expect(2);
}

#[test]
fn results_are_checked() {
    let place = Place::new();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    let digest = "e7cbecf555cea46872d7ac9eab7bfb48ce289d1e35008addbb74a36d272f41bd";
    let good = concat!(
        r#"{"ok":true,"exit_code":0,"error_code":"","termination_reason":"","stderr":"","#,
        r#""request_digest":"e15c8072b04cf38c758fd30aa98319c261cb74c50e4799cc0a3384be07b8c85c","#,
        r#""trace_digest":"91b6f3ad2d5063ce390659caeb1ee61eccb618d150b907f253c296812f28380c","#,
        r#""stdout_digest":"b429a4378ceba8adf029b4b3b010ba063f17a6d3bcc33f5b2914864f682eb70c","#,
        r#""stderr_digest":"af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262","#,
        r#""result_digest":"e7cbecf555cea46872d7ac9eab7bfb48ce289d1e35008addbb74a36d272f41bd","output_digests":{}}"#
    );
    write("good.json", good);
    write("old.json", &good.replace(digest, &format!("sha256:{digest}")));
    write("ended.json", &good.replace(digest, "").replace("\"error_code\":\"\"", "\"error_code\":\"quota_exceeded\""));
    write("wrong.json", &good.replace("\"ok\":true", "\"ok\":false"));
    write("torn.json", &good[..100]);

    place.run(&["cas", "result-check", "good.json"]).expect(0);
    place.run(&["cas", "result-check", "good.json", "old.json"]).expect(3);
    place.run(&["cas", "result-check", "good.json", "ended.json"]).expect(3);
    place.run(&["cas", "result-check", "good.json", "absent.json"]).expect(65);
    let all = ["cas", "result-check", "good.json", "old.json", "ended.json", "wrong.json", "torn.json"];
    insta::assert_snapshot!(place.run(&all).expect(65).texts());

    let document = place.run(&[&all[..], &["--json"]].concat()).expect(65).json();
    let verdicts: Vec<_> = document["files"].as_array().unwrap().iter().map(|file| file["verdict"].as_str()).collect();
    let expected = ["fine", "must_be_rerun", "unchecked", "wrong", "unreadable"];
    assert_eq!(verdicts, expected.map(Some));
    let check = &document["files"][1]["checks"][2];
    assert_eq!(check, &serde_json::json!({"digest": "result_digest", "finding": "prefixed", "prefix": "sha256"}));
    assert_eq!(document["files"][2]["error_code"], "quota_exceeded");
}

mod conformance {
    use super::*;
    use crate::support::conformance::conformance;

    #[test]
    #[ignore = "needs the conformance data"]
    fn the_published_vectors_are_the_built_in_ones() {
        let requiem = conformance("requiem");
        let path = requiem.join("hash-vectors.json");
        let text = fs::read(&path).unwrap();
        let figures = |vectors: Vec<haul::requiem::hash_vectors::Vector>| {
            let mut figures: Vec<_> = vectors
                .into_iter()
                .map(|vector| {
                    let mut input = Vec::new();
                    vector.input.push_to(&mut input);
                    (vector.function, vector.expected, input)
                })
                .collect();
            figures.sort();
            figures
        };
        let published = haul::requiem::hash_vectors::read_vectors(&path, &text).unwrap();
        assert!(figures(published) == figures(haul::requiem::hash_vectors::built_in()));

        let place = Place::new();
        let document = place.run(&["cas", "hash-vectors", "--json", "--file", path.to_str().unwrap()]).expect(0).json();
        assert_eq!((&document["vectors"], &document["mismatches"]), (&354.into(), &serde_json::json!([])));
    }

    #[test]
    #[ignore = "needs the conformance data"]
    fn absent_and_turbo_give_one_digest_and_repro_that_of_the_vectors() {
        let requiem = conformance("requiem");
        let vectors: Value = serde_json::from_slice(&fs::read(requiem.join("hash-vectors.json")).unwrap()).unwrap();
        let place = Place::new();
        let digest_of = |policy: &str| {
            let text = REQUEST.replace("\"mode\": \"strict\"", policy);
            fs::write(place.path().join("r.json"), text).unwrap();
            let document = place.run(&["cas", "request-upgrade", "r.json", "--json"]).expect(0).json();
            assert_eq!(document["files"][0]["request_digest_before"], document["files"][0]["request_digest_after"]);
            document["files"][0]["request_digest_after"].clone()
        };
        let expected = |index: usize| vectors["request_vectors"][index]["request_digest"].clone();
        assert_eq!(digest_of(r#""mode": "strict""#), expected(0));
        assert_eq!(digest_of(r#""scheduler_mode": "turbo""#), expected(0));
        assert_eq!(digest_of(r#""scheduler_mode": "repro""#), expected(1));
    }
}
