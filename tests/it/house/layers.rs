//! The rooms of the source tree import downwards only, and the stores' rooms never import each other.

use std::collections::BTreeSet;

use super::sources::{Source, repository, sources};

/// From top to bottom; rooms on one level do not know each other.
const LEVELS: [&[&str]; 8] = [
    &["cli"],
    &["serve"],
    &["observe"],
    &["estimate", "requiem", "upgrade"],
    &["space", "cas", "manifest", "db"],
    &["migration"],
    &["pipeline"],
    &["durable"],
];

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

/// Returns the room that a file below `src` lies in, or its own name if it lies in none.
fn room(source: &Source) -> &str {
    source.path.split('/').next().expect("a first part")
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
    for source in sources() {
        let own_room = room(&source);
        let Some(own) = level(own_room) else { continue };
        for named in rooms_named(&source.text) {
            let Some(other) = level(&named) else { continue };
            let is_below = other > own || named == own_room;
            assert!(is_below, "{} imports {named}, which is not below {own_room}", source.path);
        }
    }
}

#[test]
fn the_list_names_each_room_and_nothing_else() {
    let listed: BTreeSet<_> = LEVELS.concat().into_iter().map(str::to_owned).collect();
    let entries =
        std::fs::read_dir(repository().join("src")).expect("the sources").map(|entry| entry.expect("an entry"));
    let rooms =
        entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().into_string().expect("text"));
    assert_eq!(listed, rooms.collect());
}

#[test]
fn names_are_found_in_code_and_not_in_comments() {
    assert_eq!(
        rooms_named("use crate::durable::Disk;\n// use crate::cli;\nlet x = haul::space::y();"),
        ["durable", "space"]
    );
}
