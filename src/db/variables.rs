//! Variables of the environment, and the file `.env` that stands in for them.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::durable::{DiskError, open_named_file};
use crate::migration::Error;

/// The name of the file, which is read from the working directory.
pub const DOT_ENV_FILE: &str = ".env";
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The variables of the environment, and behind them those of a file. No value is ever shown.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Variables {
    /// Reads the file at `path`, and keeps the variables whose names `is_read` takes. If there is no file, only the
    /// environment counts.
    pub fn with_file(path: &Path, is_read: impl Fn(&str) -> bool) -> Result<Self, Error> {
        let wrap = |error| Error::from(DiskError::new("read variables", path, error));
        let file = match open_named_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            file => file.map_err(wrap)?,
        };
        let mut text = String::new();
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(wrap)?;
        parse(&text, is_read).map(Self).map_err(|(line, what)| Error::Usage {
            what: format!("{}:{line}: {what}", path.display()),
            next: "write NAME=VALUE, with quotes around a value that holds spaces, # or $".into(),
        })
    }

    /// Returns the value of a variable. The environment takes precedence, with an empty value too.
    pub fn get(&self, name: &str) -> Option<String> {
        match std::env::var_os(name) {
            Some(value) => value.into_string().ok(),
            None => self.0.get(name).cloned(),
        }
    }

    /// Returns true if the value of a variable is that of the file.
    pub fn is_from_file(&self, name: &str) -> bool {
        self.0.contains_key(name) && std::env::var_os(name).is_none()
    }

    /// Returns the names of the variables whose values are those of the file.
    pub fn names_from_file(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).filter(|name| self.is_from_file(name)).collect()
    }
}

/// Parses lines `NAME=VALUE`, also with `export` before. Errors have the number of the line.
fn parse(text: &str, is_read: impl Fn(&str) -> bool) -> Result<BTreeMap<String, String>, (usize, &'static str)> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start_matches('\u{feff}');
    while !rest.is_empty() {
        let number = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let assignment = line.trim_start().strip_prefix("export ").unwrap_or(line).trim_start();
        let Some((name, _)) = assignment.split_once('=').filter(|_| !assignment.starts_with('#')) else {
            rest = after;
            continue;
        };
        let name = name.trim();
        // The value may go on in the next lines.
        let value_text = &rest[line.len() - assignment.len() + assignment.find('=').unwrap_or_default() + 1..];
        let (value, after) = value(value_text).map_err(|what| (number, what))?;
        if is_read(name) {
            let value = value.ok_or((number, "the value holds a $, which haul does not fill in"))?;
            found.insert(name.to_owned(), value);
        }
        rest = after;
    }
    Ok(found)
}

/// Splits off a value, which may go over several lines within quotes. It is `None` if it names other variables.
fn value(text: &str) -> Result<(Option<String>, &str), &'static str> {
    let start = text.trim_start_matches([' ', '\t']);
    let quote = start.chars().next().filter(|first| ['\'', '"'].contains(first));
    let Some(quote) = quote else {
        let (line, after) = start.split_once('\n').unwrap_or((start, ""));
        let end = line.find(" #").unwrap_or(line.len());
        let value = line[..end].trim();
        return Ok(((!names_others(value)).then(|| value.to_owned()), after));
    };
    let (mut found, mut has_names, mut letters) = (String::new(), false, start.char_indices().skip(1));
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter == quote => {
                let after = start[at + 1..].split_once('\n').map_or("", |(_, after)| after);
                return Ok(((!has_names).then_some(found), after));
            }
            '\\' if quote == '"' => match letters.next() {
                Some((_, 'n')) => found.push('\n'),
                Some((_, escaped)) => found.push(escaped),
                None => {}
            },
            _ => {
                has_names |= quote == '"' && names_others(&start[at..].chars().take(2).collect::<String>());
                found.push(letter);
            }
        }
    }
    Err("a quote is not closed")
}

/// Returns true for `$NAME` and `${NAME}`.
fn names_others(value: &str) -> bool {
    value
        .split('$')
        .skip(1)
        .any(|after| after.starts_with(|first: char| first.is_ascii_alphabetic() || "_{(".contains(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses as if all names but two were read.
    fn parsed(text: &str) -> Result<BTreeMap<String, String>, (usize, &'static str)> {
        parse(text, |name| !["SECRET", "KEY"].contains(&name))
    }

    fn of(text: &str) -> Vec<String> {
        parsed(text).unwrap().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn values_are_read_as_other_programs_read_them() {
        let text = "\u{feff}# DATABASE_URL=no\n\nexport DATABASE_URL=postgres://h/x # the local one\r\nPGUSER = 'a $b #c'\n\
                    PGPASSWORD=\"x\\\"y\\n\\$z\"\nSECRET=s3cret\nKEY=\"a\nPGHOST=no\n\"\nHAUL_ENV=dev\nno assignment\nPGPORT=";
        let expected =
            ["DATABASE_URL=postgres://h/x", "HAUL_ENV=dev", "PGPASSWORD=x\"y\n$z", "PGPORT=", "PGUSER=a $b #c"];
        assert_eq!(of(text), expected);
        assert_eq!(of("DATABASE_URL=postgres://h/x?a=b#c\nSECRET=${OTHER}"), ["DATABASE_URL=postgres://h/x?a=b#c"]);
    }

    #[test]
    fn errors_name_the_line_and_not_the_value() {
        for (text, line) in [
            ("A=1\n\nPGPASSWORD='s3cret", 3),
            ("PGPASSWORD=s3cret$HOME", 1),
            ("A=\"x\ny\"\nPGPASSWORD=\"s3cret${HOME}\"", 3),
            ("B='", 1),
        ] {
            let (number, what) = parsed(text).unwrap_err();
            assert!(number == line && !what.contains("s3cret"), "{text}: {number} {what}");
        }
    }

    #[test]
    fn the_values_are_not_shown() {
        let variables = Variables(parsed("DATABASE_URL=s3cret").unwrap());
        assert_eq!(format!("{variables:?}"), "{\"DATABASE_URL\"}");
    }
}
