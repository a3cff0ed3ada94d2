//! Damaged, cut and odd logs, row by row of the table of situations: outcomes, findings, and that every byte is counted.

use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::support::files::tree;
use crate::support::headers::header;
use crate::support::space::{DELETE, STORE, Space, episode, episode_about, records};
use crate::support::space_runs::{UPDATE, eager, memory};
use haul::migration::{Error, OutcomeCounts, RunOptions, Severity, Subset, exit};
use haul::pipeline::{Budget, Control, Options, Silent, StopToken};
use haul::space::generate::samples;
use haul::space::log::wal::{HEADER_BYTES, WalHeader, encode_record};
use haul::space::options::MigrateOptions;
use haul::space::policy::{Corruption, Policies, TornTail, Undecodable};
use haul::space::store::layout::RowKind;
use haul::space::verify::{Coverage, Depth, verify_store};
use proptest::prelude::*;
use serde_json::Value;

const SKIP: Policies = Policies { corruption: Corruption::Skip, ..DEFAULT };
const RESYNC: Policies = Policies { corruption: Corruption::Resync, ..DEFAULT };
const DEFAULT: Policies = Policies {
    corruption: Corruption::Fail,
    torn_tail: TornTail::Accept,
    undecodable: Undecodable::Fail,
    out_of_range: haul::space::policy::OutOfRange::Fail,
    duplicates: haul::space::policy::Duplicates::Engram,
    deletes: haul::space::policy::Deletes::Apply,
    updates: haul::space::policy::Updates::Report,
    collisions: haul::space::policy::Collisions::Fail,
};

fn with(policies: Policies) -> MigrateOptions {
    MigrateOptions { policies, ..MigrateOptions::default() }
}

/// A migration that ended, with its report; the identities that hold for every one are checked.
struct Ran {
    space: Space,
    exit: u8,
    report: Value,
}

fn ran(space: Space, policies: Policies) -> Ran {
    ran_with(space, &with(policies))
}

fn ran_with(space: Space, options: &MigrateOptions) -> Ran {
    let result = space.migrate(options);
    let report = space.report();
    let bytes = |key: &str| report["source_bytes"][key].as_u64().expect("a count");
    let size: u64 = space.source().values().map(|file| file.len() as u64).sum();
    assert_eq!(bytes("framed") + bytes("torn_tail") + bytes("zero_tail") + bytes("damaged"), size);
    assert_eq!(bytes("total"), size);
    let exit = match result {
        Ok(end) => {
            assert_eq!(end.counts.sum(), end.records, "every record has one outcome");
            assert_eq!(space.findings(Severity::Fatal), []);
            let coverage = verified(&space);
            assert_eq!(coverage.node_rows, space.store().manifest().node_rows);
            if end.counts.refused() + end.details.damaged_bytes > 0 { exit::REFUSED_RECORDS } else { exit::OK }
        }
        Err(error) => {
            let fatal = space.findings(Severity::Fatal).len() as u64;
            assert!(matches!(error, Error::Findings { count, .. } if count == fatal && fatal > 0), "{error}");
            let names: Vec<_> = fs::read_dir(space.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names.len(), 2, "nothing but wal and migration: {names:?}");
            error.exit_code()
        }
    };
    Ran { space, exit, report }
}

fn verified(space: &Space) -> Coverage {
    let options = Options {
        parallel_workers: NonZeroUsize::MIN,
        budget: Budget::new(64 << 20, 0.8),
        rate_limit: None,
        checkpoint_interval_records: 1_000,
        checkpoint_interval_ms_min: 0,
        checkpoint_interval_ms_max: 3_600_000,
    };
    let stop = StopToken::new();
    let control = Control { stop: &stop, observer: &Silent };
    let store = Arc::new(space.store());
    verify_store(store, Depth::Full, Subset::ALL, None, &options, &control)
        .expect("a sound store")
        .expect("not stopped")
}

impl Ran {
    /// Exit code, and every count that is not zero.
    #[track_caller]
    fn ends(self, exit: u8, counts: &[(&str, u64)]) -> Self {
        assert_eq!(self.exit, exit, "{:#}", self.report);
        let found: Vec<_> = self.report["counts"].as_object().expect("counts").iter().collect();
        let found: Vec<_> = found
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_u64().unwrap()))
            .filter(|pair| pair.1 > 0)
            .collect();
        let sorted = |list: &[(&str, u64)]| {
            let mut list: Vec<_> = list.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
            list.sort();
            list
        };
        assert_eq!(sorted(&found), sorted(counts));
        self
    }

    /// Bytes in a torn tail, a zero tail, and damaged.
    #[track_caller]
    fn bytes(self, torn_tail: u64, zero_tail: u64, damaged: u64) -> Self {
        let bytes = &self.report["source_bytes"];
        assert_eq!(
            (&bytes["torn_tail"], &bytes["zero_tail"], &bytes["damaged"]),
            (&torn_tail.into(), &zero_tail.into(), &damaged.into())
        );
        self
    }

    /// Findings of a severity: offset, length and a part of the reason.
    #[track_caller]
    fn finds(self, severity: Severity, expected: &[(usize, usize, &str)]) -> Self {
        let found = self.space.findings(severity);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for ((_, offset, length, reason), (want_offset, want_length, want_reason)) in found.iter().zip(expected) {
            assert_eq!((*offset, *length), (*want_offset as u64, *want_length as u64), "{reason}");
            assert!(reason.contains(want_reason), "{reason:?} is not about {want_reason:?}");
        }
        self
    }

    #[track_caller]
    fn lives(self, ids: &[&str]) -> Self {
        assert_eq!(self.space.live_ids(), ids);
        self
    }
}

