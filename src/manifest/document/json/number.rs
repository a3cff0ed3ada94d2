//! Numbers in the form of the original: exact integers, and floats with the fewest digits (docs/source-sigilzero.md,
//! "Canonical text and checksums").

use std::io::Write;

use super::node::Kind;

/// Length of the longest binary64 in `{:e}`: sign, 17 digits, point, `e`, sign, three digits.
const FLOAT_LEN_MAX: usize = 24;

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

/// Appends a finite binary64 with the fewest digits that give the same value: in fixed notation if the decimal exponent
/// is from −4 to 15, else as `d.ddde±XX`.
// Rust writes the same shortest digits as the original, but not the same notation.
pub fn push_float(out: &mut Vec<u8>, value: f64) {
    let mut buffer = [0; FLOAT_LEN_MAX];
    let len = {
        let mut rest = &mut buffer[..];
        write!(rest, "{value:e}").expect("the longest binary64 fits");
        FLOAT_LEN_MAX - rest.len()
    };
    let text = std::str::from_utf8(&buffer[..len]).expect("digits");
    let (mantissa, exponent) = text.split_once('e').expect("scientific notation has an exponent");
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
