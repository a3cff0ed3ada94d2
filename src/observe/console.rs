//! Standard error, to which lines of every kind go.

use std::io::{IsTerminal, Write, stderr};

use crate::migration::escaped;

/// Writes whole lines to standard error.
#[derive(Debug, Default)]
pub struct Console;

impl Console {
    /// Returns a console.
    pub fn new() -> Self {
        Self
    }

    /// Returns true if standard error is a terminal.
    pub fn is_terminal() -> bool {
        stderr().is_terminal()
    }

    /// Writes one line, which stays one whatever is in it.
    pub fn line(&self, text: &str) {
        // A run goes on after its terminal is gone.
        let _ = writeln!(stderr().lock(), "{}", escaped(text));
    }
}
