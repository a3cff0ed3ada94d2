//! Commands in the words of a shell, for messages that tell what to run.

use std::env::args_os;
use std::ffi::OsString;
use std::path::Path;

use crate::migration::{redacted, shell_word};

/// Options that must not be repeated when a stopped command is run again.
const NOT_AGAIN: [&str; 2] = ["--restart", "--yes"];

/// Which word is the verb, behind the program and the noun.
const VERB_AT: usize = 2;

/// Returns the step after a stop: the command that this process was started with, as it resumes.
pub fn run_again() -> String {
    let kept = args_os().filter(|word| NOT_AGAIN.iter().all(|option| word != option));
    format!("run again: {}", shown(kept))
}

/// Returns the command that this process was started with, with another verb: what it says of the databases and of the
/// rules counts for every phase of an upgrade.
pub fn same_with_verb(verb: &str) -> String {
    let kept = args_os().filter(|word| word != "--json" && NOT_AGAIN.iter().all(|option| word != option));
    shown(kept.enumerate().map(|(at, word)| if at == VERB_AT { verb.into() } else { word }))
}

fn shown(words: impl Iterator<Item = OsString>) -> String {
    // A URL among the words may have a password, and what is printed may end up in a log.
    let word = |word: OsString| match word.to_str() {
        Some(text) => shell_word(redacted(text)),
        None => shell_word(word),
    };
    words.map(word).collect::<Vec<_>>().join(" ")
}

/// Returns `haul space VERB --space ROOT`.
pub fn space_command(verb: &str, root: &Path) -> String {
    format!("{} space {verb} --space {}", program(), shell_word(root))
}

/// Returns `haul cas VERB STORE`.
pub fn cas_command(verb: &str, store: &Path) -> String {
    format!("{} cas {verb} {}", program(), shell_word(store))
}

/// Returns `haul manifest VERB APP_ROOT`.
pub fn manifest_command(verb: &str, root: &Path) -> String {
    format!("{} manifest {verb} {}", program(), shell_word(root))
}

/// Returns the name that the process was started by.
fn program() -> String {
    args_os().next().map_or_else(|| "haul".to_owned(), shell_word)
}
