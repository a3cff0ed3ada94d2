use proptest::prelude::*;

use super::*;
use crate::space::generate::samples::{any_episode, episode};
use crate::space::log::timestamp::TimestampError;

fn problem(payload: &[u8]) -> (u64, DecodeProblem) {
    let error = EpisodeView::parse(payload, RangeCheck::Keep).unwrap_err();
    assert_eq!(EpisodeView::parse(payload, RangeCheck::Enforce), Err(error));
    assert!(!error.is_out_of_range());
    (error.offset, error.what)
}

fn parse(payload: &[u8]) -> EpisodeView<'_> {
    EpisodeView::parse(payload, RangeCheck::Enforce).unwrap()
}

#[test]
fn the_smallest_payload_has_the_size_of_the_table() {
    let mut least = episode("");
    least.when = "2024-01-02T03:04:05Z".into();
    least.last_recall.clone_from(&least.when);
    let payload = least.encode();
    assert_eq!(payload.len(), 3_184);
    let view = parse(&payload);
    assert_eq!((view.embedding_offset, view.used_len_bytes), (8 + 28 + 1 + 1 + 8 + 8, 3_184));
    assert_eq!(view.embedding, &payload[view.embedding_offset..][..EMBEDDING_BYTES]);
    assert_eq!(notes(&payload), [false; 3]);
}

#[test]
fn every_short_payload_is_refused() {
    let payload = episode("short").encode();
    for len in 0..payload.len() {
        assert!(matches!(problem(&payload[..len]).1, DecodeProblem::Truncated { .. }), "{len}");
    }
}

#[test]
fn structural_problems_are_distinguished() {
    let good = episode("id");
    let when_at = 8 + 2;

    let mut bad = good.encode();
    bad[8] = 0xFF;
    assert_eq!(problem(&bad), (0, DecodeProblem::InvalidUtf8));

    let rejected = Episode { when: "yesterday".into(), ..good.clone() }.encode();
    assert_eq!(problem(&rejected), (when_at, DecodeProblem::Timestamp(TimestampError::Syntax)));
    let rejected = Episode { last_recall: "2023-02-30T00:00:00Z".into(), ..good.clone() }.encode();
    assert_eq!(problem(&rejected).1, DecodeProblem::Timestamp(TimestampError::Range));

    let payload = good.encode();
    let option_at = when_at as usize + 8 + good.when.len();
    let mut bad = payload.clone();
    bad[option_at] = 2;
    assert_eq!(problem(&bad), (option_at as u64, DecodeProblem::OptionByte(2)));

    let count_at = parse(&payload).embedding_offset - 8;
    for count in [0_u64, 767, 769, u64::MAX] {
        let mut bad = payload.clone();
        bad[count_at..count_at + 8].copy_from_slice(&count.to_le_bytes());
        assert_eq!(problem(&bad), (count_at as u64, DecodeProblem::EmbeddingCount(count)));
    }

    let decay = Episode { decay_function: Some(DecayFunction::PowerLaw { beta_bits: 0 }), ..good };
    let mut bad = decay.encode();
    let variant_at = bad.len() - 8 - 8;
    bad[variant_at] = 4;
    assert_eq!(problem(&bad), (variant_at as u64, DecodeProblem::Variant(4)));
}

#[test]
fn refused_values_are_an_error_or_are_kept_to_the_bit() {
    let cases = [0x7FC0_0000, 0xFFA0_0001, 1.0_f32.to_bits() + 1, (-f32::MIN_POSITIVE).to_bits(), 0x7F80_0000];
    for bits in cases {
        let payload = Episode { vividness_confidence_bits: bits, ..episode("id") }.encode();
        let error = EpisodeView::parse(&payload, RangeCheck::Enforce).unwrap_err();
        assert_eq!(
            error.what,
            DecodeProblem::OutOfRange(OutOfRange::Confidence { field: "vividness_confidence", bits })
        );
        assert!(error.is_out_of_range());
        assert_eq!(payload[error.offset as usize..][..4], bits.to_le_bytes());
        let kept = EpisodeView::parse(&payload, RangeCheck::Keep).unwrap();
        assert_eq!((kept.vividness_confidence_bits, kept.out_of_range), (bits, Some(error)));
    }
    for bits in [0, 0x8000_0000, 1, 1.0_f32.to_bits()] {
        let payload = Episode { encoding_confidence_bits: bits, ..episode("id") }.encode();
        assert_eq!(parse(&payload).encoding_confidence_bits, bits);
    }
    let mut late = episode("id");
    late.provenance = Some(Provenance {
        model_name: "m".into(),
        model_version: String::new(),
        dimension: 768,
        language: None,
        created_at_secs: i64::MAX as u64 + 1,
        quality_score_bits: None,
        metadata: Vec::new(),
    });
    late.encoding_confidence_bits = f32::NAN.to_bits();
    let payload = late.encode();
    let error = EpisodeView::parse(&payload, RangeCheck::Enforce).unwrap_err();
    assert_eq!(error.what, DecodeProblem::OutOfRange(OutOfRange::ProvenanceSeconds(1 << 63)));
    // A structural problem behind a refused value decides.
    assert!(matches!(problem(&payload[..payload.len() - 1]).1, DecodeProblem::Truncated { .. }));
}

