//! State directories that are damaged, newer, not what they seem, or very many.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::Server;
use crate::support::place::Place;

/// A space that is published, in a place of its own.
fn published() -> Place {
    let place = Place::with_space(10);
    place.space_run("migrate default --progress none").expect(0);
    place
}

/// Puts a copy of the state of the space below another name.
fn copy_state(place: &Place, name: &str) -> std::path::PathBuf {
    let to = place.path().join("data").join(name).join("migration");
    fs::create_dir_all(&to).unwrap();
    for entry in fs::read_dir(place.space().join("migration")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    to
}

fn damage(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_state_that_cannot_be_read_is_a_row_that_says_so_and_hides_no_other() {
    let place = published();
    let checkpoint = |name: &str| copy_state(&place, name).join("checkpoint.bin");
    damage(&checkpoint("corrupt"), |bytes| *bytes.last_mut().unwrap() ^= 1);
    damage(&checkpoint("empty"), Vec::clear);
    damage(&checkpoint("newer"), |bytes| bytes[8..12].copy_from_slice(&99_u32.to_le_bytes()));
    damage(&checkpoint("other"), |bytes| *bytes = b"something else".to_vec());
    let blocked = checkpoint("blocked");
    fs::remove_file(&blocked).unwrap();
    fs::create_dir(&blocked).unwrap();
    let linked = checkpoint("linked");
    fs::remove_file(&linked).unwrap();
    symlink("/etc/passwd", &linked).unwrap();
    damage(&copy_state(&place, "report").join("report.json"), |bytes| bytes.truncate(20));
    damage(&copy_state(&place, "journal").join("journal.jsonl"), |bytes| {
        bytes.splice(0..5, *b"\xff\xfe\0{[").for_each(drop)
    });
    // Links lead round in a circle.
    symlink("..", place.path().join("data/up")).unwrap();
    symlink(place.path().join("data/loop"), place.path().join("data/loop")).unwrap();

    let server = Server::start(&place.path().join("data"), &[]);
    let list = server.list();
    let states: BTreeMap<_, _> =
        list.iter().map(|found| (found["name"].as_str().unwrap(), found["state"].as_str().unwrap())).collect();
    let names = ["blocked", "corrupt", "default", "empty", "journal", "linked", "newer", "other", "report"];
    assert_eq!(states.keys().copied().collect::<Vec<_>>(), names);
    for name in ["blocked", "corrupt", "empty", "linked", "newer", "other"] {
        assert_eq!(states[name], "unreadable", "{name}");
        let found = list.iter().find(|found| found["name"] == name).unwrap();
        let problem = found["problem"].as_str().unwrap_or_default();
        assert!(!problem.is_empty() && !problem.contains("root:"), "{found}");
        assert!(name != "newer" || problem.contains("version 99"), "{problem}");
        assert_eq!(server.get(&format!("/m/{}", found["id"].as_str().unwrap())).status, 200);
    }
    for name in ["default", "journal", "report"] {
        assert_eq!(states[name], "published", "{name}");
    }
    let report = list.iter().find(|found| found["name"] == "report").unwrap();
    assert!(report["problem"].as_str().is_some_and(|problem| problem.contains("report")), "{report}");
    assert_eq!([server.get("/").status, server.get("/metrics").status], [200; 2]);
}

#[test]
fn five_thousand_migrations_are_a_page_of_200_and_little_memory() {
    const MIGRATIONS: usize = 5000;
    let place = published();
    let from = place.space().join("migration");
    for number in 0..MIGRATIONS {
        let to = place.path().join(format!("many/{number:04}.migration"));
        fs::create_dir_all(&to).unwrap();
        for name in ["checkpoint.bin", "journal.jsonl", "report.json", "lock"] {
            fs::hard_link(from.join(name), to.join(name)).unwrap();
        }
    }
    let server = Server::start(&place.path().join("many"), &[]);
    let page = server.get("/");
    assert_eq!((page.status, page.body.matches("<tr data-id=").count()), (200, 200));
    assert!(page.body.contains("Page 1 of 25"));
    assert_eq!(server.get("/?page=25").body.matches("<tr data-id=").count(), 200);
    let metrics = server.get("/metrics").body;
    let published = |line: &&str| line.starts_with("haul_migration_state{") && line.ends_with("state=\"published\"} 1");
    assert_eq!(metrics.lines().filter(published).count(), MIGRATIONS);
    assert_eq!(server.list().len(), MIGRATIONS);
    // All of it once more, in the other format.
    let open =
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\nConnection: close\r\n\r\n";
    assert!(crate::support::http::ask(server.address, open).body.ends_with("# EOF\n"));
    let peak = server.memory_peak_kib();
    assert!(peak < 100 << 10, "{peak} KiB");
}
