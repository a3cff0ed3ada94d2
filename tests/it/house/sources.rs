//! The sources of the library, as text and as the code that is left without comments, texts and tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file below `src`.
pub struct Source {
    /// Path relative to `src`, with `/` between its parts.
    pub path: String,
    pub text: String,
}

/// Returns the root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns every file below `src`, sorted by path.
pub fn sources() -> Vec<Source> {
    let root = repository().join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    let read = |path: &PathBuf| Source {
        path: path.strip_prefix(&root).expect("below the root").to_str().expect("text").to_owned(),
        text: fs::read_to_string(path).expect("a source"),
    };
    let mut found: Vec<_> = paths.iter().map(read).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 30, "the sources are where they are expected");
    found
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A piece of code: a name, `::`, or one character.
pub type Token = String;

/// Splits code into tokens and drops comments, literals of text, lifetimes and white space.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment_len(rest),
            '"' => text_len(rest),
            '\'' => quote_len(rest),
            _ if raw_text_len(rest).is_some() => raw_text_len(rest).expect("just found"),
            _ if is_name(first) => {
                let len = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
                found.push(rest[..len].to_owned());
                len
            }
            ':' if rest.starts_with("::") => {
                found.push("::".to_owned());
                2
            }
            _ if first.is_whitespace() => first.len_utf8(),
            _ => {
                found.push(first.to_string());
                first.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    found
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Length of the block comment that `text` begins with; such comments nest.
fn block_comment_len(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of the literal that `text` begins with, quotes included.
fn text_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of the raw literal that `text` begins with, if it begins with one.
fn raw_text_len(text: &str) -> Option<usize> {
    let behind = ["r", "br", "cr"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let hashes = behind.len() - behind.trim_start_matches('#').len();
    let body = behind[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let len = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(text.len() - body.len() + len)
}

/// Length of the character or of the lifetime that `text` begins with.
fn quote_len(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text.char_indices().skip(3).find(|(_, c)| *c == '\'').map_or(text.len(), |(at, _)| at + 1),
        Some((_, c)) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ if is_name(c) => 1 + text[1..].find(|c| !is_name(c)).unwrap_or(text.len() - 1),
            _ => 1,
        },
        None => 1,
    }
}

/// Code without the items that are compiled for tests alone, and the names of the modules of tests that have their own files.
pub fn without_tests(tokens: &[Token]) -> (Vec<Token>, BTreeSet<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules, mut at) = (Vec::new(), BTreeSet::new(), 0);
    while at < tokens.len() {
        if !tokens[at..].iter().take(MARK.len()).map(String::as_str).eq(MARK) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += MARK.len();
        let len = item_len(&tokens[at..]);
        let item = &tokens[at..at + len];
        let name = item.iter().position(|token| token == "mod").and_then(|at| item.get(at + 1));
        let is_in_a_file = item.last().is_some_and(|last| last == ";");
        modules.extend(name.filter(|_| is_in_a_file).cloned());
        at += len;
    }
    (kept, modules)
}

/// Number of tokens of the item that the code begins with: to its `;`, or to the end of its braces.
fn item_len(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        let is_end = token == ";" || (token == "}" && tokens.get(at + 1).is_none_or(|next| next != ";"));
        if depth == 0 && is_end {
            return at + 1;
        }
    }
    tokens.len()
}

#[test]
fn code_is_what_is_left_without_comments_and_texts() {
    let text = r##"fn a<'b>(c: char) { /* d /* e */ */ "f\" g"; r#"h " i"#; 'j'; '\''; b'"'; } // k"##;
    let code = tokens(text).concat();
    assert_eq!(code, "fna<>(c:char){;;;;b;}");
}

#[test]
fn tests_are_left_out() {
    let text = "use a::b; #[cfg(test)] mod tests; #[cfg(test)] mod more { fn x() {} } #[cfg(test)] use c::d; fn y() {}";
    let (code, modules) = without_tests(&tokens(text));
    assert_eq!(code.concat(), "usea::b;fny(){}");
    assert_eq!(modules, BTreeSet::from(["tests".to_owned()]));
}