/// Repeated key, value that is not finite, timestamp in another form.
fn notes(payload: &[u8]) -> [bool; 3] {
    let view = parse(payload);
    [view.has_repeated_key(), view.has_non_finite_embedding(), view.has_foreign_timestamp()]
}

#[test]
fn unusual_payloads_are_distinguished() {
    let good = episode("id");
    let mut trailing = good.encode();
    let used_len_bytes = trailing.len();
    trailing.extend_from_slice(b"more");
    assert_eq!(parse(&trailing).used_len_bytes, used_len_bytes);
    assert_eq!(notes(&trailing), [false; 3]);

    let twice = Episode { metadata: vec![("k".into(), "1".into()), ("k".into(), "2".into())], ..good.clone() }.encode();
    assert_eq!(notes(&twice), [true, false, false]);

    let blank = Episode { last_recall: "2024-01-02 03:04:05Z".into(), ..good.clone() }.encode();
    assert_eq!(notes(&blank), [false, false, true]);

    let mut infinite = good;
    infinite.embedding[4..8].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert_eq!(notes(&infinite.encode()), [false, true, false]);
}

#[test]
fn identical_means_that_engram_decodes_the_same() {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let one = Episode { metadata: vec![pair("a", "1"), pair("b", "2")], ..episode("id") };
    let same = |other: &Episode| same_fields(&parse(&one.encode()), &parse(&other.encode()));
    assert!(same(&one));
    assert!(same(&Episode { metadata: vec![pair("b", "2"), pair("a", "1")], ..one.clone() }));
    assert!(same(&Episode { metadata: vec![pair("b", "1"), pair("a", "1"), pair("b", "2")], ..one.clone() }));
    assert!(same(&Episode { when: one.when.replace('T', " "), ..one.clone() }));
    assert!(!same(&Episode { metadata: vec![pair("b", "2"), pair("a", "2")], ..one.clone() }));
    assert!(!same(&Episode { who: Some(Vec::new()), ..one.clone() }));
    assert!(!same(&Episode { recall_count: 1, ..one.clone() }));
    assert!(!same(&Episode { decay_rate_bits: one.decay_rate_bits ^ 1, ..one.clone() }));
}

proptest! {
    #[test]
    fn an_episode_survives_its_encoding(episode in any_episode(), trailing in prop::collection::vec(any::<u8>(), 0..9)) {
        let mut payload = episode.encode();
        let used_len_bytes = payload.len();
        payload.extend_from_slice(&trailing);
        let view = EpisodeView::parse(&payload, RangeCheck::Keep).unwrap();
        prop_assert_eq!(view.used_len_bytes, used_len_bytes);
        prop_assert!(same_fields(&view, &view));
        let owned = view.to_owned();
        prop_assert_eq!(&owned.encode(), &payload[..used_len_bytes]);
        prop_assert_eq!(owned, episode);
    }

    #[test]
    fn damaged_payloads_never_panic(
        episode in any_episode(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut payload = episode.encode();
        for (at, byte) in damage {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        let _ = EpisodeView::parse(&payload, RangeCheck::Keep);
        let _ = EpisodeView::parse(&payload[..cut.index(payload.len())], RangeCheck::Enforce);
    }

    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = EpisodeView::parse(&payload, RangeCheck::Keep);
    }
}
