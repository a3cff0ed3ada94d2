//! Errors for people and programs.
//!
//! Standard error gets `error: <what>: <cause>: …` and, where there is one, `next: <command or step>`. With `--json`
//! standard output also gets one document:
//!
//! ```json
//! {"error": {"message": "the whole chain", "exit_code": 65, "next": "what to do, or null"}}
//! ```

use serde::Serialize;

use super::command_line::run_again;
use super::output;
use crate::migration::{Error, exit};
use crate::observe::Console;

#[derive(Serialize)]
struct Document {
    error: Failure,
}

#[derive(Serialize)]
struct Failure {
    message: String,
    exit_code: u8,
    next: Option<String>,
}

/// Says what went wrong and what to do next.
pub fn say_error(message: &str, next: Option<&str>) {
    Console::new().error(message, next);
}

/// Reports an error, with `json` also on standard output, and returns the exit code.
pub fn report(error: &anyhow::Error, json: bool) -> u8 {
    let known = error.chain().find_map(|cause| cause.downcast_ref::<Error>());
    let exit_code = known.map_or(exit::FAILED, Error::exit_code);
    let next = match known {
        // Only the binary knows the command line that resumes the run.
        Some(Error::Stopped { .. }) => Some(run_again()),
        Some(known) => known.next_step(),
        None => None,
    };
    let message = chain(error);
    say_error(&message, next.as_deref());
    if json {
        // If standard output is broken as well, the exit code still tells.
        let _ = output::json(&Document { error: Failure { message, exit_code, next } });
    }
    exit_code
}

/// Returns every cause, each once: an error that only wraps another has the same text.
pub fn chain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if parts.last() != Some(&text) {
            parts.push(text);
        }
    }
    parts.join(": ")
}
