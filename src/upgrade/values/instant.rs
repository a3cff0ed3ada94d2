//! Reads instants in the forms that databases hold, and writes them in one.
//!
//! | stored | read as |
//! |---|---|
//! | text `2025-11-06T12:34:27.061107` | local time in the assumed zone |
//! | text `2025-11-12 19:26:07`, `2025-11-12` | UTC, as `CURRENT_TIMESTAMP` writes |
//! | either with `Z`, `+02:00`, `+0200` or `+02` | as written |
//! | 9 to 11 digits, as a number or as text | seconds since 1970 |
//!
//! Written is UTC `YYYY-MM-DD HH:MM:SS`, with six digits of a fraction if it is not zero, so that texts sort as instants.

use jiff::Timestamp;
use rusqlite::types::ValueRef;

use super::zone::AssumedZone;

const MICROSECONDS: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;
/// 0001-01-01 00:00:00 and the last microsecond of 9999, in microseconds since 1970.
const FIRST: i64 = -62_135_596_800 * MICROSECONDS;
const LAST: i64 = 253_402_300_800 * MICROSECONDS - 1;

/// How the value says when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    IsoNaive,
    Sql,
    /// With the seconds by which it is ahead of UTC.
    Zoned(i64),
    Unix,
}

/// Returns the instant in microseconds since 1970, or nothing if the value cannot be read.
pub fn microseconds(value: ValueRef<'_>, zone: &AssumedZone) -> Option<i64> {
    let (form, time) = read(value)?;
    let instant = match form {
        Form::IsoNaive => zone.to_utc(time)?,
        Form::Zoned(ahead) => time - ahead * MICROSECONDS,
        Form::Sql | Form::Unix => time,
    };
    (FIRST..=LAST).contains(&instant).then_some(instant)
}

/// Returns the instant in canonical form, or nothing if the value cannot be read.
pub fn canonical(value: ValueRef<'_>, zone: &AssumedZone) -> Option<String> {
    microseconds(value, zone).map(text_of)
}

/// Returns an instant in canonical form.
pub fn canonical_text(instant: Timestamp) -> String {
    text_of(instant.as_microsecond().clamp(FIRST, LAST))
}

