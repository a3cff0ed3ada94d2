//! The rooms of the source tree import downwards only, and the stores' rooms never import each other.

use std::fs;
use std::path::{Path, PathBuf};

/// From top to bottom; rooms on one level do not know each other.
const LEVELS: [&[&str]; 7] = [
    &["cli"],
    &["observe"],
    &["space", "cas", "manifest", "db", "upgrade"],
    &["estimate"],
    &["migration"],
    &["pipeline"],
    &["durable"],
];

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Rooms that a source text names through `crate::` or, in the binary, `haul::`.
fn rooms_named(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| {
        ["crate::", "haul::"].iter().flat_map(move |prefix| line.split(prefix).skip(1).map(str::to_owned))
    })
    .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect())
    .collect()
}

#[test]
fn imports_go_down_the_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 30, "the sources are where they are expected");
    for path in files {
        let relative = path.strip_prefix(&root).expect("below the root");
        let room = relative.components().next().expect("a room").as_os_str().to_string_lossy().into_owned();
        let Some(own) = level(&room) else { continue };
        for named in rooms_named(&fs::read_to_string(&path).expect("a source")) {
            let Some(other) = level(&named) else { continue };
            let fine = other > own || named == room;
            assert!(fine, "{} imports {named}, which is not below {room}", relative.display());
        }
    }
}

#[test]
fn names_are_found_in_code_and_not_in_comments() {
    assert_eq!(
        rooms_named("use crate::durable::{Disk};\n// use crate::cli;\nlet x = haul::space::y();"),
        ["durable", "space"]
    );
}
