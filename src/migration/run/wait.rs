//! Waits for a lock that another run holds.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::migration::Error;
use crate::pipeline::StopToken;

/// The time between two looks at the token, and the first between two attempts.
const POLL: Duration = Duration::from_millis(20);
/// The longest time between two attempts: short runs follow each other without long gaps.
const PAUSE_MAX: Duration = Duration::from_millis(320);

/// Repeats `attempt` while it ends with [`Error::Locked`], for as long as `wait` and until a stop is requested. Passes to
/// `note`, once, who holds the lock.
///
/// An attempt must not have changed anything when it ends so: every command takes its lock before it acts.
///
/// # Errors
/// Those of the last attempt; [`Error::Stopped`] if a stop was requested while it waited.
pub fn wait_for_lock<T>(
    wait: Duration,
    stop: &StopToken,
    mut note: impl FnMut(&str),
    mut attempt: impl FnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let started = Instant::now();
    let mut pause = POLL;
    loop {
        let owner = match attempt() {
            Err(Error::Locked { owner }) if started.elapsed() < wait => owner,
            ended => return ended,
        };
        if pause == POLL {
            note(&format!("waiting for another run: {owner}"));
        }
        let until = Instant::now() + pause.min(wait.saturating_sub(started.elapsed()));
        while Instant::now() < until {
            if stop.is_requested() {
                return Err(Error::stopped());
            }
            sleep(POLL.min(until.saturating_duration_since(Instant::now())));
        }
        pause = PAUSE_MAX.min(pause * 2);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::migration::exit;

    fn locked<T>() -> Result<T, Error> {
        Err(Error::Locked { owner: "pid 7 on a".into() })
    }

    #[test]
    fn it_waits_until_the_lock_is_free_and_names_the_holder_once() {
        let (attempts, notes) = (Cell::new(0), Cell::new(0));
        let attempt = || {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 4 { locked() } else { Ok(attempts.get()) }
        };
        let note = |text: &str| {
            notes.set(notes.get() + 1);
            assert_eq!(text, "waiting for another run: pid 7 on a");
        };
        let done = wait_for_lock(Duration::from_secs(60), &StopToken::new(), note, attempt);
        assert_eq!((done.unwrap(), notes.get()), (4, 1));
    }

    #[test]
    fn without_time_to_wait_there_is_one_attempt() {
        let attempts = Cell::new(0);
        let attempt = || {
            attempts.set(attempts.get() + 1);
            locked::<()>()
        };
        let error = wait_for_lock(Duration::ZERO, &StopToken::new(), |_| {}, attempt).unwrap_err();
        assert_eq!((error.exit_code(), attempts.get()), (exit::TEMPORARY, 1));
        let error = wait_for_lock(POLL * 5, &StopToken::new(), |_| {}, attempt).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }) && attempts.get() > 2);
    }

    #[test]
    fn a_stop_ends_the_waiting() {
        let stop = StopToken::new();
        stop.request();
        let error = wait_for_lock(Duration::from_secs(60), &stop, |_| {}, locked::<()>).unwrap_err();
        assert!(matches!(error, Error::Stopped { .. }) && error.exit_code() == exit::TEMPORARY);
    }

    #[test]
    fn other_errors_are_not_waited_for() {
        let attempts = Cell::new(0);
        let attempt = || {
            attempts.set(attempts.get() + 1);
            Err::<(), _>(Error::Usage { what: "wrong".into(), next: "right".into() })
        };
        wait_for_lock(Duration::from_secs(60), &StopToken::new(), |_| {}, attempt).unwrap_err();
        assert_eq!(attempts.get(), 1);
    }
}