fn rec(sequence: u64, id: &str) -> Vec<u8> {
    encode_record(sequence, 7, STORE, &episode(id))
}

/// A record whose payload fails its checksum.
fn bad(sequence: u64, id: &str) -> Vec<u8> {
    let mut record = rec(sequence, id);
    *record.last_mut().unwrap() ^= 1;
    record
}

/// Bytes among which there is no magic number.
fn garbage(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index % 101) as u8 + 1).collect()
}

fn space(bytes: &[&[u8]]) -> Space {
    let space = Space::new();
    space.log(1, &bytes.concat());
    space
}

#[test]
fn a_payload_cut_anywhere_is_a_torn_tail() {
    let (a, b) = (rec(0, "a"), rec(1, "b"));
    for kept in [64, 65, 1_000, b.len() - 1] {
        let cut = &b[..kept];
        ran(space(&[&a, cut]), DEFAULT)
            .ends(exit::OK, &[("migrated", 1)])
            .bytes(kept as u64, 0, 0)
            .finds(Severity::Note, &[(a.len(), kept, "torn tail: cut within a payload")])
            .lives(&["a"]);
    }
    let strict = Policies { torn_tail: TornTail::Fail, ..DEFAULT };
    let cut = &b[..500];
    ran(space(&[&a, cut]), strict).ends(exit::BAD_DATA, &[]).finds(Severity::Fatal, &[(a.len(), 500, "torn tail")]);
}

#[test]
fn a_torn_tail_of_a_middle_file_loses_nothing_else() {
    let (a, b, c) = (rec(0, "a"), rec(1, "b"), rec(0, "c"));
    let space = Space::new();
    space.log(1, &[&a[..], &b[..700]].concat()).log(2, &c).log(3, &c[..64]);
    let ran = ran(space, DEFAULT).ends(exit::OK, &[("migrated", 2)]).bytes(764, 0, 0).lives(&["a", "c"]);
    let files: Vec<_> =
        ran.space.findings(Severity::Note).into_iter().map(|found| (found.0, found.1, found.2)).collect();
    assert_eq!(
        files,
        [("wal-0000000000000001.log".to_owned(), a.len() as u64, 700), ("wal-0000000000000003.log".to_owned(), 0, 64)]
    );
}

#[test]
fn a_torn_tail_with_a_complete_record_inside_is_corruption() {
    let (a, b) = (rec(0, "a"), rec(0, "b"));
    let torn = [header(1, 100_000), garbage(900)].concat();
    let reason = "payload reaches past the end of the file";
    ran(space(&[&a, &torn, &b]), DEFAULT).ends(exit::BAD_DATA, &[]).finds(Severity::Fatal, &[(a.len(), 964, reason)]);
    ran(space(&[&a, &torn, &b]), RESYNC)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 2)])
        .bytes(0, 0, 964)
        .finds(Severity::Refused, &[(a.len(), 964, reason)])
        .lives(&["a", "b"]);
    let dropped = torn.len() + b.len();
    ran(space(&[&a, &torn, &b]), SKIP)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 1)])
        .bytes(0, 0, dropped as u64)
        .finds(Severity::Refused, &[(a.len(), dropped, reason)])
        .lives(&["a"]);
}

#[test]
fn zeros_up_to_the_end_are_a_tail_of_any_length() {
    let a = rec(0, "a");
    for zeros in [1, 3, 4, 63, 64, 65, 4_096, (1 << 20) + 5] {
        ran(space(&[&a, &vec![0; zeros]]), DEFAULT)
            .ends(exit::OK, &[("migrated", 1)])
            .bytes(0, zeros as u64, 0)
            .finds(Severity::Note, &[(a.len(), zeros, "zero-filled tail")])
            .lives(&["a"]);
    }
    ran(space(&[&[0; 100]]), DEFAULT).ends(exit::OK, &[]).bytes(0, 100, 0);
    let strict = Policies { torn_tail: TornTail::Fail, ..DEFAULT };
    ran(space(&[&a, &[0; 5]]), strict).ends(exit::BAD_DATA, &[]).finds(Severity::Fatal, &[(a.len(), 5, "zero")]);
    // One byte that is not zero, far behind, makes it damage.
    let mut almost = vec![0; (1 << 20) + 5];
    *almost.last_mut().unwrap() = 1;
    ran(space(&[&a, &almost]), DEFAULT)
        .ends(exit::BAD_DATA, &[])
        .finds(Severity::Fatal, &[(a.len(), almost.len(), "wrong magic")]);
}

#[test]
fn fewer_bytes_than_a_header_are_torn_only_if_they_begin_like_one() {
    let (a, b) = (rec(0, "a"), rec(1, "b"));
    for kept in [1, 2, 3, 4, 5, 63] {
        ran(space(&[&a, &b[..kept]]), DEFAULT)
            .ends(exit::OK, &[("migrated", 1)])
            .bytes(kept as u64, 0, 0)
            .finds(Severity::Note, &[(a.len(), kept, "torn tail: cut within a header")]);
    }
    for rest in [&b[1..4], &[0xEF, 0xBE, 0][..], &[0xEF, 0xBE, 0xAD, 0xDF, 0], &[0, 0, 1], &garbage(63)] {
        let reason = "trailing bytes that are no torn record";
        let found = [(a.len(), rest.len(), reason)];
        ran(space(&[&a, rest]), DEFAULT).ends(exit::BAD_DATA, &[]).finds(Severity::Fatal, &found);
        for policies in [SKIP, RESYNC] {
            ran(space(&[&a, rest]), policies)
                .ends(exit::REFUSED_RECORDS, &[("migrated", 1)])
                .bytes(0, 0, rest.len() as u64)
                .finds(Severity::Refused, &found);
        }
    }
}

