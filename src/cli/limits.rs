//! Limits of the process that would end it without a word, or sooner than needed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;

/// Meets the limits of the process as far as it may. What fails here shows where it matters.
pub fn meet() {
    // A log or a store may have more files than the usual soft limit of 1,024.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    // The signal of a file that grows over its limit would end the process. With a handler the write fails instead.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
