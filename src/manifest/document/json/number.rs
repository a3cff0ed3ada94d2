//! Numbers in the form of the original: exact integers, and floats with the fewest digits (docs/source-sigilzero.md,
//! "Canonical text and checksums").

use std::fmt;
use std::io::Write;

use super::node::Kind;

/// Length of the longest binary64 in `{:e}`: sign, 17 digits, point, `e`, sign, three digits.
const FLOAT_LEN_MAX: usize = 24;
/// The fewest digits of which two texts can stand for the same binary64.
const TIE_DIGITS_MIN: usize = 16;

/// Returns true if the float is too large for a binary64.
pub(super) fn overflows(lexeme: &str) -> bool {
    value(lexeme).is_infinite()
}

fn value(lexeme: &str) -> f64 {
    lexeme.parse().expect("the grammar of JSON numbers is part of Rust's")
}

/// Appends the canonical text of a number. A float that is too large for a binary64 keeps its text.
pub(super) fn push_canonical(out: &mut Vec<u8>, kind: Kind, lexeme: &str) {
    if kind == Kind::Integer {
        return out.extend_from_slice(if lexeme == "-0" { b"0" } else { lexeme.as_bytes() });
    }
    let value = value(lexeme);
    if value.is_finite() { push_float(out, value) } else { out.extend_from_slice(lexeme.as_bytes()) }
}

/// A binary64 in scientific notation.
struct Scientific {
    bytes: [u8; FLOAT_LEN_MAX],
    len: usize,
}

impl Scientific {
    fn of(text: fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; FLOAT_LEN_MAX];
        let mut rest = &mut bytes[..];
        rest.write_fmt(text).expect("the longest binary64 fits");
        let len = FLOAT_LEN_MAX - rest.len();
        Self { bytes, len }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).expect("digits")
    }

    fn digits(&self) -> usize {
        self.as_str().bytes().take_while(|&byte| byte != b'e').filter(u8::is_ascii_digit).count()
    }
}

/// Returns the text with the fewest digits that give the same value; of several the nearest to it, and of two that are
/// equally near the one whose last digit is even.
fn shortest(value: f64) -> Scientific {
    // Of two texts that are equally near, Rust takes the upper one.
    let upper = Scientific::of(format_args!("{value:e}"));
    let digits = upper.digits();
    if digits < TIE_DIGITS_MIN {
        return upper;
    }
    // With a given number of digits, Rust rounds to even.
    let nearest = Scientific::of(format_args!("{value:.*e}", digits - 1));
    // Values lie closer together below a power of two than above it: the nearest text may stand for the value below.
    if nearest.as_str().parse() == Ok(value) { nearest } else { upper }
}

/// Appends a finite binary64 with the fewest digits that give the same value: in fixed notation if the decimal exponent
/// is from −4 to 15, else as `d.ddde±XX`.
// Rust's notation is another one than that of the original.
pub fn push_float(out: &mut Vec<u8>, value: f64) {
    let text = shortest(value);
    let (mantissa, exponent) = text.as_str().split_once('e').expect("scientific notation has an exponent");
    let exponent: i32 = exponent.parse().expect("an exponent is a number");
    let unsigned = mantissa.trim_start_matches('-');
    if unsigned.len() < mantissa.len() {
        out.push(b'-');
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    match exponent {
        0..16 => push_above_one(out, whole, fraction, exponent as usize),
        -4..0 => {
            out.extend_from_slice(b"0.");
            out.extend((1..-exponent).map(|_| b'0'));
            out.extend_from_slice(whole.as_bytes());
            out.extend_from_slice(fraction.as_bytes());
        }
        _ => {
            out.extend_from_slice(unsigned.as_bytes());
            let sign = if exponent < 0 { '-' } else { '+' };
            write!(out, "e{sign}{:02}", exponent.unsigned_abs()).expect("memory takes any text");
        }
    }
}

/// Appends `whole.fraction` with the point moved `shift` digits to the right.
fn push_above_one(out: &mut Vec<u8>, whole: &str, fraction: &str, shift: usize) {
    let (moved, left) = fraction.split_at(shift.min(fraction.len()));
    out.extend_from_slice(whole.as_bytes());
    out.extend_from_slice(moved.as_bytes());
    out.extend((moved.len()..shift).map(|_| b'0'));
    out.push(b'.');
    out.extend_from_slice(if left.is_empty() { b"0" } else { left.as_bytes() });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        push_float(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    #[expect(clippy::excessive_precision, reason = "the numbers are exact: they lie between two texts")]
    fn of_two_texts_that_are_equally_near_the_even_one_is_taken() {
        let ties = [
            (1700000000000000.25, "1700000000000000.2"),
            (1700000000000000.75, "1700000000000000.8"),
            (-1700000000000000.25, "-1700000000000000.2"),
            (809752746457218.25, "809752746457218.2"),
            (1125899906842624.25, "1125899906842624.2"),
            (1125899906842624.75, "1125899906842624.8"),
            (4503599627370495.5, "4503599627370495.5"),
        ];
        for (value, expected) in ties {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn the_text_gives_the_same_value_next_to_powers_of_two() {
        for exponent in -1022..1024 {
            let power = 2_f64.powi(exponent);
            for value in [power, power.next_down(), power.next_up()] {
                assert_eq!(text(value).parse(), Ok(value), "2^{exponent}");
            }
        }
        // The nearest text of 16 digits, 5.684341886080801e-14, stands for the value below.
        assert_eq!(text(2_f64.powi(-44)), "5.684341886080802e-14");
        assert_eq!(text(f64::from_bits(1)), "5e-324");
        assert_eq!(text(9007199254740993.0), "9007199254740992.0");
    }
}
