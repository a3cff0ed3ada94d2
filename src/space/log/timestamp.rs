//! Points in time as Engram writes them, and the wider range of texts that it reads.
//!
//! Engram writes one form, RFC 3339 in UTC with the shortest of 0, 3, 6 or 9 fraction digits. It reads many more: other
//! offsets, blanks around the parts, numbers without padding (docs/source-engram.md, "Timestamps"). Years run from
//! −262143 to 262142, further than many time libraries go, so this file does its own reckoning.

use std::fmt;

use thiserror::Error;

const DAY_SECONDS: i64 = 86_400;
const SECOND_NANOS: u32 = 1_000_000_000;
const YEAR_MIN: i64 = -262_143;
const YEAR_MAX: i64 = 262_142;

/// A point in time, in UTC.
///
/// A leap second has the seconds of the second before it and `nanos` of a billion or more, so the order of two
/// timestamps is that of their fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Seconds since the Unix epoch, negative before it.
    pub seconds: i64,
    /// Nanoseconds within the second: below 1,000,000,000, or below 2,000,000,000 in a leap second.
    pub nanos: u32,
}

/// A timestamp of a record: its exact text and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeView<'a> {
    /// The text as it is stored.
    pub text: &'a str,
    /// The point in time that it names.
    pub time: Timestamp,
    /// Whether the text is the one that Engram would write for [`TimeView::time`].
    pub writer_form: bool,
}

/// Why a text is not a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TimestampError {
    /// The text does not have the shape of a date, a time and an offset.
    #[error("not a date, time and offset")]
    Syntax,
    /// The shape is right, but there is no such date, time or offset.
    #[error("no such date, time or offset")]
    Range,
}

impl<'a> TimeView<'a> {
    /// Reads every text that Engram's reader accepts, and no other.
    #[inline]
    pub fn parse(text: &'a str) -> Result<Self, TimestampError> {
        if let Some(time) = parse_writer_form(text.as_bytes()) {
            return Ok(Self { text, time, writer_form: true });
        }
        parse_relaxed(text).map(|time| Self { text, time, writer_form: time.is_text(text) })
    }
}

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self { seconds: 0, nanos: 0 };
    /// The first point in time that Engram can write.
    pub const MIN: Self = Self { seconds: days_from_civil(YEAR_MIN, 1, 1) * DAY_SECONDS, nanos: 0 };
    /// The last point in time that Engram can write, leap seconds aside.
    pub const MAX: Self =
        Self { seconds: days_from_civil(YEAR_MAX + 1, 1, 1) * DAY_SECONDS - 1, nanos: SECOND_NANOS - 1 };

    /// Reads every text that Engram's reader accepts, and no other.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        TimeView::parse(text).map(|view| view.time)
    }

    /// Returns the text that Engram writes for this point in time, shown without an allocation.
    pub const fn writer_form(&self) -> WriterForm {
        WriterForm(*self)
    }

    /// Returns the text that Engram writes for this point in time.
    pub fn to_writer_form(self) -> String {
        self.writer_form().to_string()
    }

    fn is_text(&self, text: &str) -> bool {
        struct Rest<'a>(&'a str);
        impl fmt::Write for Rest<'_> {
            fn write_str(&mut self, part: &str) -> fmt::Result {
                self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
                Ok(())
            }
        }
        let mut rest = Rest(text);
        fmt::write(&mut rest, format_args!("{}", self.writer_form())).is_ok() && rest.0.is_empty()
    }
}

/// Shows a [`Timestamp`] in the form that Engram writes.
#[derive(Debug, Clone, Copy)]
pub struct WriterForm(Timestamp);

