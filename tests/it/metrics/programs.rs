//! What programs of others say of the metrics: promtool and node_exporter.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use haul::observe::MigrationState;
use haul::observe::metrics::{DEFAULT_PREFIX, Format, RunMetrics, text};

use super::documents::{documents, expressions};
use super::scrape::Served;
use crate::support::haul::Done;
use crate::support::place::Place;

/// Runs `promtool check metrics`, which complains of what is against the rules of Prometheus, and of names.
#[track_caller]
fn check_metrics(metrics: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(metrics.as_bytes()).expect("it reads");
    drop(input);
    let done = Done::of(child.wait_with_output().expect("it ends"));
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "", ""), "{metrics}");
}

fn promtool(arguments: &[&str]) -> Done {
    Done::of(Command::new("promtool").args(arguments).current_dir(documents()).output().expect("promtool runs"))
}

#[test]
#[ignore = "needs promtool"]
fn promtool_has_nothing_to_say_of_a_run_and_its_file() {
    let place = Place::with_space(3000);
    let mut command = place.command(&["space", "migrate", "default", "--progress", "none", "--rate-limit", "1500"]);
    command.args(["--batch-size", "100", "--metrics-addr", "127.0.0.1:0", "--metrics-linger", "1h"]);
    command.args(["--metrics-file", "haul.prom"]);
    let served = Served::start(command);
    for state in ["running", "published"] {
        let wanted = format!(r#"haul_migration_state{{kind="space",migration="default",state="{state}"}} 1"#);
        check_metrics(&served.scrape_until(&wanted));
    }
    served.end().expect(0);
    check_metrics(&fs::read_to_string(place.path().join("haul.prom")).unwrap());
}

#[test]
#[ignore = "needs promtool"]
fn promtool_has_nothing_to_say_of_hostile_names() {
    let name = "a\"} 1\nforged{x=\"\\\u{202e}\u{1b}[31m\r\t<b>\u{0}ü";
    let run = |id: &str| RunMetrics {
        kind: "space".into(),
        migration: name.into(),
        id: id.into(),
        run_id: name.into(),
        state: Some(MigrationState::Killed),
        records: [(name.to_owned(), 3), ("migrated".to_owned(), 4)].into(),
        checkpoints: Some(1),
        ..RunMetrics::default()
    };
    for format in [Format::Classic, Format::File] {
        check_metrics(&text(&[run("1"), run("2"), run("2")].into_iter().collect(), DEFAULT_PREFIX, format));
    }
}

#[test]
#[ignore = "needs promtool"]
fn promtool_finds_the_alerts_right() {
    promtool(&["check", "rules", "haul.rules.yml"]).expect(0);
    promtool(&["test", "rules", "haul.rules_test.yml"]).expect(0);
}

#[test]
#[ignore = "needs promtool"]
fn promtool_understands_each_panel() {
    let place = Place::new();
    let rules = expressions().into_iter().enumerate().map(|(at, expression)| {
        let expression = expression.replace("$__rate_interval", "5m").replace('\'', "''");
        format!("      - record: panel:{at}\n        expr: '{expression}'\n")
    });
    let file = "groups:\n  - name: panels\n    rules:\n".to_owned() + &rules.collect::<String>();
    let path = place.path().join("panels.yml");
    fs::write(&path, file).unwrap();
    promtool(&["check", "rules", path.to_str().expect("text")]).expect(0);
}

/// Ends node_exporter with the test.
struct Exporter(Child);

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs node_exporter"]
fn node_exporter_serves_the_files_of_two_runs() {
    let place = Place::with_space(20);
    let collected = place.path().join("collected");
    fs::create_dir(&collected).unwrap();
    place.space_run("migrate default --metrics-file collected/space.prom").expect(0);
    place.run(&["cas", "generate", "old", "--objects", "9", "--generation", "v0.5", "--seed", "7"]).expect(0);
    let to = ["--source", "old", "--target", "new", "--metrics-file", "collected/cas.prom"];
    place.run(&[&["cas", "migrate"], &to[..]].concat()).expect(0);

    // The port is free again when the program takes it.
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let mut command = Command::new("prometheus-node-exporter");
    command.args(["--collector.disable-defaults", "--collector.textfile"]);
    command.arg(format!("--collector.textfile.directory={}", collected.display()));
    command.arg(format!("--web.listen-address={address}")).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut exporter = Exporter(command.spawn().expect("it starts"));
    let text = loop {
        let Ok(mut stream) = TcpStream::connect(address) else {
            assert!(exporter.0.try_wait().unwrap().is_none(), "it runs");
            std::thread::yield_now();
            continue;
        };
        stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        break answer;
    };
    exporter.0.kill().unwrap();
    let mut log = String::new();
    exporter.0.stderr.take().expect("a pipe").read_to_string(&mut log).unwrap();
    assert!(!log.contains("level=error"), "{log}");
    for line in [
        "node_textfile_scrape_error 0",
        r#"haul_migration_state{kind="space",migration="default",state="published"} 1"#,
        r#"haul_migration_records_total{kind="cas",migration="new",outcome="migrated"} 9"#,
        r#"haul_migration_batch_duration_seconds_bucket{kind="cas",migration="new",stage="write",le="+Inf"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}