#[test]
fn a_payload_that_fails_its_checksum_costs_that_record_only() {
    let (a, b, c) = (rec(0, "a"), bad(1, "b"), rec(2, "c"));
    let len = b.len();
    for (parts, offset, live) in [
        (vec![&a[..], &b, &c], a.len(), vec!["a", "c"]),
        (vec![&b[..], &a, &c], 0, vec!["a", "c"]),
        (vec![&a[..], &c, &b], a.len() + c.len(), vec!["a", "c"]),
        (vec![&b[..]], 0, vec![]),
    ] {
        let found = [(offset, len, "payload checksum mismatch")];
        let fails = ran(space(&parts), DEFAULT);
        assert_eq!(fails.exit, exit::BAD_DATA);
        fails.finds(Severity::Fatal, &found);
        for policies in [SKIP, RESYNC] {
            let mut counts = vec![("refused_corrupt", 1)];
            counts.extend((!live.is_empty()).then_some(("migrated", live.len() as u64)));
            ran(space(&parts), policies)
                .ends(exit::REFUSED_RECORDS, &counts)
                .bytes(0, 0, 0)
                .finds(Severity::Refused, &found)
                .lives(&live);
        }
    }
}

#[test]
fn behind_a_lying_length_the_search_begins_inside_the_claimed_payload() {
    let (a, b, c) = (rec(0, "a"), rec(2, "b"), rec(3, "c"));
    // Too long: claims the next record and a part of the one after it.
    let long = [header(1, (700 + b.len() + 100) as u32), garbage(700)].concat();
    // Too short: the next header would stand in the middle of the payload.
    let short = [header(1, 100), garbage(700)].concat();
    for lying in [long, short] {
        let parts: [&[u8]; 4] = [&a, &lying, &b, &c];
        let reason = "payload checksum mismatch and no record where it ends";
        let found = [(a.len(), lying.len(), reason)];
        ran(space(&parts), DEFAULT).ends(exit::BAD_DATA, &[]).finds(Severity::Fatal, &found);
        ran(space(&parts), RESYNC)
            .ends(exit::REFUSED_RECORDS, &[("migrated", 3)])
            .bytes(0, 0, lying.len() as u64)
            .finds(Severity::Refused, &found)
            .lives(&["a", "b", "c"]);
        let claimed = WalHeader::parse(lying[..HEADER_BYTES].try_into().unwrap()).unwrap().payload_len_bytes as usize;
        let rest = lying.len() + b.len() + c.len() - HEADER_BYTES - claimed;
        ran(space(&parts), SKIP)
            .ends(exit::REFUSED_RECORDS, &[("migrated", 1), ("refused_corrupt", 1)])
            .bytes(0, 0, rest as u64)
            .lives(&["a"]);
    }
}

#[test]
fn a_lying_length_in_the_first_record_is_no_other_case() {
    let (b, c) = (rec(2, "b"), rec(3, "c"));
    let lying = header(1, (b.len() + 10) as u32);
    ran(space(&[&lying, &b, &c]), RESYNC)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 2)])
        .bytes(0, 0, 64)
        .finds(Severity::Refused, &[(0, 64, "no record where it ends")])
        .lives(&["b", "c"]);
}

/// A record that a lying length swallowed is found even if the lie ends where a tail begins.
#[test]
fn a_record_inside_a_lying_length_before_a_tail_is_recovered() {
    let (a, b, c) = (rec(0, "a"), rec(2, "b"), rec(3, "c"));
    let lying = [header(1, (200 + b.len()) as u32), garbage(200)].concat();
    for (tail, torn_bytes, zero_bytes) in [(vec![0; 500], 0, 500), (vec![0; 5], 0, 5), (c[..40].to_vec(), 40, 0)] {
        ran(space(&[&a, &lying, &b, &tail]), RESYNC)
            .ends(exit::REFUSED_RECORDS, &[("migrated", 2)])
            .bytes(torn_bytes, zero_bytes, lying.len() as u64)
            .finds(Severity::Refused, &[(a.len(), lying.len(), "no record where it ends")])
            .lives(&["a", "b"]);
    }
}

#[test]
fn a_failed_checksum_before_a_tail_leaves_the_tail_a_tail() {
    let (a, b, c) = (rec(0, "a"), bad(1, "b"), rec(2, "c"));
    for (tail, torn_bytes, zero_bytes) in
        [(vec![0; 500], 0, 500), (c[..40].to_vec(), 40, 0), (c[..400].to_vec(), 400, 0)]
    {
        for policies in [SKIP, RESYNC] {
            ran(space(&[&a, &b, &tail]), policies)
                .ends(exit::REFUSED_RECORDS, &[("migrated", 1), ("refused_corrupt", 1)])
                .bytes(torn_bytes, zero_bytes, 0)
                .finds(Severity::Refused, &[(a.len(), b.len(), "payload checksum mismatch")])
                .lives(&["a"]);
        }
    }
}

