//! The attempts at a run, as its checkpoint keeps them.

use bincode::de::Decoder;
use bincode::error::DecodeError;
use jiff::Timestamp;

use crate::migration::checkpoint::{Decode, Encode};
use crate::migration::report::parts::Attempt;

/// Of more attempts the first are added up in one row.
const ATTEMPTS_MAX: usize = 1_000;
/// The outcome of an attempt that has not ended.
const RUNNING: &str = "running";
/// The outcome of an attempt that has not ended and is not there any more.
const KILLED: &str = "killed";

/// The attempts at a run, oldest first.
#[derive(Debug, Clone, PartialEq, Default, Encode)]
pub struct Attempts(Vec<Attempt>);

/// What an attempt has done until now.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttemptNow {
    /// Records that all attempts have gone through.
    pub records_total: u64,
    /// How long it has taken, in seconds.
    pub seconds: f64,
    /// Processor time, in seconds.
    pub cpu_seconds: f64,
    /// The most resident memory.
    pub rss_peak_bytes: u64,
    /// When it ended, how, and with which exit code.
    pub end: Option<(String, String, u8)>,
}

impl Attempts {
    /// Returns the rows.
    pub fn rows(&self) -> &[Attempt] {
        &self.0
    }

    /// Adds a row for an attempt that begins, which finds `records_total` records done. `last_checkpoint` is when the
    /// attempt before it was last heard of.
    pub fn begin(&mut self, started_at: String, records_total: u64, last_checkpoint: Option<Timestamp>) {
        let before = self.records_of_others();
        if let Some(last) = self.0.last_mut().filter(|last| last.outcome == RUNNING) {
            KILLED.clone_into(&mut last.outcome);
            last.records = records_total.saturating_sub(before);
            last.seconds = seconds_between(&last.started_at, last_checkpoint).max(last.seconds);
        }
        self.0.push(Attempt { started_at, outcome: RUNNING.to_owned(), ..Attempt::default() });
        if self.0.len() > ATTEMPTS_MAX {
            let first = self.0.remove(0);
            let second = &mut self.0[0];
            second.started_at = first.started_at;
            second.records += first.records;
            second.seconds += first.seconds;
            second.cpu_seconds += first.cpu_seconds;
            second.rss_peak_bytes = second.rss_peak_bytes.max(first.rss_peak_bytes);
        }
    }

    /// Brings the last row up to date.
    pub fn update(&mut self, now: &AttemptNow) {
        let before = self.records_of_others();
        let Some(last) = self.0.last_mut() else { return };
        last.records = now.records_total.saturating_sub(before);
        (last.seconds, last.cpu_seconds, last.rss_peak_bytes) = (now.seconds, now.cpu_seconds, now.rss_peak_bytes);
        if let Some((ended_at, outcome, exit_code)) = now.end.clone() {
            (last.ended_at, last.outcome, last.exit_code) = (Some(ended_at), outcome, Some(exit_code));
        }
    }

    /// Returns the records of all attempts but the last.
    fn records_of_others(&self) -> u64 {
        self.0.iter().rev().skip(1).map(|attempt| attempt.records).sum()
    }
}

fn seconds_between(started_at: &str, end: Option<Timestamp>) -> f64 {
    let (Ok(start), Some(end)) = (started_at.parse::<Timestamp>(), end) else { return 0.0 };
    // The clock may have been set back meanwhile.
    ((end.as_millisecond() - start.as_millisecond()) as f64 / 1000.0).max(0.0)
}

impl<C> Decode<C> for Attempts {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Self, DecodeError> {
        match Decode::decode(decoder) {
            // The digest of the checkpoint is right, so this is where a version without attempts ended it.
            Err(DecodeError::UnexpectedEnd { .. }) => Ok(Self::default()),
            rows => Ok(Self(rows?)),
        }
    }
}

bincode::impl_borrow_decode!(Attempts);

#[cfg(test)]
mod tests {
    use super::*;

    fn now(records_total: u64, end: Option<&str>) -> AttemptNow {
        let end = end.map(|outcome| ("2026-11-21T01:18:09.000Z".into(), outcome.into(), 75));
        AttemptNow { records_total, seconds: 1.5, cpu_seconds: 0.5, rss_peak_bytes: 7, end }
    }

    fn begun(attempts: &mut Attempts, second: u32, records: u64, last_checkpoint: Option<&str>) {
        let last_checkpoint = last_checkpoint.map(|text| text.parse().unwrap());
        attempts.begin(format!("2026-11-21T01:18:{second:02}.000Z"), records, last_checkpoint);
    }

    #[test]
    fn each_attempt_has_the_records_that_it_added() {
        let mut attempts = Attempts::default();
        begun(&mut attempts, 0, 0, None);
        attempts.update(&now(40, Some("stopped")));
        begun(&mut attempts, 10, 40, Some("2026-11-21T01:18:09Z"));
        attempts.update(&now(100, Some("published")));
        let rows = attempts.rows();
        assert_eq!(
            rows.iter().map(|row| (&*row.outcome, row.records)).collect::<Vec<_>>(),
            [("stopped", 40), ("published", 60)]
        );
        assert_eq!((rows[0].exit_code, rows[0].seconds, rows[0].cpu_seconds), (Some(75), 1.5, 0.5));
    }

    #[test]
    fn an_attempt_that_was_killed_has_what_the_next_one_finds() {
        let mut attempts = Attempts::default();
        begun(&mut attempts, 0, 0, None);
        begun(&mut attempts, 20, 30, Some("2026-11-21T01:18:12.500Z"));
        attempts.update(&now(50, None));
        begun(&mut attempts, 40, 55, Some("2026-11-20T00:00:00Z"));
        attempts.update(&now(60, Some("published")));
        let told: Vec<_> = attempts.rows().iter().map(|row| (&*row.outcome, row.records, row.seconds)).collect();
        assert_eq!(told, [("killed", 30, 12.5), ("killed", 25, 1.5), ("published", 5, 1.5)]);
        assert!(attempts.rows()[0].ended_at.is_none() && attempts.rows()[0].exit_code.is_none());
    }

    #[test]
    fn any_number_of_attempts_has_a_bound_and_keeps_its_sums() {
        let mut attempts = Attempts::default();
        for attempt in 0..ATTEMPTS_MAX as u64 + 50 {
            begun(&mut attempts, 0, attempt, None);
            attempts.update(&now(attempt + 1, Some("stopped")));
        }
        assert_eq!(attempts.rows().len(), ATTEMPTS_MAX);
        assert_eq!(attempts.rows().iter().map(|row| row.records).sum::<u64>(), ATTEMPTS_MAX as u64 + 50);
        assert_eq!(attempts.rows()[0].records, 51);
    }

    #[test]
    fn a_checkpoint_of_a_version_without_attempts_has_none() {
        let config = bincode::config::standard();
        let (read, _): ((u8, Attempts), usize) = bincode::decode_from_slice(&[7], config).unwrap();
        assert_eq!(read, (7, Attempts::default()));
        let mut attempts = Attempts::default();
        begun(&mut attempts, 0, 0, None);
        let bytes = bincode::encode_to_vec(&attempts, config).unwrap();
        let (read, len): (Attempts, usize) = bincode::decode_from_slice(&bytes, config).unwrap();
        assert_eq!((read, len), (attempts, bytes.len()));
    }
}
