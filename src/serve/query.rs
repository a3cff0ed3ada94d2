//! The part of an address behind `?`.

/// Returns the value of a name, decoded; `None` if the name is not there.
pub fn value(query: Option<&str>, name: &str) -> Option<String> {
    let mut pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| decoded(value))
}

/// Returns a text with `+` and `%XX` decoded. What is no escape stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let escape = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        let (byte, used) = match (first, escape) {
            (b'%', Some(byte)) => (byte, 2),
            (b'+', _) => (b' ', 0),
            _ => (first, 0),
        };
        bytes.push(byte);
        rest = &behind[used..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Returns a text as it stands in an address.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_decoded() {
        let query = Some("q=a+b%2f%C3%A9%zz%&page=2&state");
        assert_eq!(value(query, "q").as_deref(), Some("a b/é%zz%"));
        assert_eq!(value(query, "page").as_deref(), Some("2"));
        assert_eq!(value(query, "state").as_deref(), Some(""));
        assert_eq!((value(query, "other"), value(None, "q")), (None, None));
        assert_eq!(value(Some("q=%ff%+"), "q").as_deref(), Some("\u{fffd}% "));
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["", "a b", "<&>\"'%+é\u{202e}\n"] {
            assert_eq!(decoded(&encoded(text)), text);
        }
    }
}
