//! Standard error, shared by everyone who has a line to say while a bar is drawn there.

use std::io::{IsTerminal, Write, stderr};

use indicatif::ProgressBar;
use parking_lot::Mutex;

/// Writes whole lines to standard error, above the bar if one is drawn.
#[derive(Debug, Default)]
pub struct Console {
    bar: Mutex<Option<ProgressBar>>,
}

impl Console {
    /// A console without a bar.
    pub fn new() -> Self {
        Self::default()
    }

    /// True if a person watches.
    pub fn is_terminal() -> bool {
        stderr().is_terminal()
    }

    /// Writes one line. That nobody listens any more is no reason to end a run.
    pub fn line(&self, text: &str) {
        let write = || {
            let _ = writeln!(stderr().lock(), "{text}");
        };
        match &*self.bar.lock() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// From now on lines go above this bar, or nowhere in particular again.
    pub(super) fn attach(&self, bar: Option<ProgressBar>) {
        *self.bar.lock() = bar;
    }
}