/// The header that follows is valid, so the framing of the record before it is intact, whatever its own payload does.
#[test]
fn a_failed_checksum_before_a_valid_header_that_claims_too_much_is_one_refused_record() {
    let (a, b, c) = (rec(0, "a"), bad(1, "b"), rec(3, "c"));
    let torn = [header(2, 1_000_000), garbage(30)].concat();
    let second = a.len() + b.len();
    ran(space(&[&a, &b, &torn, &c]), RESYNC)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 2), ("refused_corrupt", 1)])
        .bytes(0, 0, torn.len() as u64)
        .finds(
            Severity::Refused,
            &[(a.len(), b.len(), "payload checksum mismatch"), (second, torn.len(), "payload reaches past the end")],
        )
        .lives(&["a", "c"]);
}

#[test]
fn a_second_writer_in_the_same_file_is_recovered() {
    let (a, b, c) = (rec(0, "a"), rec(1, "b"), rec(0, "c"));
    let d = rec(1, "d");
    let cut = &b[..1_500];
    ran(space(&[&a, cut, &c, &d]), DEFAULT).ends(exit::BAD_DATA, &[]);
    ran(space(&[&a, cut, &c, &d]), RESYNC)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 3)])
        .bytes(0, 0, 1_500)
        .finds(Severity::Refused, &[(a.len(), 1_500, "no record where it ends")])
        .lives(&["a", "c", "d"]);
}

#[test]
fn a_payload_of_four_gibibytes_is_compared_with_the_file_first() {
    let a = rec(0, "a");
    for claimed in [u32::MAX, u32::MAX - 63, 11] {
        let torn = [header(1, claimed), garbage(10)].concat();
        ran(space(&[&a, &torn]), DEFAULT)
            .ends(exit::OK, &[("migrated", 1)])
            .bytes(74, 0, 0)
            .finds(Severity::Note, &[(a.len(), 74, "torn tail")]);
        ran(space(&[&torn]), DEFAULT).ends(exit::OK, &[]).bytes(74, 0, 0);
    }
}

#[test]
fn any_flipped_bit_of_a_header_is_damage_except_in_the_pad() {
    let (a, b, c) = (rec(0, "a"), rec(1, "b"), rec(2, "c"));
    for position in 0..HEADER_BYTES {
        let mut flipped = b.clone();
        flipped[position] ^= 0x10;
        let ran = ran(space(&[&a, &flipped, &c]), RESYNC);
        if position >= 56 {
            ran.ends(exit::OK, &[("migrated", 3)]).finds(Severity::Note, &[(a.len(), b.len(), "not zero")]);
        } else {
            let reason = if position < 4 { "wrong magic number" } else { "header checksum mismatch" };
            ran.ends(exit::REFUSED_RECORDS, &[("migrated", 2)])
                .finds(Severity::Refused, &[(a.len(), b.len(), reason)])
                .lives(&["a", "c"]);
        }
    }
}

#[test]
fn damage_at_the_start_at_the_end_and_twice() {
    let (a, b, c) = (rec(0, "a"), rec(1, "b"), rec(2, "c"));
    let noise = garbage(333);
    ran(space(&[&noise, &a, &b]), RESYNC)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 2)])
        .finds(Severity::Refused, &[(0, 333, "wrong magic")]);
    ran(space(&[&noise, &a, &b]), SKIP).ends(exit::REFUSED_RECORDS, &[]).bytes(0, 0, (333 + a.len() + b.len()) as u64);
    ran(space(&[&a, &b, &noise]), RESYNC)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 2)])
        .finds(Severity::Refused, &[(a.len() + b.len(), 333, "wrong magic")]);
    let twice: [&[u8]; 5] = [&a, &noise, &b, &noise[..70], &c];
    let found = [(a.len(), 333, "wrong magic"), (a.len() + 333 + b.len(), 70, "wrong magic")];
    ran(space(&twice), DEFAULT).ends(exit::BAD_DATA, &[]).finds(Severity::Fatal, &found);
    ran(space(&twice), RESYNC)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 3)])
        .bytes(0, 0, 403)
        .finds(Severity::Refused, &found);
    ran(space(&twice), SKIP)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 1)])
        .finds(Severity::Refused, &[(a.len(), 403 + b.len() + c.len(), "wrong magic")]);
}

#[test]
fn damage_in_one_file_leaves_the_others_whole() {
    let space = Space::new();
    space.log(1, &[garbage(80), rec(0, "a")].concat()).log(2, &rec(0, "b")).log(3, &garbage(10));
    ran(space, SKIP).ends(exit::REFUSED_RECORDS, &[("migrated", 1)]).lives(&["b"]);
}

#[test]
fn the_search_finds_a_magic_number_across_its_chunks() {
    const CHUNK: usize = 1 << 20;
    let (a, b) = (rec(0, "a"), rec(1, "b"));
    for back in 0..=5 {
        // The search begins one byte behind the start of the damage.
        let mut noise = garbage(CHUNK + 1 - back);
        noise[CHUNK / 2..CHUNK / 2 + 4].copy_from_slice(&0xDEAD_BEEF_u32.to_le_bytes());
        ran(space(&[&a, &noise, &b]), RESYNC)
            .ends(exit::REFUSED_RECORDS, &[("migrated", 2)])
            .finds(Severity::Refused, &[(a.len(), noise.len(), "wrong magic")])
            .lives(&["a", "b"]);
    }
}

