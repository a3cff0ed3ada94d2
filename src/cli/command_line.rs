//! Commands in the words of a shell, for messages that tell what to run.

use std::env::args_os;
use std::path::Path;

use crate::migration::redacted;

/// Options that must not be repeated when a stopped command is run again.
const NOT_AGAIN: [&str; 2] = ["--restart", "--yes"];

/// Returns the step after a stop: the command that this process was started with, as it resumes.
pub fn run_again() -> String {
    // A URL among the words may have a password, and what is printed may end up in a log.
    let words = args_os().map(|word| word.to_string_lossy().into_owned());
    let kept: Vec<_> =
        words.filter(|word| !NOT_AGAIN.contains(&&**word)).map(|word| quoted(&redacted(&word))).collect();
    format!("run again: {}", kept.join(" "))
}

/// Returns `haul space VERB --space ROOT`.
pub fn space_command(verb: &str, root: &Path) -> String {
    format!("{} space {verb} --space {}", program(), quoted(&root.display().to_string()))
}

/// Returns `haul cas VERB STORE`.
pub fn cas_command(verb: &str, store: &Path) -> String {
    format!("{} cas {verb} {}", program(), quoted(&store.display().to_string()))
}

/// Returns `haul manifest VERB APP_ROOT`.
pub fn manifest_command(verb: &str, root: &Path) -> String {
    format!("{} manifest {verb} {}", program(), quoted(&root.display().to_string()))
}

/// Returns the name that the process was started by.
fn program() -> String {
    args_os().next().map_or_else(|| "haul".to_owned(), |word| quoted(&word.to_string_lossy()))
}

/// Quotes the word if a shell would not read it back unchanged.
pub fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        let words = ["a/b-c", "", "a b", "it's", "$x"].map(quoted);
        assert_eq!(words, ["a/b-c", "''", "'a b'", r"'it'\''s'", "'$x'"]);
    }
}
