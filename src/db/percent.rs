//! Percent-encoding in URLs.

/// Replaces each `%XX`. Returns `None` if two hexadecimal digits are missing, or if the result is not a text.
pub fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(digits[0])? << 4 | digit(digits[1])?);
        rest = after;
    }
    // A name with a NUL byte cannot be handed to the system.
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_replaced_or_refused() {
        assert_eq!(decoded("a%20b%C3%A4+").as_deref(), Some("a bä+"));
        for text in ["%", "%2", "%zz", "%+1", "%ff", "%00"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