#[test]
fn a_header_among_the_damage_whose_payload_is_wrong_is_no_record() {
    let (a, b, c) = (rec(0, "a"), bad(1, "b"), rec(2, "c"));
    let noise = garbage(100);
    ran(space(&[&a, &noise, &b, &c]), RESYNC)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 2)])
        .finds(Severity::Refused, &[(a.len(), 100 + b.len(), "wrong magic")])
        .lives(&["a", "c"]);
}

#[test]
fn reserved_and_pad_bytes_are_accepted_and_noted() {
    let payload = episode("b");
    for (reserved, pad) in [([9; 20], [0; 8]), ([0; 20], [9; 8])] {
        let header = WalHeader {
            sequence: 1,
            timestamp_ns: 7,
            entry_type: STORE,
            payload_len_bytes: payload.len() as u32,
            payload_crc: crc32c::crc32c(&payload),
            reserved,
            pad,
        };
        let a = rec(0, "a");
        let ran = ran(space(&[&a, &header.encode(), &payload]), DEFAULT)
            .ends(exit::OK, &[("migrated", 2)])
            .finds(Severity::Note, &[(a.len(), 64 + payload.len(), "reserved or pad bytes")])
            .lives(&["a", "b"]);
        let coverage = verified(&ran.space);
        assert_eq!((coverage.rebuilt_blocks, coverage.rebuilt_payloads), (0, 2));
    }
}

#[test]
fn unknown_types_are_episodes_if_they_decode() {
    let a = encode_record(0, 7, 0, &episode("a"));
    let z = encode_record(1, 7, 99, &episode("z"));
    let m = encode_record(2, 7, u32::MAX, &episode("m"));
    ran(space(&[&a, &z, &m]), DEFAULT)
        .ends(exit::OK, &[("migrated", 3)])
        .finds(
            Severity::Note,
            &[
                (0, a.len(), "unknown entry type 0,"),
                (a.len(), z.len(), "unknown entry type 99,"),
                (a.len() + z.len(), m.len(), "unknown entry type 4294967295,"),
            ],
        )
        .lives(&["a", "m", "z"]);
    let junk = encode_record(0, 7, 99, b"junk");
    let found = [(0, junk.len(), "undecodable episode")];
    ran(space(&[&junk]), DEFAULT).ends(exit::BAD_DATA, &[("refused_undecodable", 1)]).finds(Severity::Fatal, &found);
    let skip = Policies { undecodable: Undecodable::Skip, ..DEFAULT };
    ran(space(&[&junk]), skip)
        .ends(exit::REFUSED_RECORDS, &[("refused_undecodable", 1)])
        .finds(Severity::Refused, &found);
}

/// Payloads of episodes that do not decode, by what is wrong.
fn undecodable() -> Vec<(&'static str, Vec<u8>)> {
    let good = episode_about("id", "what");
    let find = |part: &[u8]| good.windows(part.len()).position(|window| window == part).expect("it is there");
    let changed = |at: usize, value: u8| {
        let mut payload = good.clone();
        payload[at] = value;
        payload
    };
    let when = find(b"2024-01-02");
    let embedding_count = find(&768_u64.to_le_bytes());
    let where_option = when + "2024-01-02T03:04:05.123456Z".len();
    let mut decay = samples::episode("id");
    decay.decay_function = Some(haul::space::log::decay::DecayFunction::Exponential { tau_hours_bits: 0 });
    let mut decay = decay.encode();
    let variant = decay.len() - 8 - 4 - 4;
    assert_eq!(decay[variant - 1..variant + 4], [1, 0, 0, 0, 0]);
    decay[variant] = 4;
    let mut timed = samples::episode("id");
    timed.last_recall = "2024-02-30T00:00:00Z".into();
    vec![
        ("short", good[..good.len() - 1].to_vec()),
        ("empty", Vec::new()),
        ("id is not UTF-8", changed(8, 0xFF)),
        ("option byte 2", changed(where_option, 2)),
        ("767 values", changed(embedding_count, 0xFF)),
        ("decay variant 4", decay),
        ("bad timestamp", timed.encode()),
        ("empty timestamp", {
            let mut episode = samples::episode("id");
            episode.when.clear();
            episode.encode()
        }),
        ("id longer than the payload", changed(7, 0x7F)),
    ]
}

#[test]
fn undecodable_payloads_fail_or_are_left_out() {
    let skip = Policies { undecodable: Undecodable::Skip, ..DEFAULT };
    let a = rec(0, "a");
    for (what, payload) in undecodable() {
        println!("{what}");
        let record = encode_record(1, 7, STORE, &payload);
        let found = [(a.len(), record.len(), "undecodable episode")];
        let c = rec(2, "c");
        ran(space(&[&a, &record, &c]), DEFAULT)
            .ends(exit::BAD_DATA, &[("refused_undecodable", 1)])
            .finds(Severity::Fatal, &found);
        let ran = ran(space(&[&a, &record, &c]), skip)
            .ends(exit::REFUSED_RECORDS, &[("migrated", 2), ("refused_undecodable", 1)])
            .finds(Severity::Refused, &found)
            .bytes(0, 0, 0)
            .lives(&["a", "c"]);
        assert_eq!(verified(&ran.space).rebuilt_payloads, 2);
    }
}

#[test]
fn every_finding_is_reported_before_a_run_fails() {
    let parts = [rec(0, "a"), bad(1, "b"), encode_record(2, 7, STORE, b""), garbage(90), rec(3, "d"), b"xyz".to_vec()];
    let ran = ran(space(&[&parts.concat()]), DEFAULT);
    assert_eq!(ran.exit, exit::BAD_DATA);
    assert_eq!(ran.space.findings(Severity::Fatal).len(), 4);
}

