//! `clean` of every room: lists what can be removed, asks, and removes it.

use std::path::Path;

use serde::Serialize;

use super::arguments::{ConsentArgs, OutputArgs};
use super::command::Answer;
use crate::migration::units::bytes_text;
use crate::migration::{CleanItem, Error};

#[derive(Serialize)]
struct Removed<'a, K> {
    removed: &'a [CleanItem<K>],
    bytes: u64,
}

/// Asks before `items` are removed, if there are any, and prints what was removed. `name` is the field of the document
/// that has `place`; `kind_text` describes an item.
pub fn clean_and_print<K: Serialize>(
    (name, place): (&'static str, &Path),
    items: &[CleanItem<K>],
    kind_text: impl Fn(&K) -> &'static str,
    consent: &ConsentArgs,
    output: OutputArgs,
    remove: impl FnOnce() -> Result<u64, Error>,
) -> anyhow::Result<u8> {
    let mut bytes = 0;
    if !items.is_empty() {
        let lines: Vec<_> = items.iter().map(|item| item_text(item, &kind_text)).collect();
        consent.confirm_all("this removes", &lines)?;
        bytes = remove()?;
    }
    Answer::new(&Removed { removed: items, bytes }).path(name, place).print(output, |table| {
        let place = place.display();
        if items.is_empty() {
            return table.line(format_args!("{place}: nothing to remove"));
        }
        table.line(format_args!("{place}: {} freed", bytes_text(bytes)));
        table.nested(|table| items.iter().for_each(|item| table.line(format_args!("removed {}", item.path.display()))));
    })
}

fn item_text<K>(item: &CleanItem<K>, kind_text: impl Fn(&K) -> &'static str) -> String {
    let work = if item.loses_work { "; a run could still be resumed from it" } else { "" };
    format!("{}: {}, {}{work}", item.path.display(), kind_text(&item.kind), bytes_text(item.bytes))
}
