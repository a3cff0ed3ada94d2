//! One mistake, one answer: what is not there has the same exit code and the same shape of message in every verb.

use crate::support::haul::Done;
use crate::support::place::Place;

/// Commands about a path `none`; KEY is some key.
const ABOUT_NOTHING: &[&str] = &[
    "space stats none",
    "space plan none",
    "space estimate none",
    "space migrate none",
    "space migrate none --dry-run",
    "space migrate --all --data-dir none",
    "space ls --data-dir none",
    "space status none",
    "space verify none",
    "space publish none",
    "space rollback none",
    "space export none --to new",
    "space clean none",
    "space get x --space none",
    "cas plan --source none --target new",
    "cas estimate --source none --target new",
    "cas migrate --source none --target new",
    "cas migrate --source none --target new --dry-run",
    "cas status none",
    "cas verify none",
    "cas verify none --repair --yes",
    "cas rollback none",
    "cas clean none",
    "cas info none KEY",
    "cas ls none",
    "cas get none KEY",
    "cas put new none",
    "cas rewrite-refs . --map none",
    "cas rewrite-refs none --map none",
    "cas validate --source none --target none --map none",
    "cas doctor --store none",
    "cas request-upgrade none",
    "cas result-check none",
    "cas map check --map none",
    "cas map find KEY --map none",
    "cas map export --map none",
    "cas map index --map none",
    "manifest plan none",
    "manifest migrate none",
    "manifest migrate none --dry-run",
    "manifest status none",
    "manifest verify none",
    "manifest rollback none --run last",
    "manifest history none x",
    "manifest accept none x",
    "manifest runs none",
    "manifest clean none",
    "manifest reindex none --rows jsonl",
    "manifest query none",
    "manifest read none",
    "manifest validate none",
    "db status --database sqlite:x.db --dir none",
    "db migrate --database sqlite:x.db --dir none",
    "db verify --database sqlite:x.db --dir none",
    "db rollback --steps 1 --database sqlite:x.db --dir none",
    "db lint --dir none",
];

fn run(place: &Place, command: &str) -> Done {
    let command = command.replace("KEY", &"0".repeat(64));
    place.run(&command.split(' ').collect::<Vec<_>>())
}

#[test]
fn what_is_not_there_has_one_answer() {
    let place = Place::new();
    for command in ABOUT_NOTHING {
        let done = run(&place, command);
        let said = format!("{command}: {}", done.stderr);
        assert_eq!(done.code, 2, "{said}");
        assert_eq!(done.stdout, "", "{said}");
        let lines: Vec<_> = done.stderr.lines().collect();
        let [.., error, next] = &lines[..] else { panic!("{said}") };
        assert!(error.starts_with("error: ") && error.contains("none") && next.starts_with("next: "), "{said}");
        let made: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(made.is_empty(), "{command} made {made:?}");
    }
}

#[test]
fn a_missing_word_and_a_wrong_one_have_one_answer() {
    let place = Place::new();
    for noun in ["space", "cas", "manifest", "db"] {
        for command in [format!("{noun} migrate --no-such-option"), format!("{noun} no-such-verb"), noun.to_owned()] {
            let done = run(&place, &command);
            assert_eq!((done.code, &*done.stdout), (2, ""), "{command}: {}", done.stderr);
            assert!(done.stderr.contains("Usage: haul"), "{command}: {}", done.stderr);
        }
    }
    let without =
        ["space verify", "space get", "cas verify", "cas migrate", "cas get", "manifest verify", "manifest read"];
    for command in without {
        let done = run(&place, command);
        let is_said = done.stderr.starts_with("error: the following required arguments were not provided:");
        assert!(done.code == 2 && is_said, "{command}: {}", done.stderr);
    }
}
