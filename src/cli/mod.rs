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
mod completions;
mod confirm;
#[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
mod db;
#[cfg(feature = "space")]
mod demo;
mod error_output;
#[cfg(any(feature = "cas", feature = "manifest", feature = "space"))]
mod estimate_args;
#[cfg(any(feature = "cas", feature = "manifest", feature = "space"))]
mod estimate_text;
mod habits;
mod limits;
mod man;
#[cfg(feature = "manifest")]
mod manifest;
mod metrics_args;
mod output;
#[cfg(any(feature = "cas", feature = "manifest", feature = "space"))]
mod owner;
#[cfg(any(feature = "cas", feature = "manifest"))]
mod place;
mod progress;
mod report;
#[cfg(feature = "serve")]
mod serve;
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

use self::arguments::OutputArgs;
use crate::migration::{escaped, redacted};
use crate::observe::{Console, Shape};

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
    /// Show every migration at or below a directory, running or not; changes nothing
    Status(status::Status),
    /// Serve pages, JSON and metrics of the migrations below some directories, for a browser and for Prometheus
    #[cfg(feature = "serve")]
    Serve(serve::Serve),
    /// Show the report of a run, or make a page for a browser of it
    Report(report::ReportCommand),
    /// Print what makes a shell complete the words of haul
    Completions(completions::CompletionsCommand),
    /// Print the manual, or write a page for each command
    Man(man::ManCommand),
}

impl Noun {
    /// Returns how results and progress are shown.
    fn output_args(&self) -> OutputArgs {
        match self {
            #[cfg(feature = "space")]
            Self::Demo(demo) => demo.output,
            #[cfg(feature = "space")]
            Self::Space(verb) => verb.output(),
            #[cfg(feature = "cas")]
            Self::Cas(verb) => verb.output(),
            #[cfg(feature = "manifest")]
            Self::Manifest(verb) => verb.output(),
            #[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
            Self::Db(verb) => verb.output(),
            #[cfg(feature = "upgrade")]
            Self::Upgrade(verb) => verb.output(),
            Self::Report(command) => command.output,
            Self::Completions(command) => command.output,
            Self::Man(command) => command.output,
            Self::Status(status) => status.output,
            #[cfg(feature = "serve")]
            Self::Serve(serve) => serve.output,
        }
    }

    fn run(self) -> anyhow::Result<u8> {
        match self {
            #[cfg(feature = "space")]
            Self::Demo(demo) => demo.run(),
            #[cfg(feature = "space")]
            Self::Space(verb) => verb.run(),
            #[cfg(feature = "cas")]
            Self::Cas(verb) => verb.run(),
            #[cfg(feature = "manifest")]
            Self::Manifest(verb) => verb.run(),
            #[cfg(any(feature = "db-sqlite", feature = "db-postgres"))]
            Self::Db(verb) => verb.run(),
            #[cfg(feature = "upgrade")]
            Self::Upgrade(verb) => verb.run(),
            Self::Report(command) => command.run(),
            Self::Completions(command) => command.run(Cli::command()),
            Self::Man(command) => command.run(Cli::command()),
            Self::Status(status) => status.run(),
            #[cfg(feature = "serve")]
            Self::Serve(serve) => serve.run(),
        }
    }
}

/// Runs the command that the process was started with and returns its exit code.
pub fn main() -> u8 {
    signals::listen_from_now_on();
    limits::meet();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let output = cli.noun.output_args();
    output.shape_console();
    cli.noun.run().unwrap_or_else(|error| error_output::report(&error, output.json))
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
    let shown = shown.as_ref().unwrap_or(error);
    if shown.use_stderr() {
        shape_by_words(&words);
        Console::new().text(&styled(shown));
    } else {
        // If standard output is closed, the exit code still tells.
        let _ = shown.print();
    }
    u8::try_from(error.exit_code()).unwrap_or(crate::migration::exit::USAGE)
}

/// Gives standard error the form that a command line asks for which cannot be parsed.
fn shape_by_words(words: &[OsString]) {
    let wants = |value: &str| {
        let joined = format!("--progress={value}");
        words.iter().any(|word| *word == *joined)
            || words.windows(2).any(|two| two[0] == "--progress" && two[1] == value)
    };
    if wants("json") {
        Console::new().set_shape(Shape::Progress);
    } else if wants("events") {
        Console::new().set_shape(Shape::Events);
    }
}

/// Returns the message with colors where a terminal shows them.
fn styled(error: &clap::Error) -> String {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let has_colors = Console::is_terminal()
        && Console::new().shape() == Shape::Text
        && !is_set("NO_COLOR")
        && std::env::var_os("TERM").is_some_and(|name| name != "dumb");
    let text = error.render();
    if has_colors { text.ansi().to_string() } else { text.to_string() }
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