/// Returns the form of a value: `iso-naive`, `sql`, `zoned`, `unix` or `unreadable`; nothing for NULL.
pub fn form(value: ValueRef<'_>) -> Option<&'static str> {
    if matches!(value, ValueRef::Null) {
        return None;
    }
    Some(match read(value) {
        Some((Form::IsoNaive, _)) => "iso-naive",
        Some((Form::Sql, _)) => "sql",
        Some((Form::Zoned(_), _)) => "zoned",
        Some((Form::Unix, _)) => "unix",
        None => "unreadable",
    })
}

fn read(value: ValueRef<'_>) -> Option<(Form, i64)> {
    match value {
        ValueRef::Text(text) => read_text(text),
        ValueRef::Integer(seconds) => unix(seconds, 0),
        ValueRef::Real(seconds) if seconds.is_finite() && seconds > 0.0 && seconds < 1e11 => {
            let whole = seconds.trunc();
            let micros = ((seconds - whole) * 1e6).round() as i64;
            unix(whole as i64, micros)
        }
        _ => None,
    }
}

fn unix(seconds: i64, micros: i64) -> Option<(Form, i64)> {
    (100_000_000..=99_999_999_999).contains(&seconds).then_some((Form::Unix, seconds * MICROSECONDS + micros))
}

fn read_text(text: &[u8]) -> Option<(Form, i64)> {
    if (9..=11).contains(&text.len()) && text.iter().all(u8::is_ascii_digit) {
        return (text[0] != b'0').then(|| number(text)).flatten().and_then(|seconds| unix(seconds, 0));
    }
    let (date, rest) = text.split_at_checked(10)?;
    let [y @ .., b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let days = days_of(number(y)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?)?;
    let Some((separator, rest)) = rest.split_first() else {
        return Some((Form::Sql, days * DAY_SECONDS * MICROSECONDS));
    };
    let (of_day, rest) = time_of_day(rest)?;
    let time = days * DAY_SECONDS * MICROSECONDS + of_day;
    let naive = match separator {
        b'T' | b't' => Form::IsoNaive,
        b' ' => Form::Sql,
        _ => return None,
    };
    let form = if rest.is_empty() { naive } else { Form::Zoned(offset(rest)?) };
    Some((form, time))
}

/// Reads `HH:MM`, `HH:MM:SS` or `HH:MM:SS.f` and returns the microseconds with what follows. Digits of the fraction after
/// the sixth are cut off.
fn time_of_day(text: &[u8]) -> Option<(i64, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    let (seconds, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (number(&[*s1, *s2])?, rest),
        rest => (0, rest),
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let whole = (hours * 3600 + minutes * 60 + seconds) * MICROSECONDS;
    let (b'.' | b',', digits) = (match rest.split_first() {
        Some((first, digits)) => (*first, digits),
        None => return Some((whole, rest)),
    }) else {
        return Some((whole, rest));
    };
    let len = digits.iter().take_while(|digit| digit.is_ascii_digit()).count();
    let fraction = (0..6).fold(0, |sum, at| {
        let digit = digits[..len].get(at).map_or(0, |digit| i64::from(digit - b'0'));
        sum * 10 + digit
    });
    (len > 0).then(|| (whole + fraction, &digits[len..]))
}

/// Reads `Z`, `+HH:MM`, `+HHMM` or `+HH`, after a blank or not, and returns the seconds.
fn offset(text: &[u8]) -> Option<i64> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let (sign, h1, h2, m1, m2) = match *text {
        [b'Z' | b'z'] => return Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => (sign, h1, h2, m1, m2),
        [sign @ (b'+' | b'-'), h1, h2] => (sign, h1, h2, b'0', b'0'),
        _ => return None,
    };
    let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
    let seconds = (hours * 60 + minutes) * 60;
    (hours < 24 && minutes < 60).then_some(if sign == b'-' { -seconds } else { seconds })
}

/// Reads digits alone.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum: i64, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// Returns the days since 1970 of a date that exists.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1 || day < 1 || day > last {
        return None;
    }
    // Years that begin in March, so that the leap day is the last one.
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468)
}

/// Returns year, month and day of the days since 1970.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

