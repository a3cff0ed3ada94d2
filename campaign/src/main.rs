//! Tries the real binary in ways that the simulated disk cannot: each system call of it fails, is cut short or is its last
//! one; random commands follow each other and are judged against a model; outputs are compared with the modes of their
//! sources. `scripts/campaign` says how to call it.

mod advice;
mod calls;
mod command;
mod images;
mod judge;
mod modes;
mod options;
mod results;
mod scene;
pub mod scenes;
mod sequences;
mod swaps;
mod tracer;
mod tree;

use std::process::ExitCode;
use std::time::Instant;

use options::Options;
use results::Results;
use scene::Scenes;

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
        let mut scenes = Scenes::new(&options);
        let mut calls = calls::Campaign::new(&options);
        let parts = [swaps::FILES, swaps::DIRECTORIES].into_iter().filter(|part| options.takes(part));
        let mut swaps: Vec<_> = parts.map(|part| swaps::Campaign::new(part, &options)).collect();
        let mut sequences = sequences::Campaign::new(&options);
        let mut images = options.takes("images").then(|| images::Campaign::new(&options)).flatten();
        while Instant::now() < until {
            if options.takes("calls") {
                calls.turn(&mut scenes, &mut results);
            }
            swaps.iter_mut().for_each(|swaps| swaps.turn(&mut scenes, &mut results));
            if options.takes("sequences") {
                sequences.turn(&mut results);
            }
            if let Some(images) = &mut images {
                images.turn(&mut results);
            }
        }
        if options.takes("modes") {
            modes::run(&options, &mut results);
        }
    }
    results.print_table();
    if results.has_failures() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
