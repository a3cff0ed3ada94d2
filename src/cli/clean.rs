//! `clean` of every noun: lists what can be removed, asks, removes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use super::confirm::confirm;
use super::output;
use crate::migration::units::bytes_text;
use crate::migration::{CleanItem, Error};

#[derive(Serialize)]
struct Document<'a, K> {
    #[serde(flatten)]
    place: BTreeMap<&'static str, String>,
    removed: &'a [CleanItem<K>],
    bytes: u64,
}

/// Asks and removes `items`, if there are any, and prints what became of them. `name` is the field of the document that
/// has `place`; `kind_text` says what an item is.
pub fn clean_and_print<K: Serialize>(
    (name, place): (&'static str, &Path),
    items: &[CleanItem<K>],
    kind_text: impl Fn(&K) -> &'static str,
    (yes, json): (bool, bool),
    remove: impl FnOnce() -> Result<u64, Error>,
) -> anyhow::Result<()> {
    let mut bytes = 0;
    if !items.is_empty() {
        confirm(&question(items, kind_text), yes)?;
        bytes = remove()?;
    }
    let place_field = BTreeMap::from([(name, place.display().to_string())]);
    let document = Document { place: place_field, removed: items, bytes };
    output::print(json, &document, || text(place, items, bytes))
}

fn question<K>(items: &[CleanItem<K>], kind_text: impl Fn(&K) -> &'static str) -> String {
    let mut text = String::from("this removes");
    for item in items {
        let work = if item.loses_work { "; a run could still go on from it" } else { "" };
        let (kind, bytes) = (kind_text(&item.kind), bytes_text(item.bytes));
        write!(text, "\n  {}: {kind}, {bytes}{work}", item.path.display()).expect("a string takes any text");
    }
    text
}

fn text<K>(place: &Path, removed: &[CleanItem<K>], bytes: u64) -> String {
    let place = place.display();
    if removed.is_empty() {
        return format!("{place}: nothing to remove\n");
    }
    let mut text = format!("{place}: {} given back\n", bytes_text(bytes));
    for item in removed {
        writeln!(text, "  removed {}", item.path.display()).expect("a string takes any text");
    }
    text
}
