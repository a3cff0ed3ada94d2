//! No two files of the library import each other, directly or through others.

use super::imports::{circles, graph};
use super::sources::sources;

#[test]
fn no_file_imports_one_that_leads_back_to_it() {
    let graph = graph(&sources());
    let imports: usize = graph.values().map(|files| files.len()).sum();
    assert!(imports > 1_000, "{imports} imports were found");
    let shown = |circle: &Vec<String>| {
        let within =
            |file: &String| graph[file].iter().filter(|other| circle.contains(other)).cloned().collect::<Vec<_>>();
        let lines = circle.iter().map(|file| format!("{file} imports {}", within(file).join(", ")));
        lines.collect::<Vec<_>>().join("\n")
    };
    let found: Vec<_> = circles(&graph).iter().map(shown).collect();
    assert!(found.is_empty(), "circles:\n{}", found.join("\n\n"));
}
