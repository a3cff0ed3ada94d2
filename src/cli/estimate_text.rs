//! What plans and estimates of all rooms say about time and space.

use std::time::Duration;

use crate::observe::duration_text;

/// `about 3 min 05 s`
pub fn time_text(seconds: Option<f64>) -> String {
    let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    time.map_or("unknown".to_owned(), |time| format!("about {}", duration_text(time)))
}

/// `3 needed, 2 free: not enough`
pub fn needed_text(needed: u64, free: Option<u64>, number_text: impl Fn(u64) -> String) -> String {
    let free_text = free.map_or("no limit".to_owned(), |free| format!("{} free", number_text(free)));
    let verdict = if free.is_none_or(|free| free >= needed) { "" } else { ": not enough" };
    format!("{} needed, {free_text}{verdict}", number_text(needed))
}
