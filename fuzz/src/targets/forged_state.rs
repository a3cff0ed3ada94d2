//! Whatever a state file says under a right digest: no command touches anything outside of the store, none panics, and
//! memory stays bounded.

use std::sync::LazyLock;

use crate::support::edits::edited;
use crate::support::forged::{Recorded, TEXTS, VERBS, with_text};

static STORES: LazyLock<[Recorded; 3]> = LazyLock::new(|| [Recorded::space(), Recorded::cas(), Recorded::manifests()]);

/// Changes that one input describes at most. Each verb runs a whole migration, so a longer input is not worth its time.
const SCRIPT_BYTES_MAX: usize = 128;

pub fn fuzz(bytes: &[u8]) {
    let Some((&[store, moment, file, verb, number, text], script)) = bytes.split_first_chunk() else { return };
    let recorded = &STORES[usize::from(store) % STORES.len()];
    let files = recorded.files(recorded.disk.operations() * usize::from(moment) / 255);
    let state = recorded.state_files(&files);
    let Some(path) = state.get(usize::from(file) % state.len().max(1)) else { return };
    let mut content = edited(recorded.content(path, &files[path]), &script[..script.len().min(SCRIPT_BYTES_MAX)]);
    // Names that lead out are rarer among random bytes than they deserve.
    if let Some(text) = TEXTS.get(usize::from(text) % (TEXTS.len() + 2)) {
        content = with_text(&content, usize::from(number), text).unwrap_or(content);
    }
    let mut forged = files.clone();
    recorded.forge(&mut forged, path, content);
    let verb = VERBS[usize::from(verb) % VERBS.len()];
    recorded.try_verb(verb, &forged, &|| path.display().to_string());
}
