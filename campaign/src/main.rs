//! Tries the real binary in ways that the simulated disk cannot: each system call of it fails, is cut short or is its last
//! one; random commands follow each other and are judged against a model; outputs are compared with the modes of their
//! sources. `scripts/campaign` says how to call it.

mod calls;
mod command;
mod modes;
mod options;
mod results;
mod scene;
pub mod scenes;
mod sequences;
mod tree;

use std::process::ExitCode;
use std::time::Instant;

use options::Options;
use results::Results;

fn main() -> ExitCode {
    let options = match Options::from_arguments() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let mut results = Results::open(&options.results);
    if !options.is_table_only {
        let until = Instant::now() + options.duration;
        // Turns of one trial each, so that every part and noun has its share whenever the campaign is stopped.
        let mut calls = calls::Campaign::new(&options);
        let mut sequences = sequences::Campaign::new(&options);
        while Instant::now() < until {
            if options.takes("calls") {
                calls.turn(&mut results);
            }
            if options.takes("sequences") {
                sequences.turn(&mut results);
            }
        }
        if options.takes("modes") {
            modes::run(&options, &mut results);
        }
    }
    results.print_table();
    if results.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
