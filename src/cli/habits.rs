//! Answers to a verb without its noun, as users of other tools write it: `haul migrate DIR`.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::Command;

use crate::migration::{Error, redacted, shell_word};

/// Names that are looked at in a directory to see what it is.
const NAMES_MAX: usize = 10_000;

/// Returns the error for a command line whose first word is a verb of some nouns, `None` if it is not. `words` are all
/// words after the name of the program.
pub fn verb_without_noun(command: &Command, words: &[OsString]) -> Option<Error> {
    let verb = words.first()?.to_str()?;
    let has_verb = |noun: &&Command| noun.find_subcommand(verb).is_some();
    let nouns: Vec<&str> = command.get_subcommands().filter(has_verb).map(Command::get_name).collect();
    if nouns.is_empty() {
        return None;
    }
    let directories = words[1..].iter().filter(|word| !word.as_encoded_bytes().starts_with(b"-")).map(Path::new);
    let noun = directories.filter_map(noun_of).find(|noun| nouns.contains(noun));
    let next = match noun {
        Some(noun) => command_with(noun, words),
        None => {
            let commands: Vec<_> = nouns.iter().map(|noun| format!("haul {noun} {verb}")).collect();
            format!("one of: {}", commands.join(", "))
        }
    };
    let what = format!("{verb} needs the kind of store before it: {}", nouns.join(", "));
    Some(Error::Usage { what, next })
}

/// Returns the noun of the store in a directory.
fn noun_of(directory: &Path) -> Option<&'static str> {
    let is_directory = |name: &str| directory.join(name).is_dir();
    if is_directory("wal") {
        Some("space")
    } else if is_directory("objects") || directory.join("index.ndjson").is_file() {
        Some("cas")
    } else if is_directory("artifacts") {
        Some("manifest")
    } else {
        has_migrations(directory).then_some("db")
    }
}

fn has_migrations(directory: &Path) -> bool {
    let entries = fs::read_dir(directory).into_iter().flatten().take(NAMES_MAX).filter_map(Result::ok);
    entries.map(|entry| entry.path()).any(|path| path.extension().is_some_and(|extension| extension == "sql"))
}

/// Returns the command line with the noun where it belongs.
fn command_with(noun: &str, words: &[OsString]) -> String {
    let mut command = format!("haul {noun}");
    let mut directory_is_named = false;
    for word in words {
        // The directory of migrations is an option, because a database is what is migrated.
        if noun == "db" && !directory_is_named && noun_of(Path::new(word)) == Some("db") {
            command.push_str(" --dir");
            directory_is_named = true;
        }
        command.push(' ');
        command.push_str(&shell_word(redacted(&word.to_string_lossy())));
    }
    command
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests lay out directories")]

    use super::*;

    fn advice(words: &[&str]) -> Option<String> {
        let noun = |name: &'static str, verbs: &[&'static str]| {
            verbs.iter().fold(Command::new(name), |noun, verb| noun.subcommand(Command::new(*verb)))
        };
        let command = Command::new("haul")
            .subcommand(noun("space", &["migrate", "publish"]))
            .subcommand(noun("cas", &["migrate", "get"]))
            .subcommand(noun("manifest", &["migrate"]))
            .subcommand(noun("db", &["migrate"]));
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        verb_without_noun(&command, &words).map(|error| error.next_step().unwrap())
    }

    #[test]
    fn the_store_in_the_directory_decides_the_noun() {
        let place = tempfile::tempdir().unwrap();
        let at = |path: &str| place.path().join(path).to_str().unwrap().to_owned();
        for (directory, inside) in [("s", "wal"), ("c", "objects"), ("m", "artifacts"), ("nothing", "")] {
            fs::create_dir_all(place.path().join(directory).join(inside)).unwrap();
        }
        fs::create_dir(place.path().join("sql dir")).unwrap();
        fs::write(place.path().join("sql dir/001_x.sql"), "").unwrap();
        let (space, store, tree) = (at("s"), at("c"), at("m"));
        assert_eq!(advice(&["migrate", &space]).unwrap(), format!("haul space migrate {space}"));
        let named = advice(&["migrate", "--source", &store, "--target", "new"]).unwrap();
        assert_eq!(named, format!("haul cas migrate --source {store} --target new"));
        assert_eq!(
            advice(&["migrate", &tree, "--dry-run"]).unwrap(),
            format!("haul manifest migrate {tree} --dry-run")
        );
        assert_eq!(advice(&["migrate", &at("sql dir")]).unwrap(), format!("haul db migrate --dir '{}'", at("sql dir")));
        let unknown = "one of: haul space migrate, haul cas migrate, haul manifest migrate, haul db migrate";
        assert_eq!(advice(&["migrate", &at("nothing")]).unwrap(), unknown);
        assert_eq!(advice(&["migrate"]).unwrap(), unknown);
        assert_eq!(advice(&["get", &space]).unwrap(), "one of: haul cas get", "that noun has no such verb");
        assert_eq!(advice(&["teleport", &space]), None);
        assert_eq!(advice(&[]), None);
    }
}
