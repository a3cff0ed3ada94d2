//! In which line of `upgrade.toml` each item begins.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::file::line_at;

/// The lines of the items of `upgrade.toml`.
#[derive(Debug, Default)]
pub struct Lines {
    /// By the key of the list, such as `view`.
    items: BTreeMap<String, Vec<u64>>,
}

impl Lines {
    /// Finds the lines in a text that is TOML.
    pub fn of(text: &str) -> Self {
        let Ok(table) = DeTable::parse(text) else { return Self::default() };
        let line = |offset: usize| line_at(text.as_bytes(), offset);
        let items = table.get_ref().iter().map(|(key, value)| {
            let lines = match value.get_ref() {
                DeValue::Array(items) => items.iter().map(|item| line(item.span().start)).collect(),
                _ => vec![line(key.span().start)],
            };
            (key.get_ref().to_string(), lines)
        });
        Self { items: items.collect() }
    }

    /// Returns the line of an item of a list, counted from 0; 1 if it is not there.
    pub fn item(&self, key: &str, index: usize) -> u64 {
        self.items.get(key).and_then(|lines| lines.get(index)).copied().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_begin_at_their_headers() {
        let text = "name = 'x'\nflag = [\n  { name = 'a' },\n  { name = 'b' },\n]\n\n[[view]]\nname = 'v'\n[[view.select]]\n\n[[view]]\n\
                    [settings]\na = 1\n";
        let lines = Lines::of(text);
        assert_eq!((lines.item("view", 0), lines.item("view", 1)), (7, 11));
        assert_eq!((lines.item("flag", 0), lines.item("flag", 1)), (3, 4));
        assert_eq!((lines.item("name", 0), lines.item("other", 3)), (1, 1));
    }
}
