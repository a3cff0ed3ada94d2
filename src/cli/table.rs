//! Text for people: lines, and rows of a name and a value that stand in the same columns in every command.

use std::fmt::Display;

use crate::migration::units::{bytes_text, count_text};
use crate::migration::{Durability, OutcomeCounts};

/// Width of the column of names, the indent included. Texts begin behind it.
const NAME_WIDTH: usize = 28;
/// Width of the column of numbers. They are aligned to the right, so that a glance compares them.
const NUMBER_WIDTH: usize = 18;
/// Widths of the state and of the name in a list.
const STATE_WIDTH: usize = 10;
const ITEM_WIDTH: usize = 50;
const INDENT: usize = 2;

/// The text of a result.
#[derive(Default)]
pub struct Table {
    text: String,
    indent: usize,
}

impl Table {
    /// Returns the text that `render` writes.
    pub fn render(render: impl FnOnce(&mut Self)) -> String {
        let mut table = Self::default();
        render(&mut table);
        table.text
    }

    /// Adds a line.
    pub fn line(&mut self, line: impl Display) {
        self.text.push_str(&" ".repeat(self.indent));
        self.text.push_str(&line.to_string());
        self.text.push('\n');
    }

    /// Adds a text as it is.
    pub fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds a name and a text.
    pub fn row(&mut self, name: impl Display, value: impl Display) {
        let width = NAME_WIDTH - self.indent - 1;
        self.line(format_args!("{:<width$} {value}", name.to_string()));
    }

    /// Adds a name and a number, which may have a unit.
    pub fn number(&mut self, name: impl Display, number: impl Into<String>) {
        self.row(name, format_args!("{:>NUMBER_WIDTH$}", number.into()));
    }

    /// Adds a name and a count.
    pub fn count(&mut self, name: impl Display, count: u64) {
        self.number(name, count_text(count));
    }

    /// Adds a count for each name.
    pub fn counts<N: Display>(&mut self, counts: impl IntoIterator<Item = (N, u64)>) {
        counts.into_iter().for_each(|(name, count)| self.count(name, count));
    }

    /// Adds a name and a length.
    pub fn bytes(&mut self, name: impl Display, bytes: u64) {
        self.number(name, bytes_text(bytes));
    }

    /// Adds an entry of a list: its state, its name, and the rest.
    pub fn item(&mut self, state: impl Display, name: impl Display, rest: impl Display) {
        let line = format!("{:<STATE_WIDTH$}{:<ITEM_WIDTH$} {rest}", state.to_string(), name.to_string());
        self.line(line.trim_end());
    }

    /// Indents what `write` adds.
    pub fn nested(&mut self, write: impl FnOnce(&mut Self)) {
        self.indent += INDENT;
        write(self);
        self.indent -= INDENT;
    }

    /// Adds what was done for durability, and why it is more than was asked for.
    pub fn durability(&mut self, done: Durability, reason: Option<&str>) {
        match reason {
            Some(reason) => self.row("durability", format_args!("{done} ({reason})")),
            None => self.row("durability", done),
        }
    }

    /// Adds the outcomes of records.
    pub fn outcomes(&mut self, counts: &impl OutcomeCounts) {
        self.nested(|table| counts.to_string().lines().for_each(|line| table.line(line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_begin_where_numbers_begin_and_numbers_end_together() {
        let text = Table::render(|table| {
            table.line("new: done");
            table.row("store", "dual-000001");
            table.count("found", 1_234);
            table.nested(|table| table.bytes("blobs", 2048));
            table.count("a name that is longer than its column", 7);
            table.item("applied", "001_people", "");
            table.item("failed", "002_names", "12 ms");
        });
        insta::assert_snapshot!(text, @"
        new: done
        store                       dual-000001
        found                                    1,234
          blobs                                2.0 KiB
        a name that is longer than its column                  7
        applied   001_people
        failed    002_names                                          12 ms
        ");
    }
}
