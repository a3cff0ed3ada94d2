//! The time zone of instants that name none.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::migration::Error;

/// The time zone of instants that name none: `UTC`, a fixed offset such as `+02:00`, or a name such as `America/New_York`.
///
/// Where a clock is set back, an instant may be meant twice: the earlier one is taken. Where it is set forward, an instant
/// that the clock leaves out is read with the offset from before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssumedZone {
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    /// Seconds by which the zone is ahead of UTC.
    Fixed(i32),
    Named(String, TimeZone),
}

const MICROSECONDS: i64 = 1_000_000;

impl AssumedZone {
    /// Reads `UTC`, `+HH:MM`, `-HH:MM`, or the name of a zone in the database of the system.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |what: String| Error::Usage {
            what,
            next: "give --assume-tz UTC, an offset such as -05:00, or a zone such as America/New_York".into(),
        };
        if text.eq_ignore_ascii_case("UTC") || text == "Z" {
            return Ok(Self::default());
        }
        if text.starts_with(['+', '-']) {
            let seconds = offset_seconds(text.as_bytes());
            let seconds = seconds.ok_or_else(|| refused(format!("`{text}` is not an offset as +HH:MM or -HH:MM")))?;
            return Ok(Self { rule: Rule::Fixed(seconds) });
        }
        let zone = TimeZone::get(text).map_err(|error| refused(format!("no time zone `{text}`: {error}")))?;
        let name = zone.iana_name().unwrap_or(text).to_owned();
        Ok(Self { rule: Rule::Named(name, zone) })
    }

    /// Returns the instant of a local time, both in microseconds since 1970.
    pub(super) fn to_utc(&self, local: i64) -> Option<i64> {
        let zone = match &self.rule {
            Rule::Fixed(seconds) => return local.checked_sub(i64::from(*seconds) * MICROSECONDS),
            Rule::Named(_, zone) => zone,
        };
        let as_utc = jiff::Timestamp::from_microsecond(local).ok()?;
        let civil: DateTime = Offset::UTC.to_datetime(as_utc);
        Some(zone.to_ambiguous_timestamp(civil).compatible().ok()?.as_microsecond())
    }
}

impl Default for AssumedZone {
    fn default() -> Self {
        Self { rule: Rule::Fixed(0) }
    }
}

impl fmt::Display for AssumedZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::Fixed(0) => f.write_str("UTC"),
            Rule::Fixed(seconds) => {
                let sign = if *seconds < 0 { '-' } else { '+' };
                let minutes = seconds.abs() / 60;
                write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
            Rule::Named(name, _) => f.write_str(name),
        }
    }
}

/// Reads `+HH:MM`, below a day.
fn offset_seconds(text: &[u8]) -> Option<i32> {
    let &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = text else { return None };
    if ![h1, h2, m1, m2].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |tens: u8, ones: u8| i32::from(tens - b'0') * 10 + i32::from(ones - b'0');
    let (hours, minutes) = (number(h1, h2), number(m1, m2));
    let seconds = (hours * 60 + minutes) * 60;
    (hours < 24 && minutes < 60).then_some(if sign == b'-' { -seconds } else { seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hour: i64, minute: i64) -> i64 {
        (hour * 60 + minute) * 60 * MICROSECONDS
    }

    #[test]
    fn zones_are_shown_as_they_are_read() {
        for text in ["UTC", "+02:00", "-05:00", "+05:45", "-00:30", "America/New_York"] {
            assert_eq!(AssumedZone::parse(text).expect(text).to_string(), text);
        }
        assert_eq!(AssumedZone::parse("+00:00").expect("an offset"), AssumedZone::default());
        assert_eq!(AssumedZone::parse("utc").expect("UTC"), AssumedZone::default());
    }

    #[test]
    fn what_is_no_zone_is_refused_with_examples() {
        for text in ["", "+2", "+25:00", "+02:60", "+2a:00", "Middle/Earth", "+02:00:00"] {
            let error = AssumedZone::parse(text).expect_err(text);
            assert_eq!(error.exit_code(), 2, "{text}");
            assert!(error.next_step().expect("a next step").contains("--assume-tz"), "{text}");
        }
    }

    #[test]
    fn an_offset_is_taken_off() {
        let zone = AssumedZone::parse("-05:00").expect("an offset");
        assert_eq!(zone.to_utc(hours(1, 0)), Some(hours(6, 0)));
        assert_eq!(AssumedZone::parse("+05:45").expect("an offset").to_utc(hours(5, 45)), Some(0));
    }

    #[test]
    fn gaps_and_folds_take_the_earlier_offset() {
        let zone = AssumedZone::parse("America/New_York").expect("a zone");
        let at = |text: &str| {
            text.parse::<DateTime>()
                .expect("a time")
                .to_zoned(TimeZone::UTC)
                .expect("a time")
                .timestamp()
                .as_microsecond()
        };
        let utc = |local: &str| zone.to_utc(at(local)).expect("an instant");
        assert_eq!(utc("2025-07-01T12:00:00"), at("2025-07-01T16:00:00"));
        assert_eq!(utc("2025-11-02T01:30:00"), at("2025-11-02T05:30:00"), "the first of two");
        assert_eq!(utc("2025-03-09T02:30:00"), at("2025-03-09T07:30:00"), "with the offset of winter");
    }
}