#[test]
fn a_deletion_of_an_id_that_is_no_text_is_undecodable() {
    let record = encode_record(0, 7, DELETE, &[b'a', 0xFF]);
    let found = [(0, 66, "id is not UTF-8")];
    ran(space(&[&record]), DEFAULT).ends(exit::BAD_DATA, &[("refused_undecodable", 1)]).finds(Severity::Fatal, &found);
    let skip = Policies { undecodable: Undecodable::Skip, ..DEFAULT };
    ran(space(&[&record, &rec(1, "a")]), skip)
        .ends(exit::REFUSED_RECORDS, &[("migrated", 1), ("refused_undecodable", 1)])
        .finds(Severity::Refused, &found);
}

#[test]
fn control_records_and_updates_are_kept_though_not_applied() {
    let list = [
        (0, 4, b"any".to_vec()),
        (1, 5, 17_u64.to_le_bytes().to_vec()),
        (2, 6, Vec::new()),
        (3, UPDATE, memory("m")),
        (4, UPDATE, b"no memory at all".to_vec()),
        (5, DELETE, b"nobody".to_vec()),
        (6, STORE, episode("a")),
    ];
    let log = records(&list);
    let ran = ran(space(&[&log]), DEFAULT)
        .ends(
            exit::OK,
            &[("migrated", 1), ("skipped_control", 3), ("skipped_update_not_applied", 2), ("skipped_delete_entry", 1)],
        )
        .lives(&["a"]);
    let reasons: Vec<_> = ran.space.findings(Severity::Note).into_iter().map(|found| found.3).collect();
    assert_eq!(
        reasons,
        [
            "control record of type 4",
            "control record of type 5",
            "control record of type 6",
            "memory update not applied",
            "memory update not applied",
            "deletion found nothing live",
        ]
    );
    let store = ran.space.store();
    let block = store.block(0).unwrap().unwrap();
    let kinds: Vec<_> = block.rows().iter().map(|row| RowKind::from_number(row.kind.get()).unwrap()).collect();
    use RowKind::{Control, Delete, Episode, Update};
    assert_eq!(kinds, [Episode, Control, Control, Control, Update, Update, Delete]);
    let mut rebuilt = Vec::new();
    block.append_source(&mut rebuilt);
    assert_eq!(rebuilt, log, "the whole log can be rebuilt");
}

#[test]
fn odd_but_sound_records_are_noted_and_kept_to_the_byte() {
    let mut trailing = episode("trailing");
    trailing.extend_from_slice(b"more than a record\0\xff");
    let mut repeated = samples::episode("repeated");
    repeated.metadata = ["a", "b", "a"].map(|key| (key.to_owned(), format!("{key}!"))).to_vec();
    let mut timed = samples::episode("timed");
    timed.when = " 2024-1-2 3:4:5 utc".into();
    timed.last_recall = "2024-01-02T05:04:05.1234567899+02:00".into();
    let mut infinite = samples::episode("infinite");
    infinite.embedding[..4].copy_from_slice(&0xFFC0_1234_u32.to_le_bytes());
    infinite.embedding[4..8].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    let payloads = [trailing, repeated.encode(), timed.encode(), infinite.encode()];
    let list: Vec<_> = payloads.iter().enumerate().map(|(n, payload)| (n as u64, STORE, payload.clone())).collect();
    let ran = ran(space(&[&records(&list)]), DEFAULT).ends(exit::OK, &[("migrated", 4)]);
    let reasons: Vec<_> = ran.space.findings(Severity::Note).into_iter().map(|found| found.3).collect();
    assert_eq!(
        reasons,
        [
            "bytes after the decoded payload, kept",
            "repeated metadata key, all pairs kept",
            "timestamp not in the form that Engram writes, exact text kept",
            "NaN or infinity in the embedding, kept",
        ]
    );
    let store = ran.space.store();
    let found: Vec<_> = store.iter().map(|node| node.unwrap().node().payload()).collect();
    assert_eq!(found, payloads);
    let timed = store.get_by_episode_id("timed").unwrap().unwrap();
    assert_eq!(timed.node().created_at().to_writer_form(), "2024-01-02T03:04:05Z");
    assert_eq!(timed.node().last_access().to_writer_form(), "2024-01-02T03:04:05.123456789Z");
    let infinite = store.get_by_episode_id("infinite").unwrap().unwrap();
    let bits: Vec<_> = infinite.node().embedding()[..2].iter().map(|value| value.to_bits()).collect();
    assert_eq!(bits, [0xFFC0_1234, f32::NEG_INFINITY.to_bits()]);
    assert_eq!(verified(&ran.space).rebuilt_blocks, 1);
}

