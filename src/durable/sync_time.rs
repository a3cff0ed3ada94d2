//! How long a thread has waited for the disk to make things durable.

use std::cell::Cell;
use std::time::{Duration, Instant};

thread_local! {
    static SYNCED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Returns the time that this thread has spent in syncs since it began.
pub fn sync_time() -> Duration {
    SYNCED.get()
}

/// Carries out a sync, and adds its time to that of the thread.
pub(in crate::durable) fn timed<T>(sync: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = sync();
    SYNCED.set(SYNCED.get() + started.elapsed());
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_syncs_of_the_thread_itself_count() {
        let before = sync_time();
        timed(|| std::thread::sleep(Duration::from_millis(2)));
        let synced = sync_time() - before;
        assert!(synced >= Duration::from_millis(2));
        assert_eq!(std::thread::spawn(sync_time).join().unwrap(), Duration::ZERO);
    }
}
