//! Whatever bytes a payload holds: it is refused, or what was read gives the same bytes again.

use haul::space::generate::generated_episode;
use haul::space::generate::samples;
use haul::space::log::episode::{self, EpisodeView, RangeCheck};
use haul::space::log::memory::MemoryView;
use haul::space::log::node_id::{id_digest, node_id, spells_uuid, uuid_v5_of};
use haul::space::log::timestamp::TimeView;

use crate::support::edits::edited;

pub fn fuzz(bytes: &[u8]) {
    let Some((&how, script)) = bytes.split_first() else { return };
    match how & 0x07 {
        0 => check(script),
        1 => check(&edited(&generated_episode(7, u64::from(how >> 3)).encode(), script)),
        2 => check(&edited(&samples::episode("id").encode(), script)),
        3 => check(&edited(&samples::memory("id").encode(), script)),
        4 => check(&around_embedding(how >> 3, script)),
        5 => check_text(script),
        6 => check(&[&samples::episode("id").encode(), script].concat()),
        _ => check(&[&samples::memory("id").encode(), script].concat()),
    }
}

/// An embedding between two parts of the input, because no fuzzer finds 3,080 right bytes.
fn around_embedding(share: u8, script: &[u8]) -> Vec<u8> {
    let (head, tail) = script.split_at(script.len() * usize::from(share) / 32);
    [head, &768_u64.to_le_bytes(), &[0x3C; 3072], tail].concat()
}

fn check(payload: &[u8]) {
    check_episode(payload);
    check_memory(payload);
}

fn check_episode(payload: &[u8]) {
    let strict = EpisodeView::parse(payload, RangeCheck::Enforce);
    let Ok(view) = EpisodeView::parse(payload, RangeCheck::Keep) else {
        assert!(strict.is_err());
        return;
    };
    assert_eq!(strict.is_err(), view.out_of_range.is_some());
    let (used, trailing) = payload.split_at(view.used_len_bytes);
    let owned = view.to_owned();
    assert_eq!([&owned.encode(), trailing].concat(), payload);
    assert_eq!(view.embedding, &used[view.embedding_offset..][..view.embedding.len()]);
    let again = EpisodeView::parse(used, RangeCheck::Keep).expect("what was used is a payload");
    assert_eq!(again, view);
    assert!(episode::same_fields(&view, &again));
    let _ = (view.has_repeated_key(), view.has_non_finite_embedding());
    assert_eq!(view.has_foreign_timestamp(), !(is_written(view.when.text) && is_written(view.last_recall.text)));
    check_id(view.id);
}

fn check_memory(payload: &[u8]) {
    let strict = MemoryView::parse(payload, RangeCheck::Enforce);
    let Ok(view) = MemoryView::parse(payload, RangeCheck::Keep) else {
        assert!(strict.is_err());
        return;
    };
    assert_eq!(strict.is_err(), view.out_of_range.is_some());
    let (used, trailing) = payload.split_at(view.used_len_bytes);
    assert_eq!([&view.to_owned().encode(), trailing].concat(), payload);
    let again = MemoryView::parse(used, RangeCheck::Keep).expect("what was used is a payload");
    assert_eq!(again, view);
    check_id(view.id);
}

fn check_id(id: &str) {
    let _ = id_digest(id);
    let node = node_id(id);
    assert!(spells_uuid(id) || node == uuid_v5_of(id));
    assert_eq!(node_id(&node.hyphenated().to_string()), node);
}

fn check_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    check_id(text);
    let Ok(view) = TimeView::parse(text) else { return };
    let written = view.time.to_writer_form();
    assert_eq!(view.writer_form, written == text);
    let again = TimeView::parse(&written).expect("the writer's form is read");
    assert!(again.writer_form);
    assert_eq!(again.time, view.time);
}

fn is_written(text: &str) -> bool {
    TimeView::parse(text).is_ok_and(|view| view.time.to_writer_form() == text)
}
