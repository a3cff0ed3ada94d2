//! The guides of the repository name files and folders that exist.

use std::fs;

use super::sources::repository;

const GUIDES: [&str; 2] = ["ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Texts in backticks and targets of links.
fn marked(text: &str) -> Vec<&str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let linked = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    quoted.chain(linked).collect()
}

/// True of a text that is the path of something in the repository, and not a pattern for several.
fn is_path(text: &str) -> bool {
    let first = text.split('/').next().unwrap_or_default();
    let is_inside = text.contains('/') && !first.is_empty() && repository().join(first).is_dir();
    let is_at_root = !text.contains('/') && [".md", ".toml"].iter().any(|end| text.ends_with(end));
    (is_inside || is_at_root) && !text.contains(['<', ' ', '*'])
}

#[test]
fn paths_that_the_guides_name_exist() {
    let mut missing = Vec::new();
    for guide in GUIDES {
        let text = fs::read_to_string(repository().join(guide)).expect("a guide");
        let paths: Vec<_> = marked(&text).into_iter().filter(|text| is_path(text)).collect();
        assert!(paths.len() > 10, "{guide} names {paths:?} only");
        missing.extend(paths.into_iter().filter(|path| !repository().join(path).exists()).map(str::to_owned));
    }
    assert!(missing.is_empty(), "{missing:#?} are named and do not exist");
}

#[test]
fn paths_are_told_from_other_texts() {
    let text =
        "`src/lib.rs` and `Cargo.toml`, [design](docs/design.md); `src/<noun>/`, `space migrate`, `staging/`, `//`";
    let paths: Vec<_> = marked(text).into_iter().filter(|text| is_path(text)).collect();
    assert_eq!(paths, ["src/lib.rs", "Cargo.toml", "docs/design.md"]);
}
