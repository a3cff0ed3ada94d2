//! What lies below a directory, for comparison.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Paths below a directory, and what is there: kind, mode and the digest of the bytes.
pub type Tree = BTreeMap<String, String>;

/// Returns everything below `root` for which `is_wanted` holds of its path relative to `root`. What is missing is empty.
pub fn tree(root: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Tree {
    let mut found = Tree::new();
    visit(root, root, is_wanted, &mut found);
    found
}

fn visit(root: &Path, directory: &Path, is_wanted: &dyn Fn(&str) -> bool, found: &mut Tree) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
        if !is_wanted(&name) {
            continue;
        }
        let Ok(status) = path.symlink_metadata() else { continue };
        let mode = status.permissions().mode() & 0o7777;
        if status.is_dir() {
            found.insert(format!("{name}/"), format!("{mode:o}"));
            visit(root, &path, is_wanted, found);
        } else if status.is_file() {
            let bytes = fs::read(&path).unwrap_or_default();
            found.insert(name, format!("{mode:o} {} {}", bytes.len(), &blake3::hash(&bytes).to_hex()[..16]));
        } else {
            found.insert(name, "neither a file nor a directory".into());
        }
    }
}

/// Returns the lengths and digests of the files whose paths are wanted, however they are called.
pub fn contents(tree: &Tree, is_wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let files = tree.iter().filter(|(name, _)| !name.ends_with('/') && is_wanted(name));
    files.filter_map(|(_, what)| Some(what.split_once(' ')?.1.to_owned())).collect()
}

/// Says in one line what differs, for the results.
pub fn difference(expected: &Tree, found: &Tree) -> String {
    let missing: Vec<_> = expected.keys().filter(|name| !found.contains_key(*name)).collect();
    let extra: Vec<_> = found.keys().filter(|name| !expected.contains_key(*name)).collect();
    let other: Vec<_> = expected.iter().filter(|(name, what)| found.get(*name).is_some_and(|it| it != *what)).collect();
    let first = missing.first().or(extra.first()).map(|name| name.as_str()).or(other.first().map(|it| it.0.as_str()));
    format!("{} missing, {} extra, {} other, first {:?}", missing.len(), extra.len(), other.len(), first.unwrap_or("-"))
}
