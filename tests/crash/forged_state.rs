//! State files whose digests are right and whose content is not: whatever names they hold, no command touches anything
//! outside of the store.

use crate::forged::{Recorded, TEXTS, VERBS, with_text};
use crate::sample::{sampled_or_full, thinned};

/// Texts of one file that are replaced at most.
const TEXTS_OF_FILE_MAX: usize = 200;

fn check(recorded: &Recorded) {
    let (mut tried, mut names) = (0, std::collections::BTreeSet::new());
    let end = recorded.disk.operations();
    for operations in [end * 2 / 3, end * 9 / 10, end] {
        let files = recorded.files(operations);
        for path in recorded.state_files(&files) {
            names.insert(path.file_name().expect("a name").to_owned());
            let content = recorded.content(&path, &files[&path]);
            let count = (0..TEXTS_OF_FILE_MAX).take_while(|&number| with_text(content, number, "x").is_some()).count();
            // The first text of each file is tried in any case: most have few.
            for number in (0..count.min(2)).chain(thinned(2..count, sampled_or_full(9, 1))) {
                let text = TEXTS[(number + tried) % TEXTS.len()];
                let mut forged = files.clone();
                recorded.forge(&mut forged, &path, with_text(content, number, text).expect("it was counted"));
                for verb in VERBS {
                    let what = || format!("{} after {operations}: text {number} is {text:?}", path.display());
                    recorded.try_verb(verb, &forged, &what);
                }
                tried += 1;
            }
        }
    }
    println!("{tried} forged files: {names:?}");
    assert!(tried > 10, "{names:?}");
}

#[test]
fn forged_state_of_a_space_leads_nowhere() {
    check(&Recorded::space());
}

#[test]
fn forged_state_of_an_object_store_leads_nowhere() {
    check(&Recorded::cas());
}

#[test]
fn forged_state_of_a_tree_leads_nowhere() {
    check(&Recorded::manifests());
}
