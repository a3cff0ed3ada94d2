//! `live.json` as others read it: a hint, which may be missing, torn, huge, or left by a process that is gone.

use std::io::Read;
use std::path::Path;

use jiff::Timestamp;

use crate::durable::{Process, open_state_file};
use crate::observe::live::{FILE_NAME, Live};

/// The longest file that is read.
const BYTES_MAX: u64 = 1 << 20;
/// How old the news of a run may be, in seconds.
const NEWS_SECONDS_MAX: i64 = 5;

/// Returns what the process that holds the lock said last. `None` if it has said nothing.
pub fn read(run_directory: &Path) -> Option<Live> {
    let live = parse(run_directory)?;
    (!is_of_dead_process(&live)).then_some(live)
}

fn parse(run_directory: &Path) -> Option<Live> {
    let mut bytes = Vec::new();
    open_state_file(&run_directory.join(FILE_NAME)).ok()?.take(BYTES_MAX + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= BYTES_MAX).then(|| serde_json::from_slice(&bytes).ok())?
}

/// Returns since when there is no news: when the last was, if that is longer ago than a run ever waits with it.
pub fn no_news_since(live: &Live, now: Timestamp) -> Option<String> {
    let at = &live.line.head.at;
    let is_fresh = at.parse::<Timestamp>().is_ok_and(|at| (now.as_second() - at.as_second()).abs() <= NEWS_SECONDS_MAX);
    (!is_fresh).then(|| at.clone())
}

/// Returns true if the process is known to be gone. Of another boot, or without `/proc`, nothing is known.
fn is_of_dead_process(live: &Live) -> bool {
    let now = Process::of(live.pid);
    let is_this_boot = live.boot_id.is_some() && live.boot_id == now.boot_id;
    is_this_boot && live.process_start.is_some() && live.process_start != now.start
}
