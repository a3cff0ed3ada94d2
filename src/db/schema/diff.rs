//! The differences between two schemas, by object and by line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::Serialize;

use crate::migration::unescaped;

/// The maximum number of cells in the table that compares lines. Larger objects are shown in full, before and after.
const CELLS_MAX: usize = 1 << 22;

/// The title of a block that is no object: the text has it if there are functions.
pub(super) const FOR_FUNCTIONS: &str = "setting check_function_bodies";

/// An object that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The kind and name of the object: `table public.users`.
    pub object: String,
    /// `added`, `removed` or `changed`.
    pub kind: &'static str,
    /// The lines of the object, with a prefix: `+` for new, `-` for old, a blank for both.
    pub lines: Vec<String>,
}

/// Returns the objects that differ, in the order of `after`, then those that exist only in `before`.
pub fn changes(before: &str, after: &str) -> Vec<Change> {
    let (old, new) = (blocks(before), blocks(after));
    fn by_title<'b>(blocks: &'b [Block<'_>]) -> HashMap<&'b str, &'b str> {
        blocks.iter().map(|block| (&*block.title, &*block.body)).collect()
    }
    let (old_bodies, new_bodies) = (by_title(&old), by_title(&new));
    let mut found = Vec::new();
    for Block { title, body } in &new {
        match old_bodies.get(&**title) {
            None => found.push(change(title, "added", "", body)),
            Some(before) if before != body => found.push(change(title, "changed", before, body)),
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|block| !new_bodies.contains_key(&*block.title));
    found.extend(gone.map(|block| change(&block.title, "removed", &block.body, "")));
    found
}

struct Block<'a> {
    title: Cow<'a, str>,
    body: String,
}

/// Splits the text of a schema into blocks. A body may contain a text that looks like the start of a block; it is then
/// split in both schemas, and blocks of one title count as one, so the comparison stays correct.
fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block<'_>> = Vec::new();
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    for part in text.split("\n\n-- ").filter(|part| !part.trim().is_empty()) {
        let part = part.strip_prefix("-- ").unwrap_or(part);
        let (title, body) = part.split_once('\n').unwrap_or((part, ""));
        if title == FOR_FUNCTIONS {
            continue;
        }
        let body = body.trim_matches('\n');
        match numbers.entry(title) {
            Entry::Occupied(number) => {
                let block: &mut Block<'_> = &mut blocks[*number.get()];
                block.body = format!("{}\n\n{body}", block.body);
            }
            Entry::Vacant(free) => {
                free.insert(blocks.len());
                blocks.push(Block { title: unescaped(title), body: body.to_owned() });
            }
        }
    }
    blocks
}

fn change(title: &str, kind: &'static str, before: &str, after: &str) -> Change {
    Change { object: title.to_owned(), kind, lines: lines(before, after) }
}

fn lines(before: &str, after: &str) -> Vec<String> {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let same_head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = (&old[same_head..], &new[same_head..]);
    let same_tail = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(|(a, b)| a == b).count();
    let (old_end, new_end) = (old.len() - same_tail, new.len() - same_tail);
    let mut shown: Vec<_> = old[..same_head].iter().map(|line| format!(" {line}")).collect();
    between(&old[same_head..old_end], &new[same_head..new_end], &mut shown);
    shown.extend(old[old_end..].iter().map(|line| format!(" {line}")));
    shown
}

/// Appends the lines of the longest common subsequence, and the other lines with their prefixes.
fn between(old: &[&str], new: &[&str], shown: &mut Vec<String>) {
    let width = new.len() + 1;
    let cells = (old.len() + 1).saturating_mul(width);
    if cells > CELLS_MAX {
        shown.extend(old.iter().map(|line| format!("-{line}")));
        shown.extend(new.iter().map(|line| format!("+{line}")));
        return;
    }
    // common[i * width + j] is the length of the longest common subsequence of old[i..] and new[j..].
    let mut common = vec![0_u32; cells];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i * width + j] = if old[i] == new[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            shown.push(format!(" {}", old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[(i + 1) * width + j] >= common[i * width + j + 1]) {
            shown.push(format!("-{}", old[i]));
            i += 1;
        } else {
            shown.push(format!("+{}", new[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn added_removed_and_changed_objects_are_shown() {
        let before = "-- table a\nCREATE TABLE a (\n x,\n y\n);\n\n-- index i\nCREATE INDEX i;\n";
        let after = "-- table a\nCREATE TABLE a (\n x,\n z,\n y\n);\n\n-- view v\nCREATE VIEW v;\n";
        let found = changes(before, after);
        let kinds: Vec<_> = found.iter().map(|change| (change.object.as_str(), change.kind)).collect();
        assert_eq!(kinds, [("table a", "changed"), ("view v", "added"), ("index i", "removed")]);
        assert_eq!(found[0].lines, [" CREATE TABLE a (", "  x,", "+ z,", "  y", " );"]);
        assert_eq!(
            (&*found[1].lines, &*found[2].lines),
            (&["+CREATE VIEW v;".to_owned()][..], &["-CREATE INDEX i;".to_owned()][..])
        );
        assert!(changes(after, after).is_empty() && changes("", "").is_empty());
        let function = format!("-- {FOR_FUNCTIONS}\nSET check_function_bodies = off;\n\n-- function f()\nCREATE;\n");
        assert_eq!(changes("", &function).len(), 1);
    }

    proptest! {
        #[test]
        fn shown_lines_contain_both_sides(before in "[ab\n]{0,12}", after in "[ab\n]{0,12}") {
            let shown = lines(&before, &after);
            let side = |sign: char| -> Vec<String> {
                let own = shown.iter().filter(|line| line.starts_with(sign) || line.starts_with(' '));
                own.map(|line| line[1..].to_owned()).collect()
            };
            prop_assert_eq!(side('-'), before.lines().collect::<Vec<_>>());
            prop_assert_eq!(side('+'), after.lines().collect::<Vec<_>>());
        }
    }
}