#[test]
fn gaps_in_the_sequence_are_noted_within_a_file() {
    let control = |sequence| encode_record(sequence, 7, 5, b"");
    // 250 records fill an extent: gaps within one, at its end, and across a damaged stretch.
    let numbers: Vec<u64> = (0..100).chain(101..251).chain(260..300).chain([u64::MAX, 0, 0]).collect();
    let mut log: Vec<u8> = numbers.iter().flat_map(|&number| control(number)).collect();
    log.extend(garbage(77));
    log.extend(control(5));
    let expected = [
        (100 * 64, "99 to 101"),
        (250 * 64, "250 to 260"),
        (290 * 64, "299 to 18446744073709551615"),
        (291 * 64, "18446744073709551615 to 0"),
        (292 * 64, "0 to 0"),
        (293 * 64 + 77, "0 to 5"),
    ];
    for batch_records in [1, 1_000] {
        let space = Space::new();
        space.log(1, &log).log(2, &control(40));
        let ran =
            ran_with(space, &MigrateOptions { run: RunOptions { batch_records, ..with(RESYNC).run }, ..with(RESYNC) });
        let mut gaps = ran.space.findings(Severity::Note);
        gaps.retain(|found| found.3.starts_with("sequence goes from"));
        gaps.sort_by_key(|found| found.1);
        let gaps: Vec<_> =
            gaps.iter().map(|found| (found.1 as usize, found.3.trim_start_matches("sequence goes from "))).collect();
        assert_eq!(gaps, expected, "batches of {batch_records}");
    }
}

/// A file that begins with damage, in a batch of its own, has no record before its first one.
#[test]
fn the_last_number_of_one_file_is_not_compared_with_the_first_of_the_next() {
    for batch_records in [1, 1_000] {
        let space = Space::new();
        space.log(1, &[rec(0, "a"), rec(1, "b")].concat());
        space.log(2, &[garbage(70), rec(7, "c")].concat());
        space.log(3, &rec(0, "d"));
        ran_with(space, &MigrateOptions { run: RunOptions { batch_records, ..with(RESYNC).run }, ..with(RESYNC) })
            .ends(exit::REFUSED_RECORDS, &[("migrated", 4)])
            .finds(Severity::Note, &[]);
    }
}

#[test]
fn a_matching_name_that_is_no_regular_file_fails() {
    use std::os::unix::fs::symlink;
    let make: [&dyn Fn(&Space); 3] = [
        &|space| fs::create_dir(space.wal().join("wal-9.log")).unwrap(),
        &|space| symlink("nowhere", space.wal().join("wal-9.log")).unwrap(),
        &|space| symlink("/dev/null", space.wal().join("wal-9.log")).unwrap(),
    ];
    for odd in make {
        let space = space(&[&rec(0, "a")]);
        odd(&space);
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        let error =
            haul::space::migrate::migrate(crate::support::space_runs::disk(), &space.paths(), &with(DEFAULT), &control)
                .unwrap_err();
        assert_eq!(error.exit_code(), exit::BAD_DATA, "{error}");
        assert!(error.to_string().contains("wal-9.log"), "{error}");
        assert!(!space.root().join("migration").exists(), "nothing is begun");
    }
}

#[test]
fn a_link_to_a_log_file_is_followed_and_noted() {
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("real");
    fs::write(&target, rec(0, "b")).unwrap();
    let space = space(&[&rec(0, "a")]);
    std::os::unix::fs::symlink(&target, space.wal().join("wal-linked.log")).unwrap();
    let ran = ran(space, DEFAULT).ends(exit::OK, &[("migrated", 2)]).lives(&["a", "b"]);
    assert_eq!(ran.report["details"]["linked"], serde_json::json!(["wal-linked.log"]));
}

#[test]
fn without_a_log_directory_there_is_no_space() {
    for make in [|_: &std::path::Path| (), |root: &std::path::Path| fs::write(root.join("wal"), b"").unwrap()] {
        let space = Space::new();
        fs::remove_dir(space.wal()).unwrap();
        make(&space.root());
        let stop = StopToken::new();
        let control = Control { stop: &stop, observer: &Silent };
        let error =
            haul::space::migrate::migrate(crate::support::space_runs::disk(), &space.paths(), &with(DEFAULT), &control)
                .unwrap_err();
        assert_eq!(error.exit_code(), exit::USAGE);
        assert!(!space.root().join("migration").exists());
    }
}

#[test]
fn a_space_without_records_is_a_valid_source() {
    let allowed = MigrateOptions { allow_empty: true, ..with(DEFAULT) };
    ran_with(Space::new(), &allowed).ends(exit::OK, &[]).lives(&[]);
    let empty = Space::new();
    empty.log(1, b"").log(2, b"");
    let ran = ran(empty, DEFAULT).ends(exit::OK, &[]).bytes(0, 0, 0).lives(&[]);
    assert!(ran.space.store().is_empty());
    assert_eq!(ran.space.store().manifest().sources.len(), 2);
}

#[test]
fn a_space_of_one_record() {
    let ran = ran(space(&[&rec(0, "")]), DEFAULT).ends(exit::OK, &[("migrated", 1)]).lives(&[""]);
    let store = ran.space.store();
    let found = store.get(&"0a68eb57-c88a-5f34-9e9d-27f85e68af4f".parse().unwrap()).unwrap().unwrap();
    assert_eq!(found.node().payload(), episode(""));
}

#[test]
fn records_larger_than_a_block_and_than_the_budget_travel_alone() {
    let huge = encode_record(1, 7, STORE, &episode_about("huge", &"x".repeat(5 << 20)));
    let big = encode_record(2, 7, STORE, &episode_about("big", &"é".repeat(600_000)));
    let log = [rec(0, "a"), huge, big, rec(3, "z")].concat();
    let mut stores = Vec::new();
    for memory_budget_bytes in [1, 1 << 20, 512 << 20] {
        let options = MigrateOptions { run: RunOptions { memory_budget_bytes, ..eager().run }, ..eager() };
        let ran =
            ran_with(space(&[&log]), &options).ends(exit::OK, &[("migrated", 4)]).lives(&["a", "big", "huge", "z"]);
        let store = ran.space.store();
        let huge = store.get_by_episode_id("huge").unwrap().unwrap();
        assert_eq!(huge.node().content().unwrap().len(), 5 << 20);
        stores.push(tree(store.directory()));
    }
    assert!(stores.windows(2).all(|pair| pair[0] == pair[1]));
}

