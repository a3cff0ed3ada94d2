//! The grammar of JSON documents.

use std::collections::HashSet;

use super::string::{Reading, read_string};

/// Greatest depth of nested arrays and objects. The scanner is recursive, so a deeper text could exhaust the stack.
const DEPTH_MAX: usize = 128;

/// Why a text is not a JSON document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at offset {offset}")]
pub struct JsonError {
    /// Where that shows, in bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: &'static str,
}

/// Checks `text` as a whole and returns where its value begins and ends.
pub(super) fn document(text: &[u8]) -> Result<(usize, usize), JsonError> {
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_blanks();
    let start = scanner.at;
    scanner.value(0)?;
    let end = scanner.at;
    scanner.skip_blanks();
    if scanner.at < text.len() { scanner.fail("more text after the value") } else { Ok((start, end)) }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn fail<T>(&self, what: &'static str) -> Result<T, JsonError> {
        Err(JsonError { offset: self.at as u64, what })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn skip_blanks(&mut self) {
        self.at = after_blanks(self.text, self.at);
    }

    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => self.fail("arrays and objects are nested too deep"),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) => self.fail("no value begins here"),
            None => self.fail("the text ends where a value is expected"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        let mut names = HashSet::new();
        self.at += 1;
        self.skip_blanks();
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let start = self.at;
            if self.peek() != Some(b'"') {
                return self.fail("expected the name of a member");
            }
            self.string()?;
            let name = &self.text[start..self.at];
            let standard = read_string(name, Reading::Standard);
            let reference = read_string(name, Reading::Reference);
            let is_new = if reference == standard {
                names.insert(standard)
            } else {
                // A name in one reading must not be another member's name in the other reading.
                names.insert(standard) & names.insert(reference)
            };
            if !is_new {
                self.at = start;
                return self.fail("duplicate name");
            }
            self.skip_blanks();
            if !self.take(b':') {
                return self.fail("expected a colon");
            }
            self.skip_blanks();
            self.value(depth)?;
            self.skip_blanks();
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return self.fail("expected a comma or the end of the object");
            }
            self.skip_blanks();
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.at += 1;
        self.skip_blanks();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.value(depth)?;
            self.skip_blanks();
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return self.fail("expected a comma or the end of the array");
            }
            self.skip_blanks();
        }
    }

    /// Accepts control characters as they are: the reference writes most of them so.
    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            match self.peek() {
                None => return self.fail("the text ends inside a string"),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..self.at + 6);
                if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
                    return self.fail("\\u without its four digits");
                }
                self.at += 6;
            }
            Some(_) => return self.fail("unknown escape"),
            None => return self.fail("the text ends inside a string"),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { self.fail("expected a digit") } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return self.fail("no value begins here");
        }
        self.at += word.len();
        Ok(())
    }
}

/// Returns the offset of the first byte from `at` on that is not white space.
pub(super) fn after_blanks(text: &[u8], at: usize) -> usize {
    let blanks = text[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    at + blanks.count()
}

/// Returns where the value that begins at `at` ends, in a text that was checked.
pub(super) fn value_end(text: &[u8], at: usize) -> usize {
    match text[at] {
        b'"' => string_end(text, at),
        b'{' | b'[' => container_end(text, at),
        _ => {
            let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
            at + text[at..].iter().take_while(is_part).count()
        }
    }
}

fn string_end(text: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while text[end] != b'"' {
        end += if text[end] == b'\\' { 2 } else { 1 };
    }
    end + 1
}

fn container_end(text: &[u8], at: usize) -> usize {
    let (mut end, mut open) = (at, 0_usize);
    loop {
        match text[end] {
            b'"' => end = string_end(text, end) - 1,
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {}
        }
        end += 1;
        if open == 0 {
            return end;
        }
    }
}
