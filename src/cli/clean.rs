//! `clean` of every room: lists what can be removed, asks, and removes it.

use std::path::Path;

use serde::Serialize;

use super::arguments::{ConsentArgs, OutputArgs};
use super::command::Answer;
use crate::migration::units::bytes_text;
use crate::migration::{CleanItem, Cleaned, Error, LeftBehind, exit};

#[derive(Serialize)]
struct Removed<'a, K> {
    removed: Vec<&'a CleanItem<K>>,
    left: &'a [LeftBehind],
    bytes: u64,
}

/// Asks before `items` are removed, if there are any, and prints what was removed. `name` is the field of the document
/// that has `place`; `kind_text` describes an item. What could not be removed is named, and the exit code is 3.
pub fn clean_and_print<K: Serialize>(
    (name, place): (&'static str, &Path),
    items: &[CleanItem<K>],
    kind_text: impl Fn(&K) -> &'static str,
    consent: &ConsentArgs,
    output: OutputArgs,
    remove: impl FnOnce() -> Result<Cleaned, Error>,
) -> anyhow::Result<u8> {
    let mut end = Cleaned::default();
    if !items.is_empty() {
        let lines: Vec<_> = items.iter().map(|item| item_text(item, &kind_text)).collect();
        consent.confirm_all("this removes", &lines)?;
        end = remove()?;
    }
    let removed: Vec<_> = items.iter().filter(|item| end.left.iter().all(|left| left.path != item.path)).collect();
    let document = Removed { removed, left: &end.left, bytes: end.bytes };
    let is_partial = !end.left.is_empty();
    let next =
        is_partial.then(|| "take away what is in the way, for example `chattr -i`, then run it again".to_owned());
    let answer = Answer::new(&document).path(name, place).exit_if(is_partial, exit::REFUSED_RECORDS).next(next);
    answer.print(output, |table| {
        let place = place.display();
        if items.is_empty() {
            return table.line(format_args!("{place}: nothing to remove"));
        }
        table.line(format_args!("{place}: {} freed", bytes_text(end.bytes)));
        table.nested(|table| {
            document.removed.iter().for_each(|item| table.line(format_args!("removed {}", item.path.display())));
            let line = |left: &LeftBehind| format!("not removed: {}: {}", left.path.display(), left.reason);
            end.left.iter().for_each(|left| table.line(format_args!("{}", line(left))));
        });
    })
}

fn item_text<K>(item: &CleanItem<K>, kind_text: impl Fn(&K) -> &'static str) -> String {
    let work = if item.loses_work { "; a run could still be resumed from it" } else { "" };
    format!("{}: {}, {}{work}", item.path.display(), kind_text(&item.kind), bytes_text(item.bytes))
}
