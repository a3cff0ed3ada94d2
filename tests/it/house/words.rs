//! Words that this project does not use in its sources, documents and messages: archaic ones, and a vocabulary of its own
//! that a reader would have to learn.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::sources::repository;

/// Each phrase as its words in their order; `…` stands for up to three words.
const UNWANTED: [&str; 33] = [
    "anew",
    "whoever",
    "whomever",
    "hollow",
    "foretell",
    "foretells",
    "foretold",
    "beside",
    "go forth",
    "goes forth",
    "went forth",
    "going forth",
    "take back",
    "takes back",
    "taken back",
    "took back",
    "taking back",
    "is told",
    "are told",
    "was told",
    "were told",
    "be told",
    "there is to",
    "there was to",
    "hold … against",
    "holds … against",
    "held … against",
    "becomes of",
    "became of",
    "become of",
    "by lot",
    "draws lots",
    "drawn lots",
];
const GAP_WORDS_MAX: usize = 3;

/// Files that still have some, and how many. Counts shrink; no entry may be added.
const LEFT: &str = include_str!("words_left.txt");

/// Returns the words of a text in small letters, and `.` at the end of a sentence. Names in code are split at `_`.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    let mut word = String::new();
    while let Some(c) = chars.next() {
        if c.is_alphabetic() || c == '\'' {
            word.extend(c.to_lowercase());
            continue;
        }
        if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c == '.' && chars.peek().is_none_or(|next| next.is_whitespace()) {
            words.push(".".to_owned());
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// True if the words begin with a phrase.
fn begins(words: &[String], phrase: &[&str]) -> bool {
    match phrase {
        [] => true,
        ["…", last] => {
            let window = words.iter().take(GAP_WORDS_MAX + 1).take_while(|word| *word != ".");
            window.into_iter().any(|word| word == last)
        }
        [first, rest @ ..] => words.first().is_some_and(|word| word == first) && begins(&words[1..], rest),
    }
}

/// Returns the unwanted phrases in a text, each as often as it is there.
fn unwanted(text: &str) -> Vec<&'static str> {
    let words = words(text);
    let phrases = UNWANTED.map(|phrase| (phrase, phrase.split(' ').collect::<Vec<_>>()));
    let at = |rest: &[String]| -> Vec<&'static str> {
        phrases.iter().filter(|(_, parts)| begins(rest, parts)).map(|(phrase, _)| *phrase).collect()
    };
    (0..words.len()).flat_map(|start| at(&words[start..])).collect()
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            collect(&entry.expect("an entry").path(), found);
        }
    } else {
        found.push(path.to_path_buf());
    }
}

/// Unwanted phrases of each file that has some.
fn found() -> BTreeMap<String, Vec<&'static str>> {
    let mut files = Vec::new();
    ["src", "docs", "README.md"].iter().for_each(|part| collect(&repository().join(part), &mut files));
    // Pictures have no words.
    files.retain(|path| path.extension().is_none_or(|extension| extension != "png"));
    assert!(files.len() > 100, "the files are where they are expected");
    let read = |path: PathBuf| {
        let unwanted = unwanted(&fs::read_to_string(&path).expect("text"));
        let name = path.strip_prefix(repository()).expect("below it").to_str().expect("text").to_owned();
        (!unwanted.is_empty()).then_some((name, unwanted))
    };
    files.into_iter().filter_map(read).collect()
}

#[test]
fn unwanted_words_are_not_used() {
    let entry = |line: &'static str| line.split_once(' ').expect("a count and a path");
    let left: BTreeMap<&str, usize> =
        LEFT.lines().map(entry).map(|(count, path)| (path, count.parse().expect("a count"))).collect();
    let found = found();
    let more: Vec<_> = found
        .iter()
        .filter(|(path, phrases)| phrases.len() > left.get(path.as_str()).copied().unwrap_or(0))
        .map(|(path, phrases)| format!("{path}: {}", phrases.join(", ")))
        .collect();
    assert!(more.is_empty(), "say it in plain words:\n{}", more.join("\n"));
    let done: Vec<_> = left.keys().filter(|path| !found.contains_key(**path)).collect();
    assert!(done.is_empty(), "no such words are left here, remove the entries: {done:?}");
}

#[test]
fn phrases_are_found_across_lines_and_not_across_sentences() {
    let text = "/// What is left is told\n/// a new. Sizes are held, once\n/// more, against `taken_back`. It is held. Against it: besides.";
    assert_eq!(unwanted(text), ["is told", "held … against", "taken back"]);
}