impl fmt::Display for WriterForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timestamp { seconds, nanos } = self.0;
        let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_SECONDS));
        let of_day = seconds.rem_euclid(DAY_SECONDS);
        let leap = u32::from(nanos >= SECOND_NANOS);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60 + i64::from(leap));
        if (0..=9999).contains(&year) {
            write!(f, "{year:04}")?;
        } else {
            write!(f, "{year:+05}")?;
        }
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match nanos - leap * SECOND_NANOS {
            0 => f.write_str("Z"),
            nanos if nanos % 1_000_000 == 0 => write!(f, ".{:03}Z", nanos / 1_000_000),
            nanos if nanos % 1_000 == 0 => write!(f, ".{:06}Z", nanos / 1_000),
            nanos => write!(f, ".{nanos:09}Z"),
        }
    }
}

/// Days from the Unix epoch to a date of the proleptic Gregorian calendar, `month` from 1.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March put the leap day last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month from 1 and day from 1 of a day counted from the Unix epoch.
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// What a text says, before it is known to exist.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: u32,
    offset_seconds: i64,
}

impl Fields {
    #[inline]
    fn timestamp(&self) -> Option<Timestamp> {
        let exists = (YEAR_MIN..=YEAR_MAX).contains(&self.year)
            && (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
            && self.hour <= 23
            && self.minute <= 59
            && self.second <= 60
            && self.offset_seconds.abs() < DAY_SECONDS;
        if !exists {
            return None;
        }
        let leap = self.second == 60;
        let seconds = days_from_civil(self.year, self.month, self.day) * DAY_SECONDS
            + self.hour * 3600
            + self.minute * 60
            + self.second
            - i64::from(leap)
            - self.offset_seconds;
        if !(Timestamp::MIN.seconds..=Timestamp::MAX.seconds).contains(&seconds) {
            return None;
        }
        Some(Timestamp { seconds, nanos: self.nanos + u32::from(leap) * SECOND_NANOS })
    }
}

/// Parses the writer's form, the fast path, with a year of four digits. `None` says nothing about the slow path's
/// answer.
#[inline]
fn parse_writer_form(text: &[u8]) -> Option<Timestamp> {
    fn digits<const N: usize>(text: &[u8], at: usize) -> Option<i64> {
        let mut value = 0;
        for &byte in &text[at..at + N] {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + i64::from(digit);
        }
        Some(value)
    }
    if text.len() < 20
        || [text[4], text[7], text[10], text[13], text[16]] != *b"--T::"
        || *text.last()? != b'Z'
        || (text.len() > 20 && text[19] != b'.')
    {
        return None;
    }
    let nanos = match text.len() {
        20 => 0,
        24 => digits::<3>(text, 20).filter(|&millis| millis != 0)? * 1_000_000,
        27 => digits::<6>(text, 20).filter(|&micros| micros % 1_000 != 0)? * 1_000,
        30 => digits::<9>(text, 20).filter(|&nanos| nanos % 1_000 != 0)?,
        _ => return None,
    };
    Fields {
        year: digits::<4>(text, 0)?,
        month: digits::<2>(text, 5)?,
        day: digits::<2>(text, 8)?,
        hour: digits::<2>(text, 11)?,
        minute: digits::<2>(text, 14)?,
        second: digits::<2>(text, 17)?,
        nanos: u32::try_from(nanos).ok()?,
        offset_seconds: 0,
    }
    .timestamp()
}

/// Parses everything that Engram's reader accepts, the slow path.
#[cold]
fn parse_relaxed(text: &str) -> Result<Timestamp, TimestampError> {
    let mut scan = Scanner(text);
    let year = scan.year()?;
    scan.separator("-")?;
    let month = scan.number()?;
    scan.separator("-")?;
    let day = scan.number()?;
    scan.take_if(|c| matches!(c, 'T' | 't' | ' ')).ok_or(TimestampError::Syntax)?;
    let hour = scan.number()?;
    scan.separator(":")?;
    let minute = scan.number()?;
    scan.separator(":")?;
    let second = scan.number()?;
    let nanos = scan.fraction()?;
    scan.blanks();
    let offset_seconds = scan.offset()?;
    scan.blanks();
    if !scan.0.is_empty() {
        return Err(TimestampError::Syntax);
    }
    Fields { year, month, day, hour, minute, second, nanos, offset_seconds }.timestamp().ok_or(TimestampError::Range)
}

/// What is left of a text.
struct Scanner<'a>(&'a str);

