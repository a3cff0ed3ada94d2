//! Standard output: data and nothing else.

use std::fmt;
use std::io::{self, ErrorKind, Write, stdout};

use anyhow::Context;
use serde::Serialize;

use crate::migration::Error;

/// Prints a result: as one JSON document, or as text.
pub fn print(json_wanted: bool, document: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    if json_wanted { json(document) } else { write(text().as_bytes()) }
}

/// The text that `render` writes.
pub fn text_of(render: impl FnOnce(&mut String) -> fmt::Result) -> String {
    let mut text = String::new();
    render(&mut text).expect("a string takes any text");
    text
}

/// Prints one JSON document.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(document).context("cannot render the result")?;
    bytes.push(b'\n');
    write(&bytes)
}

/// Lets `write` print what is too much for one text, and returns what it returns; `None` if the reader went away.
pub fn stream<T>(write: impl FnOnce(&mut dyn Write) -> Result<T, Error>) -> Result<Option<T>, Error> {
    match write(&mut stdout().lock()) {
        Err(Error::Disk(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(None),
        result => result.map(Some),
    }
}

/// Prints bytes as they are.
pub fn bytes(bytes: &[u8]) -> anyhow::Result<()> {
    write(bytes)
}

/// A reader that went away has what it wanted: the command ends as it would have.
fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let write_all = || -> io::Result<()> {
        let mut out = stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    };
    match write_all() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}
