//! Standard error, shared by the lines and the bar.

use std::io::{IsTerminal, Write, stderr};

use indicatif::ProgressBar;
use parking_lot::Mutex;

use crate::migration::escaped;

/// Writes whole lines to standard error, above the bar if one is drawn.
#[derive(Debug, Default)]
pub struct Console {
    bar: Mutex<Option<ProgressBar>>,
}

impl Console {
    /// Returns a console without a bar.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns true if standard error is a terminal.
    pub fn is_terminal() -> bool {
        stderr().is_terminal()
    }

    /// Writes one line, which stays one whatever is in it.
    pub fn line(&self, text: &str) {
        let text = escaped(text);
        let write = || {
            // A run goes on after its terminal is gone.
            let _ = writeln!(stderr().lock(), "{text}");
        };
        match &*self.bar.lock() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Lets lines go above this bar from now on, or ends that with `None`.
    pub(super) fn attach(&self, bar: Option<ProgressBar>) {
        *self.bar.lock() = bar;
    }
}
