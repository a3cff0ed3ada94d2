//! How much memory a document takes, from a look at its bytes.

/// The memory of a value: its node and its place in an array or object, before and after the steps, and its pair when
/// both are compared, with the room that lists keep in reserve.
const VALUE_BYTES: u64 = 104;
/// What lists of a few values keep in reserve.
const LEAST_BYTES: u64 = 1 << 10;
/// What numbers may grow by when they are written as the original writes them.
const NUMBER_GROWTH_BYTES: u64 = 16;

/// Returns the memory that a migration of this text takes, at most: text, values, canonical text and new text. The text
/// need not be JSON; what the parser would refuse because it is nested deeper than `depth_max` is not counted.
///
/// A short text may take much: each value stands on a line of its own, indented by its depth.
pub fn memory_needed(text: &[u8], depth_max: usize) -> u64 {
    let mut count = Count { depth: 0, values: 0, formatted: 0, canonical: 0, opened: None };
    let mut at = 0;
    while at < text.len() && count.depth <= depth_max as u64 {
        at = match text[at] {
            blank if is_blank(blank) => at + 1,
            b'"' => count.string(text, at),
            b'{' | b'[' => count.open(at),
            b'}' | b']' => count.close(at),
            b',' => count.part(at),
            b':' => count.colon(at),
            _ => count.scalar(text, at),
        };
    }
    let Count { values, formatted, canonical, .. } = count;
    // Texts that grow may have twice their length in reserve.
    let lists = LEAST_BYTES + VALUE_BYTES * values;
    let texts = (text.len() as u64).saturating_add(formatted.saturating_mul(2)).saturating_add(canonical * 2);
    // What the lists and texts left behind when they grew can be used again, but not yet by anybody else.
    texts.saturating_add(lists).saturating_mul(3) / 2
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

struct Count {
    depth: u64,
    values: u64,
    formatted: u64,
    canonical: u64,
    /// What the innermost container adds to the new text if it is not empty, as long as it is.
    opened: Option<u64>,
}

impl Count {
    /// A line break and the indentation.
    fn line(&self) -> u64 {
        1 + 2 * self.depth
    }

    fn add(&mut self, bytes: u64) {
        self.formatted = self.formatted.saturating_add(bytes);
        self.canonical += bytes.min(2);
    }

    fn value(&mut self, formatted: u64, canonical: u64) {
        self.opened = None;
        self.values += 1;
        self.formatted = self.formatted.saturating_add(formatted);
        self.canonical += canonical;
    }

    fn string(&mut self, text: &[u8], start: usize) -> usize {
        let (mut end, mut escaped) = (start + 1, 0);
        while end < text.len() && text[end] != b'"' {
            // In the canonical text, two bytes beyond ASCII become six, and DEL too.
            escaped += match text[end] {
                0x80.. => 2,
                0x7f => 5,
                _ => 0,
            };
            end += if text[end] == b'\\' { 2 } else { 1 };
        }
        let end = (end + 1).min(text.len());
        let len = (end - start) as u64;
        self.value(len, len + escaped);
        end
    }

    fn scalar(&mut self, text: &[u8], start: usize) -> usize {
        let is_end = |byte: &u8| is_blank(*byte) || matches!(byte, b',' | b':' | b']' | b'}' | b'[' | b'{' | b'"');
        let len = text[start + 1..].iter().position(is_end).unwrap_or(text.len() - start - 1) + 1;
        let grown = len as u64 + NUMBER_GROWTH_BYTES;
        self.value(grown, grown);
        start + len
    }

    fn open(&mut self, at: usize) -> usize {
        self.value(1, 1);
        self.depth += 1;
        let line = self.line();
        self.add(line);
        self.opened = Some(line);
        at + 1
    }

    fn close(&mut self, at: usize) -> usize {
        self.depth = self.depth.saturating_sub(1);
        match self.opened.take() {
            Some(line) => self.formatted -= line.min(self.formatted),
            None => self.add(self.line()),
        }
        self.add(1);
        at + 1
    }

    fn part(&mut self, at: usize) -> usize {
        self.add(1 + self.line());
        at + 1
    }

    fn colon(&mut self, at: usize) -> usize {
        self.add(2);
        at + 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Document, Formatting, Numbers, ReadOptions, push_canonical, push_formatted};
    use super::*;

    const DEPTH_MAX: usize = 1000;

    /// What the texts and the lists of a document take as they are, without any reserve.
    fn taken(text: &str) -> u64 {
        let document = Document::parse(text.as_bytes(), &ReadOptions::default()).unwrap();
        let (mut formatted, mut canonical) = (Vec::new(), Vec::new());
        push_formatted(&mut formatted, document.root(), Formatting { numbers: Numbers::Values, final_newline: true });
        push_canonical(&mut canonical, document.root());
        let texts = text.len() + 2 * formatted.len() + 2 * canonical.len();
        texts as u64 + 2 * document.into_arena().reserved_bytes()
    }

    #[test]
    fn no_document_takes_more_than_was_counted() {
        let items = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
        let deep = format!("{}{}{}", "[".repeat(900), vec!["0"; 5000].join(","), "]".repeat(900));
        let members: Vec<_> = (0..5000).map(|number| format!("\"k{number}\":{number}")).collect();
        let members = format!("{{{}}}", members.join(" ,\n "));
        let texts = [
            items("{}", 5000),
            items("[ ]", 5000),
            items("0", 5000),
            items("1e15", 5000),
            items("\"\u{7f}\u{e9}\u{1f600}\\u00e9\\n\"", 5000),
            items("{\"a\":[1,{\"b\":null}],\"\":\"x\"}", 2000),
            items(&items("", 0), 2000),
            deep,
            members,
            "{}".into(),
            " null ".into(),
        ];
        for text in texts {
            let (needed, taken) = (memory_needed(text.as_bytes(), DEPTH_MAX), taken(&text));
            // One line break at the end of the text.
            assert!(needed + 2 >= taken, "{needed} < {taken}: {}", &text[..text.len().min(60)]);
        }
    }

    #[test]
    fn indentation_counts() {
        let deep = format!("{}{}{}", "[".repeat(900), vec!["0"; 5000].join(","), "]".repeat(900));
        assert!(memory_needed(deep.as_bytes(), DEPTH_MAX) > 5000 * 1800 * 2);
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
        assert!(memory_needed(long.as_bytes(), DEPTH_MAX) < 9 << 20, "a text takes no more than its copies");
    }

    #[test]
    fn any_bytes_are_counted_and_what_is_too_deep_is_left_to_the_parser() {
        for text in [&b""[..], b"\"", b"\"\\", b"]]]", b"\xff\xfe,,,", b"{\"a\":", b"nul"] {
            assert!(memory_needed(text, DEPTH_MAX) >= text.len() as u64);
        }
        assert!(memory_needed(&vec![b'['; 1 << 20], DEPTH_MAX) < 12 << 20);
    }
}
