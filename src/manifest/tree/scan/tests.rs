#![allow(clippy::disallowed_methods, reason = "tests lay out a tree")]

use std::fs;
use std::os::unix::fs::symlink;

use super::*;
use crate::durable::source_root;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new(files: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        fs::create_dir(tree.0.path().join(ARTIFACTS)).unwrap();
        for file in files {
            let path = tree.0.path().join(ARTIFACTS).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"{}").unwrap();
        }
        tree
    }

    fn scan(&self, layout: Layout, after: &str, page_names: usize) -> Vec<String> {
        let root = source_root(self.0.path()).unwrap();
        let scan = Scan::with_page(root, layout, after.as_bytes().to_vec(), page_names).unwrap();
        scan.map(|entry| {
            let path = entry.path.to_str().unwrap().strip_prefix("artifacts/").unwrap().to_owned();
            match entry.found {
                Found::Manifest => path,
                Found::Skipped(reason) => format!("{path} {reason:?}"),
                Found::Leftover => format!("{path} Leftover"),
                Found::Unreadable(error) => format!("{path} {}", error.kind()),
            }
        })
        .collect()
    }

    fn all(&self, layout: Layout) -> Vec<String> {
        self.scan(layout, "", PAGE_NAMES)
    }
}

#[test]
fn manifests_are_found_in_the_layout_and_all_others_are_reported() {
    let tree = Tree::new(&[
        "manifest.json",
        "job/manifest.json",
        "job/run/manifest.json",
        "job/run/.manifest.json.haul-tmp",
        "job/run/notes.json",
        "job/run/inputs/manifest.json",
        "job/run/part/manifest.json",
        "job/.tmp/manifest.json",
        ".git/manifest.json",
        "runs/legacy/manifest.json",
        "job/odd/manifest.json/x",
    ]);
    let artifacts = tree.0.path().join(ARTIFACTS);
    symlink("run", artifacts.join("job/link")).unwrap();
    symlink("nowhere", artifacts.join("job/odd/dangling")).unwrap();
    let canonical = [
        ".git/ Hidden",
        "job/.tmp/ Hidden",
        "job/link Link",
        "job/manifest.json OutsideLayout",
        "job/odd/dangling Link",
        "job/odd/manifest.json/ NotAFile",
        "job/run/.manifest.json.haul-tmp Leftover",
        "job/run/inputs/ Inputs",
        "job/run/manifest.json",
        "job/run/part/manifest.json OutsideLayout",
        "manifest.json OutsideLayout",
        "runs/legacy/manifest.json",
    ];
    assert_eq!(tree.all(Layout::Canonical), canonical);
    let recursive = canonical.map(|line| line.strip_suffix(" OutsideLayout").unwrap_or(line));
    assert_eq!(tree.all(Layout::Recursive), recursive);
}

#[test]
fn entries_come_in_the_order_of_path_bytes_for_all_pages_and_places() {
    let names = ["a", "a-b", "a.b", "a0", "b", "é", "B"];
    let files: Vec<_> =
        names.iter().flat_map(|job| names.iter().map(move |run| format!("{job}/{run}/manifest.json"))).collect();
    let tree = Tree::new(&files.iter().map(String::as_str).collect::<Vec<_>>());
    let mut expected = files.clone();
    expected.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for page_names in [1, 2, 3, PAGE_NAMES] {
        assert_eq!(tree.scan(Layout::Canonical, "", page_names), expected, "pages of {page_names}");
        for (index, place) in expected.iter().enumerate() {
            let rest = tree.scan(Layout::Canonical, &format!("artifacts/{place}"), page_names);
            assert_eq!(rest, expected[index + 1..], "after {place}, pages of {page_names}");
        }
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_reported() {
    let tree = Tree::new(&["job/run/manifest.json", "job/z/manifest.json"]);
    let deny = |tree: &Tree| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(tree.0.path().join("artifacts/job/run"), fs::Permissions::from_mode(0o000)).unwrap();
    };
    deny(&tree);
    // A superuser reads it all the same.
    let expected = match fs::read_dir(tree.0.path().join("artifacts/job/run")) {
        Ok(_) => "job/run/manifest.json".to_owned(),
        Err(_) => "job/run/ permission denied".to_owned(),
    };
    assert_eq!(tree.all(Layout::Canonical), [expected, "job/z/manifest.json".to_owned()]);
}

#[test]
fn a_scan_fails_if_artifacts_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let start = || Scan::start(source_root(root.path()).unwrap(), Layout::Canonical, Vec::new());
    assert_eq!(start().err().unwrap().kind(), ErrorKind::NotFound);
    symlink("/", root.path().join(ARTIFACTS)).unwrap();
    assert!(start().is_err(), "a link out of the tree is not followed");
}
