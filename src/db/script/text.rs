//! Decodes the bytes of a migration file.

use super::error::ScriptFault;

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Returns the text of a file without a byte order mark and with LF for CR LF. This text is run, shown and digested, so
/// a migration is the same however it was checked out.
///
/// The offset of an error counts the original bytes.
pub fn normalized(bytes: &[u8]) -> Result<String, (ScriptFault, usize)> {
    let text = std::str::from_utf8(bytes).map_err(|error| (ScriptFault::NotUtf8, error.valid_up_to()))?;
    if let Some(at) = memchr::memchr(0, bytes) {
        return Err((ScriptFault::ZeroByte, at));
    }
    Ok(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).replace("\r\n", "\n"))
}

/// Returns true if a word is in a text, in upper or lower case.
pub fn contains_ignoring_case(text: &str, word: &str) -> bool {
    text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::script::Checksum;

    #[test]
    fn line_ends_and_byte_order_mark_do_not_matter() {
        let sum = |bytes: &[u8]| Checksum::of(&normalized(bytes).unwrap()).to_string();
        assert_eq!(sum(b"a\r\nb\n"), sum(b"\xef\xbb\xbfa\nb\r\n"));
        assert_ne!(sum(b"a\rb"), sum(b"a\nb"));
        assert_eq!(sum(b""), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    }

    #[test]
    fn the_error_names_the_offset_of_the_invalid_byte() {
        assert_eq!(normalized(b"ab\xff"), Err((ScriptFault::NotUtf8, 2)));
        assert_eq!(normalized(b"ab\0c"), Err((ScriptFault::ZeroByte, 2)));
    }
}