impl Scanner<'_> {
    fn blanks(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let first = self.0.chars().next().filter(|&c| wanted(c))?;
        self.0 = &self.0[first.len_utf8()..];
        Some(first)
    }

    /// From one to `most` digits.
    fn digits(&mut self, most: usize) -> Result<i64, TimestampError> {
        let count = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(count);
        if digits.is_empty() {
            return Err(TimestampError::Syntax);
        }
        self.0 = rest;
        digits.parse().map_err(|_| TimestampError::Range)
    }

    /// Blanks, then one or two digits.
    fn number(&mut self) -> Result<i64, TimestampError> {
        self.blanks();
        self.digits(2)
    }

    /// Blanks, then up to four digits, or a sign and any number of them.
    fn year(&mut self) -> Result<i64, TimestampError> {
        self.blanks();
        match self.take_if(|c| matches!(c, '+' | '-')) {
            Some('-') => self.digits(usize::MAX).map(|year| -year),
            Some(_) => self.digits(usize::MAX),
            None => self.digits(4),
        }
    }

    /// Blanks, then exactly `text`.
    fn separator(&mut self, text: &str) -> Result<(), TimestampError> {
        self.blanks();
        self.0 = self.0.strip_prefix(text).ok_or(TimestampError::Syntax)?;
        Ok(())
    }

    /// Reads a point and digits, of which nine count. Without a point the fraction is zero.
    fn fraction(&mut self) -> Result<u32, TimestampError> {
        if self.take_if(|c| c == '.').is_none() {
            return Ok(0);
        }
        let before = self.0.len();
        let value = self.digits(9)?;
        let missing = 9 - (before - self.0.len()) as u32;
        self.0 = self.0.trim_start_matches(|c: char| c.is_ascii_digit());
        // At most nine digits with the zeros that complete them: below a billion.
        Ok(value as u32 * 10_u32.pow(missing))
    }

    /// `Z`, `UTC` or a signed offset of two and two digits, in seconds east of UTC.
    fn offset(&mut self) -> Result<i64, TimestampError> {
        if self.0.as_bytes().first_chunk::<3>().is_some_and(|name| name.eq_ignore_ascii_case(b"UTC")) {
            self.0 = &self.0[3..];
            return Ok(0);
        }
        if self.take_if(|c| matches!(c, 'Z' | 'z')).is_some() {
            return Ok(0);
        }
        // RFC 3339's ASCII signs, and the minus sign proper.
        let sign = self.take_if(|c| matches!(c, '+' | '-' | '\u{2212}')).ok_or(TimestampError::Syntax)?;
        let hours = self.two_digits()?;
        self.0 = self.0.trim_start_matches(|c: char| c == ':' || c.is_whitespace());
        let minutes = self.two_digits()?;
        if minutes > 59 {
            return Err(TimestampError::Range);
        }
        let seconds = hours * 3600 + minutes * 60;
        Ok(if sign == '+' { seconds } else { -seconds })
    }

    fn two_digits(&mut self) -> Result<i64, TimestampError> {
        match self.0.as_bytes() {
            [first, second, ..] if first.is_ascii_digit() && second.is_ascii_digit() => self.digits(2),
            _ => Err(TimestampError::Syntax),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LATE_2023: i64 = 1_700_000_000;

    fn at(text: &str) -> (i64, u32, bool) {
        let view = TimeView::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        (view.time.seconds, view.time.nanos, view.writer_form)
    }

    #[test]
    fn the_writers_form_is_recognised() {
        for (text, seconds, nanos) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("1969-12-31T23:59:59.999999999Z", -1, 999_999_999),
            ("2023-11-14T22:13:20Z", LATE_2023, 0),
            ("2023-11-14T22:13:20.500Z", LATE_2023, 500_000_000),
            ("2023-11-14T22:13:20.000005Z", LATE_2023, 5_000),
            ("2023-11-14T22:13:20.000000005Z", LATE_2023, 5),
            ("2024-02-29T00:00:00Z", 1_709_164_800, 0),
            ("2016-12-31T23:59:60Z", 1_483_228_799, 1_000_000_000),
            ("2016-12-31T23:59:60.250Z", 1_483_228_799, 1_250_000_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200, 0),
            ("9999-12-31T23:59:59.999999999Z", 253_402_300_799, 999_999_999),
            ("+10000-01-01T00:00:00Z", 253_402_300_800, 0),
            ("-0001-12-31T00:00:00Z", -62_167_305_600, 0),
            ("-262143-01-01T00:00:00Z", -8_334_601_228_800, 0),
            ("+262142-12-31T23:59:59.999999999Z", 8_210_266_876_799, 999_999_999),
        ] {
            assert_eq!(at(text), (seconds, nanos, true), "{text}");
            assert_eq!(Timestamp { seconds, nanos }.to_writer_form(), text);
        }
        assert_eq!(Timestamp::MIN.to_writer_form(), "-262143-01-01T00:00:00Z");
        assert_eq!(Timestamp::MAX.to_writer_form(), "+262142-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn what_engram_accepts_and_rewrites_is_accepted_and_noted() {
        for (text, seconds, nanos) in [
            ("2023-11-15T00:13:20+02:00", LATE_2023, 0),
            ("2023-11-15T00:13:20+0200", LATE_2023, 0),
            ("2023-11-15T00:13:20+02 :00", LATE_2023, 0),
            ("2023-11-14T20:13:20-02:00", LATE_2023, 0),
            ("2023-11-14T20:13:20\u{2212}02:00", LATE_2023, 0),
            ("2023-11-14T22:13:20-00:00", LATE_2023, 0),
            ("2023-11-14T22:13:20+00:00", LATE_2023, 0),
            ("2023-11-14T22:13:20UTC", LATE_2023, 0),
            ("2023-11-14 22:13:20 utc", LATE_2023, 0),
            ("2023-11-14t22:13:20z", LATE_2023, 0),
            ("2023-11-14 22:13:20Z", LATE_2023, 0),
            ("2023-11-14  22:13:20Z", LATE_2023, 0),
            (" 2023 - 11 - 14T 22 : 13 : 20.5 Z ", LATE_2023, 500_000_000),
            ("\t2023-\u{2003}11-14T22:13:20\u{a0}Z\n", LATE_2023, 0),
            ("2024-1-2T3:4:5Z", 1_704_164_645, 0),
            ("2023-11-14T22:13:20.5Z", LATE_2023, 500_000_000),
            ("2023-11-14T22:13:20.12345678Z", LATE_2023, 123_456_780),
            ("2023-11-14T22:13:20.123456789999999999999Z", LATE_2023, 123_456_789),
            ("2023-11-14T22:13:20.000Z", LATE_2023, 0),
            ("2023-11-14T22:13:20.000000Z", LATE_2023, 0),
            ("2023-11-14T22:13:20.120000Z", LATE_2023, 120_000_000),
            ("2023-11-14T22:13:20.000005000Z", LATE_2023, 5_000),
            ("-0000-01-01T00:00:00Z", -62_167_219_200, 0),
            ("+2023-11-14T22:13:20Z", LATE_2023, 0),
            ("+0002023-11-14T22:13:20Z", LATE_2023, 0),
            ("+09999-12-31T23:59:59Z", 253_402_300_799, 0),
            ("-1-12-31T00:00:00Z", -62_167_305_600, 0),
            ("2017-01-01T01:59:60+02:00", 1_483_228_799, 1_000_000_000),
            ("2023-11-14T22:13:20+23:59", LATE_2023 - 86_340, 0),
        ] {
            assert_eq!(at(text), (seconds, nanos, false), "{text}");
        }
    }

    #[test]
    fn what_engram_rejects_is_rejected() {
        use TimestampError::{Range, Syntax};
        for (text, error) in [
            ("", Syntax),
            (" ", Syntax),
            ("2023-11-14T22:13:20", Syntax),
            ("2023-11-14T22:13:20,5Z", Syntax),
            ("2023-11-14T22:13:20.Z", Syntax),
            ("2023-11-14T22:13:20 .5Z", Syntax),
            ("2023-11-14T24:00:00Z", Range),
            ("2023-11-14T23:60:00Z", Range),
            ("2023-11-14T23:59:61Z", Range),
            ("2023-02-30T00:00:00Z", Range),
            ("2023-02-29T00:00:00Z", Range),
            ("1900-02-29T00:00:00Z", Range),
            ("2023-13-01T00:00:00Z", Range),
            ("2023-00-01T00:00:00Z", Range),
            ("2023-01-00T00:00:00Z", Range),
            ("10000-01-01T00:00:00Z", Syntax),
            ("+262143-01-01T00:00:00Z", Range),
            ("-262144-12-31T23:59:59Z", Range),
            ("+99999999999999999999-01-01T00:00:00Z", Range),
            ("-262143-01-01T00:00:00+00:01", Range),
            ("+262142-12-31T23:59:59-00:01", Range),
            ("2023-11-14T22:13:20+24:00", Range),
            ("2023-11-14T22:13:20+00:60", Range),
            ("2023-11-14T22:13:20+2:00", Syntax),
            ("2023-11-14T22:13:20+02", Syntax),
            ("2023-11-14T22:13:20+02:0", Syntax),
            ("2023-11-14T22:13:20GMT", Syntax),
            ("2023-11-14T22:13:20ZZ", Syntax),
            ("2023-11-14 T22:13:20Z", Syntax),
            ("2023-11-14T22:13Z", Syntax),
            ("20231114T221320Z", Syntax),
            ("- 1-12-31T00:00:00Z", Syntax),
            ("2023-11-14\u{2003}22:13:20Z", Syntax),
        ] {
            assert_eq!(Timestamp::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_calendar_agrees_with_itself_day_by_day() {
        let (first, last) = (days_from_civil(-401, 1, 1), days_from_civil(2401, 1, 1));
        let mut expected = (-401, 1, 1);
        for days in first..last {
            assert_eq!(civil_from_days(days), expected);
            assert_eq!(days_from_civil(expected.0, expected.1, expected.2), days);
            let (year, month, day) = expected;
            expected = match (month, day == days_in_month(year, month)) {
                (_, false) => (year, month, day + 1),
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
            };
        }
    }

    proptest! {
        #[test]
        fn the_writers_form_reads_back(
            seconds in Timestamp::MIN.seconds..=Timestamp::MAX.seconds,
            nanos in 0..SECOND_NANOS,
            unit in prop::sample::select(vec![1, 1_000, 1_000_000, SECOND_NANOS]),
        ) {
            let time = Timestamp { seconds, nanos: nanos - nanos % unit };
            let text = time.to_writer_form();
            prop_assert_eq!(TimeView::parse(&text), Ok(TimeView { text: &text, time, writer_form: true }));
        }

        #[test]
        fn both_paths_agree(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,9})?Z") {
            let slow = parse_relaxed(&text);
            if let Some(fast) = parse_writer_form(text.as_bytes()) {
                prop_assert_eq!(Ok(fast), slow);
                prop_assert!(fast.is_text(&text));
            } else if let Ok(slow) = slow {
                prop_assert!(!slow.is_text(&text));
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in "\\PC{0,40}", digits in "[-+0-9TZ:. ]{0,40}") {
            let _ = TimeView::parse(&text);
            let _ = TimeView::parse(&digits);
        }
    }
}