fn text_of(instant: i64) -> String {
    let (seconds, fraction) = (instant.div_euclid(MICROSECONDS), instant.rem_euclid(MICROSECONDS));
    let (year, month, day) = date_of(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    let mut text = String::with_capacity(26);
    push(&mut text, year, 4);
    for (separator, part) in
        [('-', month), ('-', day), (' ', of_day / 3600), (':', of_day / 60 % 60), (':', of_day % 60)]
    {
        text.push(separator);
        push(&mut text, part, 2);
    }
    if fraction != 0 {
        text.push('.');
        push(&mut text, fraction, 6);
    }
    text
}

/// Appends a number with leading zeros.
fn push(text: &mut String, number: i64, digits: u32) {
    for at in (0..digits).rev() {
        text.push(char::from(b'0' + (number / 10_i64.pow(at) % 10) as u8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str, zone: &str) -> Option<String> {
        canonical(ValueRef::Text(text.as_bytes()), &AssumedZone::parse(zone).expect("a zone"))
    }

    #[test]
    fn each_form_is_read_by_its_rule() {
        let cases = [
            ("2025-11-06T12:34:27.061107", "iso-naive", "2025-11-06 17:34:27.061107"),
            ("2025-11-06T12:34:27", "iso-naive", "2025-11-06 17:34:27"),
            ("2025-11-06T12:34", "iso-naive", "2025-11-06 17:34:00"),
            ("2025-11-12 19:26:07", "sql", "2025-11-12 19:26:07"),
            ("2025-11-12 19:26:07.500", "sql", "2025-11-12 19:26:07.500000"),
            ("2025-11-12", "sql", "2025-11-12 00:00:00"),
            ("2025-11-06T12:34:27Z", "zoned", "2025-11-06 12:34:27"),
            ("2025-11-06T12:34:27.5+02:00", "zoned", "2025-11-06 10:34:27.500000"),
            ("2025-11-06 12:34:27 -0330", "zoned", "2025-11-06 16:04:27"),
            ("2025-12-31 23:30:00-01", "zoned", "2026-01-01 00:30:00"),
            ("1762425600", "unix", "2025-11-06 10:40:00"),
            ("2024-02-29T23:00:00.1234569", "iso-naive", "2024-03-01 04:00:00.123456"),
        ];
        for (text, expected_form, expected) in cases {
            assert_eq!(form(ValueRef::Text(text.as_bytes())), Some(expected_form), "{text}");
            assert_eq!(instant(text, "-05:00").as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn numbers_of_9_to_11_digits_are_seconds() {
        let zone = AssumedZone::default();
        let of = |value: ValueRef<'_>| canonical(value, &zone);
        assert_eq!(of(ValueRef::Integer(1_762_425_600)).as_deref(), Some("2025-11-06 10:40:00"));
        assert_eq!(of(ValueRef::Real(1_762_425_600.25)).as_deref(), Some("2025-11-06 10:40:00.250000"));
        assert_eq!(of(ValueRef::Integer(100_000_000)).as_deref(), Some("1973-03-03 09:46:40"));
        assert_eq!(of(ValueRef::Integer(99_999_999)), None);
        assert_eq!(of(ValueRef::Integer(1_762_425_600_000)), None, "milliseconds have 13 digits");
        assert_eq!(of(ValueRef::Real(f64::NAN)), None);
    }

    #[test]
    fn what_is_no_instant_is_unreadable() {
        let texts = [
            "",
            "now",
            "2025-02-29T00:00:00",
            "2025-13-01",
            "2025-00-10",
            "2025-11-06T24:00:00",
            "2025-11-06T12:60",
            "2025-11-06T12:34:60",
            "2025-11-06X12:34:27",
            "2025-11-06T12:34:27.",
            "2025-11-06T12:34:27+25:00",
            "12345678",
            "123456789012",
            "012345678",
            "2025-11-06 12:34:27 UTC",
            "0000-01-01",
            "９月",
            "0001-01-01T00:00:00+01:00",
        ];
        for text in texts {
            assert_eq!(instant(text, "UTC"), None, "{text}");
        }
        assert_eq!(form(ValueRef::Text(b"now")), Some("unreadable"));
        assert_eq!(form(ValueRef::Blob(b"2025-11-06")), Some("unreadable"));
        assert_eq!(form(ValueRef::Null), None);
    }

    #[test]
    fn days_agree_with_the_calendar_of_another_library() {
        let zone = AssumedZone::default();
        for day in (-719_000_i64..2_932_000).step_by(97) {
            let at = Timestamp::from_second(day * DAY_SECONDS + day.rem_euclid(DAY_SECONDS)).expect("an instant");
            let text = canonical_text(at);
            assert_eq!(text, at.strftime("%Y-%m-%d %H:%M:%S").to_string());
            assert_eq!(microseconds(ValueRef::Text(text.as_bytes()), &zone), Some(at.as_microsecond()));
        }
    }

    #[test]
    fn canonical_texts_are_read_back_and_sort_as_instants() {
        let zone = AssumedZone::default();
        let instants = [FIRST, -1, 0, 1, MICROSECONDS - 1, MICROSECONDS, 1_762_425_600_061_107, LAST];
        let texts: Vec<_> = instants.iter().map(|instant| text_of(*instant)).collect();
        assert!(texts.is_sorted());
        for (instant, text) in instants.iter().zip(&texts) {
            assert_eq!(microseconds(ValueRef::Text(text.as_bytes()), &zone), Some(*instant), "{text}");
        }
    }
}
