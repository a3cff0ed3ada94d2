//! The clock of the computer, which may say anything: a board without a battery starts in 1970 or before.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use uuid::{ContextV7, Timestamp as UuidTimestamp, Uuid};

use super::Error;

/// Returns this moment. A clock before 1970 or after 9999 is an error.
pub fn now() -> Result<Timestamp, Error> {
    at(SystemTime::now())
}

fn at(time: SystemTime) -> Result<Timestamp, Error> {
    let moment = Timestamp::try_from(time).ok().filter(|moment| *moment >= Timestamp::UNIX_EPOCH);
    moment.ok_or_else(|| Error::Program {
        what: "the clock of this computer is wrong: it is before 1970 or after 9999".into(),
        next: "set the clock, then run the same command again".into(),
        temporary: true,
    })
}

/// Returns this moment, or the end of the range that a clock has left, for texts that only people read.
pub fn now_or_nearest() -> Timestamp {
    nearest(SystemTime::now())
}

fn nearest(time: SystemTime) -> Timestamp {
    at(time).unwrap_or(if time < UNIX_EPOCH { Timestamp::UNIX_EPOCH } else { Timestamp::MAX })
}

/// Returns a new id of a run.
pub fn new_run_id() -> Result<String, Error> {
    let moment = now()?;
    let nanos = u32::try_from(moment.subsec_nanosecond()).unwrap_or(0);
    let seconds = u64::try_from(moment.as_second()).unwrap_or(0);
    Ok(Uuid::new_v7(UuidTimestamp::from_unix(ContextV7::new(), seconds, nanos)).to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const YEAR: u64 = 31_556_952;

    #[test]
    fn a_clock_that_cannot_be_right_is_an_error_and_no_panic() {
        let before = UNIX_EPOCH - Duration::from_secs(YEAR);
        // The last day of 9999, on which a time zone may already be in another year, and far beyond.
        let last_day = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
        for wrong in [before, UNIX_EPOCH - Duration::from_nanos(1), last_day, last_day + Duration::from_secs(YEAR)] {
            let error = at(wrong).unwrap_err();
            assert!(error.to_string().contains("the clock of this computer is wrong"), "{error}");
            assert_eq!(error.exit_code(), crate::migration::exit::TEMPORARY);
            assert!(format!("{:.3}", nearest(wrong)).ends_with('Z'));
        }
        for right in [UNIX_EPOCH, UNIX_EPOCH + Duration::from_secs(330 * YEAR), SystemTime::now()] {
            assert_eq!(at(right).unwrap(), nearest(right));
        }
    }

    #[test]
    fn ids_of_runs_differ_and_sort_by_time() {
        let ids: Vec<_> = (0..3)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(2));
                new_run_id().unwrap()
            })
            .collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]), "{ids:?}");
        assert_eq!(Uuid::parse_str(&ids[0]).unwrap().get_version_num(), 7);
    }
}
