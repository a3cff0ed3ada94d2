//! Text for people: lines, and rows of a name and a value that stand in the same columns in every command.

use std::fmt::Display;

use crate::migration::units::{bytes_text, count_text};
use crate::migration::{OutcomeCounts, escaped};

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

    /// Adds a line. Whatever is in it, it stays one line and moves no cursor, as all that is added to a table.
    pub fn line(&mut self, line: impl Display) {
        self.push(&escaped(&line.to_string()));
    }

    /// Adds an empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// Adds each line of a text.
    pub fn lines(&mut self, text: &str) {
        text.lines().for_each(|line| self.line(line));
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(&" ".repeat(self.indent));
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Adds a text as it is, for programs.
    pub fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds a name and a text.
    pub fn row(&mut self, name: impl Display, value: impl Display) {
        let width = NAME_WIDTH - self.indent - 1;
        let (name, value) = (name.to_string(), value.to_string());
        self.push(&format!("{:<width$} {}", escaped(&name), escaped(&value)));
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
        let [state, name, rest] = [state.to_string(), name.to_string(), rest.to_string()];
        let [state, name, rest] = [escaped(&state), escaped(&name), escaped(&rest)];
        self.push(format!("{state:<STATE_WIDTH$}{name:<ITEM_WIDTH$} {rest}").trim_end());
    }

    /// Indents what `write` adds.
    pub fn nested(&mut self, write: impl FnOnce(&mut Self)) {
        self.indent += INDENT;
        write(self);
        self.indent -= INDENT;
    }

    /// Adds the outcomes of records.
    pub fn outcomes(&mut self, counts: &impl OutcomeCounts) {
        self.nested(|table| table.lines(&counts.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_cell_forges_a_line_or_moves_the_cursor() {
        let text = Table::render(|table| {
            table.line("a\nb");
            table.row("a\tb", "\u{1b}[2J");
            table.item("x\r", "\u{202e}y", "\u{9b}z");
            table.nested(|table| table.lines("c\nd\u{7}"));
            table.gap();
        });
        insta::assert_snapshot!(text, @r"
        a\u{a}b
        a\u{9}b                     \u{1b}[2J
        x\u{d}    \u{202e}y                                          \u{9b}z
          c
          d\u{7}
        ");
    }

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
