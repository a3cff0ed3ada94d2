//! Headers that claim more than is loaded unseen, and headers whose claims overlap.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use crate::support::headers::header;
use crate::support::space::{STORE, Space, episode};
use haul::space::log::wal::{HEADER_BYTES, encode_record};
use haul::space::options::MigrateOptions;
use haul::space::policy::{Corruption, Policies};

const CLAIMED_BYTES: u32 = 40 << 20;

fn record(sequence: u64, id: &str) -> Vec<u8> {
    encode_record(sequence, 7, STORE, &episode(id))
}

fn resync() -> MigrateOptions {
    MigrateOptions {
        policies: Policies { corruption: Corruption::Resync, ..Policies::default() },
        ..MigrateOptions::default()
    }
}

#[test]
fn an_enormous_claim_with_a_wrong_checksum_is_damage_up_to_the_next_record() {
    for (follows, ids) in [(Vec::new(), &["a"][..]), (record(2, "b"), &["a", "b"]), (vec![0; 4096], &["a"])] {
        let space = Space::new();
        let (a, lying) = (record(0, "a"), header(1, CLAIMED_BYTES));
        space.log(1, &[a.clone(), lying.clone()].concat());
        // The payload is a hole, which takes no room.
        let file = OpenOptions::new().write(true).open(space.wal().join("wal-0000000000000001.log")).unwrap();
        let end = (a.len() + lying.len()) as u64 + u64::from(CLAIMED_BYTES);
        file.set_len(end).unwrap();
        file.write_all_at(&follows, end).unwrap();
        let end = space.migrate(&resync()).unwrap();
        assert_eq!(space.live_ids(), ids);
        assert!(end.details.damaged_bytes >= u64::from(CLAIMED_BYTES), "{end:?}");
        assert_eq!(end.details.findings.first[0].offset, a.len() as u64, "{end:?}");
    }
}

/// Every header ends in the same stray bytes: reading them for each header would take minutes.
#[test]
fn claims_that_overlap_are_not_read_one_by_one() {
    let space = Space::new();
    let (headers, header_bytes) = (20_000, HEADER_BYTES as u32);
    let total = headers * header_bytes + (16 << 20);
    let mut log: Vec<u8> =
        (0..headers).flat_map(|at| header(at.into(), total - 1000 - at % 500 - (at + 1) * header_bytes)).collect();
    log.resize(total as usize, 0x55);
    log.extend(record(headers.into(), "last"));
    space.log(1, &log);
    let end = space.migrate(&resync()).unwrap();
    assert_eq!((end.details.damaged_bytes, space.live_ids()), (total.into(), vec!["last".to_owned()]));
}
