//! Which manifests of a tree a command takes: those of a job, with a status, of the last days, or the first of them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::tree::scan::ARTIFACTS;

/// The directory of runs from before jobs had directories of their own.
const LEGACY_JOB: &str = "runs";

/// A selection. What is `None` does not restrict it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, bincode::Encode, bincode::Decode)]
pub struct Selection {
    /// The name of the directory of a job; for runs in `artifacts/runs/`, their `job_id`.
    pub job: Option<String>,
    /// The `status` in the manifest.
    pub status: Option<String>,
    /// Only files that were written since.
    pub newer: Option<Newer>,
    /// The first of them: as many as still need a migration, or as many as are looked at.
    pub limit: Option<u64>,
}

/// Since when files must have been written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, bincode::Encode, bincode::Decode)]
#[serde(rename_all = "kebab-case")]
pub enum Newer {
    /// Since this instant, in microseconds since 1970.
    Instant(i64),
    /// Since so many seconds before the command began.
    Age(i64),
}

impl Selection {
    /// Returns true if all manifests are selected.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if the path alone decides.
    pub fn is_by_path(&self) -> bool {
        self.status.is_none() && self.newer.is_none() && self.limit.is_none()
    }

    /// Returns true if the file is in the directory of the job, or if the document must tell.
    pub fn may_be_of_job(&self, file: &Path) -> bool {
        self.job.as_deref().is_none_or(|job| directory_of_job(file).is_none_or(|name| name == job))
    }

    /// Returns true if the document must be read to decide.
    pub fn needs_document(&self, file: &Path) -> bool {
        self.status.is_some() || self.document_names_job(file)
    }

    /// Returns true if a job is selected and the directory does not name it.
    pub fn document_names_job(&self, file: &Path) -> bool {
        self.job.is_some() && directory_of_job(file).is_none()
    }
}

/// Returns the name of the directory of the job, if the file is in one.
fn directory_of_job(file: &Path) -> Option<&str> {
    let relative = file.strip_prefix(ARTIFACTS).ok()?;
    let first = relative.parent()?.components().next()?.as_os_str().to_str()?;
    (first != LEGACY_JOB).then_some(first)
}

impl Newer {
    /// Returns the instant, for a command that began at `now`.
    pub fn since(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Instant(micros) => Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX),
            Self::Age(secs) => now.checked_sub(SignedDuration::from_secs(secs)).unwrap_or(Timestamp::MIN),
        }
    }
}

impl FromStr for Newer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let of_date = |date: Date| date.to_zoned(TimeZone::UTC).ok().map(|midnight| midnight.timestamp());
        let instant = text.parse::<Timestamp>().ok().or_else(|| text.parse().ok().and_then(of_date));
        match instant {
            Some(instant) => Ok(Self::Instant(instant.as_microsecond())),
            None => age(text).map(|age| Self::Age(age.as_secs())).map_err(|_| {
                "expected a date as in 2026-03-01, a time as in 2026-03-01T12:00:00Z, or an age as in 7d".to_owned()
            }),
        }
    }
}

/// Parses an age: a number and one of d, h, m, s.
pub fn age(text: &str) -> Result<SignedDuration, String> {
    let expected = || "expected a number and one of d, h, m, s, as in 7d".to_owned();
    let split = text.len().checked_sub(1).filter(|&at| text.is_char_boundary(at)).ok_or_else(expected)?;
    let secs = match &text[split..] {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return Err(expected()),
    };
    let number: i64 = text[..split].parse().ok().filter(|number| *number >= 0).ok_or_else(expected)?;
    number.checked_mul(secs).map(SignedDuration::from_secs).ok_or_else(expected)
}

/// The options as on the command line, which enter the digest of a plan.
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, status, newer, limit } = self;
        if let Some(job) = job {
            write!(f, " --job {job:?}")?;
        }
        if let Some(status) = status {
            write!(f, " --status {status:?}")?;
        }
        match newer {
            Some(Newer::Instant(micros)) => {
                write!(f, " --newer {}", Timestamp::from_microsecond(*micros).unwrap_or_default())?;
            }
            Some(Newer::Age(secs)) => write!(f, " --newer {secs}s")?,
            None => {}
        }
        limit.map_or(Ok(()), |limit| write!(f, " --limit {limit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        assert_eq!(age("7d").unwrap(), SignedDuration::from_hours(168));
        assert_eq!(age("0s").unwrap(), SignedDuration::ZERO);
        for text in ["", "7", "d", "-1d", "7w", "9999999999999999999d", "9223372036854775807d", "7é"] {
            assert!(age(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_a_date_and_an_age_say_since_when() {
        let now: Timestamp = "2026-03-08T12:00:00Z".parse().unwrap();
        let since = |text: &str| text.parse::<Newer>().unwrap().since(now).to_string();
        assert_eq!(since("2026-03-01T12:00:00Z"), "2026-03-01T12:00:00Z");
        assert_eq!(since("2026-03-01"), "2026-03-01T00:00:00Z");
        assert_eq!(since("7d"), "2026-03-01T12:00:00Z");
        for text in ["", "yesterday", "2026-13-01", "7"] {
            assert!(text.parse::<Newer>().is_err(), "{text}");
        }
        assert_eq!(Newer::Age(i64::MAX).since(now), Timestamp::MIN);
    }

    #[test]
    fn a_directory_names_its_job_and_in_the_old_one_the_document_does() {
        let selection = Selection { job: Some("a".into()), ..Selection::default() };
        let asked = |path: &str| (selection.may_be_of_job(Path::new(path)), selection.needs_document(Path::new(path)));
        assert_eq!(asked("artifacts/a/1/manifest.json"), (true, false));
        assert_eq!(asked("artifacts/b/1/manifest.json"), (false, false));
        assert_eq!(asked("artifacts/runs/1/manifest.json"), (true, true));
        assert_eq!(asked("artifacts/manifest.json"), (true, true));
        let text = Selection { newer: Some(Newer::Age(60)), limit: Some(3), ..selection }.to_string();
        assert_eq!(text, " --job \"a\" --newer 60s --limit 3");
    }
}
