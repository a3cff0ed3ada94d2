//! The command line: parses arguments, makes one library call, and renders its result. Nothing imports this room.
//!
//! Data goes to standard output, everything else to standard error. With `--json` standard output gets one document:
//! the result, or `{"error": …}` as `error_output` describes. Exit codes are those of [`exit`](crate::migration::exit).

mod arguments;
#[cfg(feature = "cas")]
mod cas;
mod clean;
mod command;
mod command_line;
mod confirm;
#[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
mod db;
#[cfg(feature = "space")]
mod demo;
mod error_output;
mod estimate_text;
mod habits;
mod limits;
#[cfg(feature = "manifest")]
mod manifest;
mod output;
#[cfg(any(feature = "cas", feature = "manifest", feature = "space"))]
mod owner;
#[cfg(any(feature = "cas", feature = "manifest"))]
mod place;
mod progress;
mod signals;
#[cfg(feature = "space")]
mod space;
mod status;
mod table;
#[cfg(feature = "upgrade")]
mod upgrade;
mod verbs;

use std::env::args_os;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::migration::{escaped, redacted};

/// Migrate stores in bulk: offline, in parallel, with proof that nothing was lost
#[derive(Parser)]
#[command(name = "haul", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done or nothing to do, 1 failed, 2 usage, 3 finished but records were refused, \
                        65 bad data, 70 conflict, 75 stopped or temporary (run the same command again), 76 fenced.")]
struct Cli {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Subcommand)]
enum Noun {
    /// Generate a space, migrate it, verify it, and show how to roll it back
    #[cfg(feature = "space")]
    Demo(demo::Demo),
    /// Engram memory spaces: from the log of episodes to the dual-memory store
    #[command(subcommand)]
    #[cfg(feature = "space")]
    Space(space::Verb),
    /// Content-addressed stores: from any generation to BLAKE3 keys in the v2 layout
    #[command(subcommand)]
    #[cfg(feature = "cas")]
    Cas(cas::Verb),
    /// Trees of versioned JSON manifests: from any version to any later one, in place
    #[command(subcommand)]
    #[cfg(feature = "manifest")]
    Manifest(manifest::Verb),
    /// SQLite and PostgreSQL databases: apply, roll back and verify versioned migrations
    #[command(subcommand)]
    #[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
    Db(db::Verb),
    /// Sets of SQLite databases: from one release of an application to the next, all or none
    #[command(subcommand)]
    #[cfg(feature = "upgrade")]
    Upgrade(upgrade::Verb),
    Status(status::Status),
}

/// Runs the command that the process was started with and returns its exit code.
pub fn main() -> u8 {
    limits::meet();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let (json, result) = match cli.noun {
        #[cfg(feature = "space")]
        Noun::Demo(demo) => (demo.output.json, demo.run()),
        #[cfg(feature = "space")]
        Noun::Space(verb) => (verb.output().json, verb.run()),
        #[cfg(feature = "cas")]
        Noun::Cas(verb) => (verb.output().json, verb.run()),
        #[cfg(feature = "manifest")]
        Noun::Manifest(verb) => (verb.output().json, verb.run()),
        #[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
        Noun::Db(verb) => (verb.output().json, verb.run()),
        #[cfg(feature = "upgrade")]
        Noun::Upgrade(verb) => (verb.output().json, verb.run()),
        Noun::Status(status) => (status.json, status.run()),
    };
    result.unwrap_or_else(|error| error_output::report(&error, json))
}

/// Says why the command line cannot be parsed, or prints the help or the version that it asks for.
fn refuse(error: &clap::Error) -> u8 {
    let words: Vec<_> = args_os().skip(1).collect();
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(error) = habits::verb_without_noun(&Cli::command(), &words)
    {
        return error_output::report(&error.into(), words.iter().any(|word| word == "--json"));
    }
    // The message quotes words, so it is made again from words that a terminal can show.
    let shown = Cli::try_parse_from(args_os().map(shown_word)).err();
    // If standard error is closed, the exit code still tells.
    let _ = shown.as_ref().unwrap_or(error).print();
    u8::try_from(error.exit_code()).unwrap_or(crate::migration::exit::USAGE)
}

/// Returns the word as it is shown: without the password of a URL. Bytes that are no text stay: the message shows each as
/// `U+FFFD`.
fn shown_word(word: OsString) -> OsString {
    let mut shown = Vec::with_capacity(word.len());
    for chunk in word.as_bytes().utf8_chunks() {
        shown.extend_from_slice(escaped(&redacted(chunk.valid())).as_bytes());
        shown.extend_from_slice(chunk.invalid());
    }
    OsString::from_vec(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_text_is_shown_without_what_drives_a_terminal() {
        let shown = shown_word(OsString::from_vec(b"x\xe2\x80\xae\nerror: forged\xff\x1b[1m".to_vec()));
        assert_eq!(shown.as_bytes(), b"x\\u{202e}\\u{a}error: forged\xff\\u{1b}[1m");
        assert_eq!(shown_word("--url=postgres://me:k3y@h/x".into()), "--url=postgres://me:***@h/x");
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
