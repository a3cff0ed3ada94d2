//! No folder has more files than a reader looks through.

use std::collections::BTreeMap;

use super::sources::sources;

const FILES_MAX: usize = 25;

/// Folders that are larger, and their files. An entry goes when its folder is split; none may be added.
const LARGER: [(&str, usize); 0] = [];

#[test]
fn folders_are_small() {
    let mut files = BTreeMap::<String, usize>::new();
    for source in sources() {
        let folder = source.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *files.entry(folder.to_owned()).or_default() += 1;
    }
    for (folder, count) in &files {
        let allowed = LARGER.iter().find(|(name, _)| name == folder).map_or(FILES_MAX, |(_, allowed)| *allowed);
        assert!(*count <= allowed, "src/{folder} has {count} files: split it into folders that say what they hold");
    }
    for (folder, _) in LARGER {
        let count = files.get(folder).copied().unwrap_or(0);
        assert!(count > FILES_MAX, "src/{folder} has {count} files: remove its entry");
    }
}
