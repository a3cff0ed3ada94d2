//! Asks for consent before something is removed or replaced.

use std::fmt::Display;
use std::io::{IsTerminal, stdin};

use crate::migration::Error;
use crate::observe::Console;

/// Says what will be done, to each of `items` if there are any, and asks for consent, unless `yes` gives it. Without a
/// terminal, `--yes` is required.
pub fn confirm(what: impl Display, items: &[String], yes: bool) -> Result<(), Error> {
    let end = if items.is_empty() { "" } else { ":" };
    let console = Console::new();
    console.line(&format!("{what}{end}"));
    for item in items {
        console.line(&format!("  {item}"));
    }
    if yes {
        return Ok(());
    }
    if !(stdin().is_terminal() && Console::is_terminal()) {
        return Err(Error::Usage {
            what: "this needs consent, and there is no terminal to ask on; nothing was changed".into(),
            next: "add --yes".into(),
        });
    }
    console.text("continue? [y/N] ");
    let mut answer = String::new();
    let is_read = stdin().read_line(&mut answer).is_ok();
    if is_read && matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Error::Usage { what: "not confirmed; nothing was changed".into(), next: "answer y, or add --yes".into() })
}
