//! The end of the server, and of runs that it shows.

use std::process::Stdio;

use rustix::process::{Signal, kill_process};

use super::{Server, pid_of, wait_for};
use crate::support::http::{lines, open_stream};
use crate::support::place::Place;

#[test]
fn a_signal_ends_it_although_streams_are_open() {
    let place = Place::with_space(10);
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let server = Server::start(place.path(), &[]);
        // One is read, the others are not.
        let mut read = lines(open_stream(server.address));
        assert_eq!(read.next().as_deref(), Some("HTTP/1.1 200 OK"));
        let unread: Vec<_> = (0..3).map(|_| open_stream(server.address)).collect();
        server.signal(signal);
        server.end().expect(0);
        // It ends by itself.
        assert!(read.count() > 0);
        drop(unread);
    }
}

#[test]
fn a_run_that_is_killed_is_seen_as_that_everywhere() {
    let place = Place::with_space(3000);
    let server = Server::start(place.path(), &[]);
    let mut run = place.command(&["space", "migrate", "default", "--progress", "none"]);
    let mut run = run.args(["--rate-limit", "100", "--batch-size", "100"]).stderr(Stdio::null()).spawn().unwrap();
    let in_state = |state: &str| {
        let list = server.list();
        list.first().filter(|found| found["state"] == state && found["kind"] == "space").cloned()
    };
    wait_for("the run", || in_state("running").filter(|found| found["progress"].is_object()));
    assert!(server.get("/").body.contains(">running<"));
    kill_process(pid_of(&run), Signal::KILL).unwrap();
    run.wait().unwrap();
    let found = wait_for("its end", || in_state("killed"));
    assert!(found["lock_holder"].is_null() && found["progress"].is_null(), "{found}");
    let id = found["id"].as_str().unwrap();
    for path in ["/".to_owned(), format!("/m/{id}")] {
        let page = server.get(&path).body;
        assert!(page.contains("killed, resumable"), "{path}: {page}");
    }
    let metrics = server.get("/metrics").body;
    let state = |name: &str| {
        let of = |line: &&str| line.starts_with("haul_migration_state{") && line.contains(&format!("state=\"{name}\""));
        metrics.lines().find(of).and_then(|line| line.rsplit(' ').next()).map(str::to_owned)
    };
    assert_eq!((state("killed").as_deref(), state("running").as_deref()), (Some("1"), Some("0")), "{metrics}");
    // The same command goes on, and the server shows that too.
    place.space_run("migrate default --progress none").expect(0);
    wait_for("the publication", || in_state("published"));
}
