//! Asks for consent before something is removed or replaced.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdin};

use crate::migration::Error;

/// Says what will be done and asks for consent, unless `yes` gives it. Without a terminal, `--yes` is required.
pub fn confirm(what: impl Display, yes: bool) -> Result<(), Error> {
    let _ = writeln!(stderr(), "{what}");
    if yes {
        return Ok(());
    }
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        return Err(Error::Usage {
            what: "this needs consent, and there is no terminal to ask on; nothing was changed".into(),
            next: "add --yes".into(),
        });
    }
    let _ = write!(stderr(), "continue? [y/N] ");
    let mut answer = String::new();
    let is_read = stdin().read_line(&mut answer).is_ok();
    if is_read && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Error::Usage { what: "not confirmed; nothing was changed".into(), next: "answer y, or add --yes".into() })
}