/// What the rules of the specification make of one file, told as simply as possible.
#[derive(Debug, Default, PartialEq)]
struct Model {
    good: Vec<String>,
    refused: u64,
    torn: u64,
    zero: u64,
    damaged: Vec<(u64, u64)>,
}

impl Model {
    fn of(file: &[u8], policy: Corruption) -> Self {
        let parse = |at: usize| {
            let bytes = file.get(at..at + HEADER_BYTES)?;
            WalHeader::parse(bytes.try_into().unwrap()).ok()
        };
        let payload = |at: usize, header: &WalHeader| {
            file.get(at + HEADER_BYTES..at + HEADER_BYTES + header.payload_len_bytes as usize)
        };
        let complete = |at: usize| {
            parse(at).filter(|header| payload(at, header).is_some_and(|payload| header.payload_matches(payload)))
        };
        let find = |from: usize| (from..file.len()).find(|&at| complete(at).is_some());
        let tail = |at: usize| {
            let rest = &file[at..];
            if rest.iter().all(|&byte| byte == 0) {
                return Some(true);
            }
            let magic = [0xEF, 0xBE, 0xAD, 0xDE];
            (rest.len() < HEADER_BYTES && rest.iter().zip(magic).all(|(byte, want)| *byte == want)).then_some(false)
        };
        let (mut model, mut at) = (Self::default(), 0);
        while at < file.len() {
            let mut search_from = at + 1;
            match parse(at) {
                Some(header) => match payload(at, &header) {
                    Some(payload) => {
                        let end = at + HEADER_BYTES + payload.len();
                        if header.payload_matches(payload) {
                            let id = haul::space::log::episode::EpisodeView::parse(
                                payload,
                                haul::space::log::episode::RangeCheck::Keep,
                            );
                            model.good.push(id.unwrap().id.to_owned());
                            at = end;
                            continue;
                        }
                        let inside = find(at + HEADER_BYTES).is_some_and(|found| found < end);
                        let framed = end == file.len() || parse(end).is_some() || tail(end).is_some() && !inside;
                        if framed || policy == Corruption::Skip {
                            model.refused += 1;
                            at = end;
                            continue;
                        }
                        search_from = at + HEADER_BYTES;
                    }
                    None if find(at + 1).is_none() => {
                        model.torn = (file.len() - at) as u64;
                        break;
                    }
                    None => {}
                },
                None => match tail(at) {
                    Some(true) => {
                        model.zero = (file.len() - at) as u64;
                        break;
                    }
                    Some(false) => {
                        model.torn = (file.len() - at) as u64;
                        break;
                    }
                    None => {}
                },
            }
            let end = if policy == Corruption::Skip { file.len() } else { find(search_from).unwrap_or(file.len()) };
            model.damaged.push((at as u64, (end - at) as u64));
            at = end;
        }
        model.good.sort();
        model
    }
}

/// A piece of a log, whole, wrong or cut.
fn piece() -> impl Strategy<Value = (u8, usize, u8)> {
    (0_u8..9, 0_usize..8_000, any::<u8>())
}

fn assemble(pieces: &[(u8, usize, u8)]) -> Vec<u8> {
    let mut log = Vec::new();
    for (number, &(kind, size, byte)) in pieces.iter().enumerate() {
        let sequence = number as u64;
        let id = format!("id-{number}");
        match kind {
            0..=2 => log.extend(rec(sequence, &id)),
            3 => log.extend(bad(sequence, &id)),
            4 => log.extend(header(sequence, size as u32)),
            5 => log.extend(garbage(size / 40)),
            6 => log.extend(vec![0; size / 40]),
            7 => {
                let record = rec(sequence, &id);
                log.extend(&record[..size.min(record.len())]);
            }
            _ => {
                let mut record = rec(sequence, &id);
                let at = size % record.len();
                record[at] ^= byte | 1;
                log.extend(record);
            }
        }
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_ends_as_the_rules_say(pieces in prop::collection::vec(piece(), 1..9), cut in 0_usize..200) {
        let mut log = assemble(&pieces);
        log.truncate(log.len() - cut.min(log.len()));
        for policies in [SKIP, RESYNC] {
            let expected = Model::of(&log, policies.corruption);
            let ran = ran(space(&[&log]), Policies { undecodable: Undecodable::Skip, ..policies });
            let mut found = Model {
                good: ran.space.live_ids(),
                refused: ran.report["counts"]["refused_corrupt"].as_u64().unwrap(),
                torn: ran.report["source_bytes"]["torn_tail"].as_u64().unwrap(),
                zero: ran.report["source_bytes"]["zero_tail"].as_u64().unwrap(),
                damaged: ran
                    .space
                    .findings(Severity::Refused)
                    .into_iter()
                    .filter(|found| found.3 != "payload checksum mismatch")
                    .map(|found| (found.1, found.2))
                    .collect(),
            };
            found.good.sort();
            prop_assert_eq!(&found, &expected, "{:?}", policies.corruption);
            let clean = expected.refused == 0 && expected.damaged.is_empty();
            prop_assert_eq!(ran.exit, if clean { exit::OK } else { exit::REFUSED_RECORDS });
        }
    }
}
