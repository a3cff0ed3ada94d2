//! Whatever bytes a log file holds: its extents cover it exactly, whatever the window, and every block made from them
//! reads back and gives the source bytes again.

use std::path::Path;
use std::sync::LazyLock;

use haul::migration::OutcomeCounts;
use haul::space::generate::samples;
use haul::space::limits::{BLOCK_RECORDS_MAX, BLOCK_SOURCE_BYTES_MAX};
use haul::space::log::extent::{Content, Extent, RegionKind};
use haul::space::log::wal::{HEADER_BYTES, WalHeader, encode_record};
use haul::space::policy::{Corruption, OutOfRange, Policies, Undecodable, Updates};
use haul::space::store::block_view::{AlignedBytes, Block};

use crate::support::edits::edited;
use crate::support::log::Log;

static EPISODE: LazyLock<Vec<u8>> = LazyLock::new(|| samples::episode("an-id").encode());
static MEMORY: LazyLock<Vec<u8>> = LazyLock::new(|| samples::memory("an-id").encode());

pub fn fuzz(bytes: &[u8]) {
    let Some((&how, script)) = bytes.split_first() else { return };
    let log = Log::new(if how & 1 == 0 { written(script) } else { script.to_vec() });
    if let Some(head) = log.bytes.first_chunk::<HEADER_BYTES>()
        && let Ok(header) = WalHeader::parse(head)
    {
        assert_eq!(&header.encode(), head);
    }
    for policy in [Corruption::Fail, Corruption::Skip, Corruption::Resync] {
        let extents = log.extents(policy, usize::MAX);
        assert_eq!(extents, log.extents(policy, 64), "what is cut depends on the window");
        extents.iter().for_each(|extent| check_extent(&log, extent));
        check_blocks(&log, extents, policy);
    }
}

/// A log in which most records are whole: each instruction is one byte, a length of two and what it needs.
fn written(mut script: &[u8]) -> Vec<u8> {
    let mut log = Vec::new();
    let mut sequence = 0;
    while let Some(([what, low, high], rest)) = script.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        let (data, after) = rest.split_at(rest.len().min(len % 512));
        script = after;
        sequence += 1;
        let entry_type = u32::from(what >> 4);
        match what & 0x0F {
            0 => log.extend_from_slice(&encode_record(sequence, 1, 1, &EPISODE)),
            // Enough of them for a block of the most bytes.
            1 => (0..if *high == 0 { len % 8 } else { len % 400 })
                .for_each(|_| log.extend_from_slice(&encode_record(sequence, 1, 1, &EPISODE))),
            2 => log.extend_from_slice(&encode_record(sequence, 1, 2, &MEMORY)),
            3 => log.extend_from_slice(&encode_record(sequence, 1, entry_type, data)),
            4 => {
                let payload = edited(&EPISODE, data);
                log.extend_from_slice(&encode_record(sequence, 1, 1, &payload));
            }
            5 => {
                let payload = edited(&MEMORY, data);
                log.extend_from_slice(&encode_record(sequence, 1, 2, &payload));
            }
            6 => log.extend_from_slice(data),
            7 => log.resize(log.len() + len % 4096, 0),
            8 => log.extend_from_slice(&header(sequence, entry_type, len as u32, data)),
            9 => log.extend_from_slice(&header(sequence, entry_type, u32::MAX - len as u32, data)),
            10 => log.truncate(log.len() - len.min(log.len())),
            // Enough of them for a block of the most records.
            11 => (0..len % 300).for_each(|_| log.extend_from_slice(&encode_record(sequence, 1, 3, b"id"))),
            12 => log = edited(&log, data),
            // A whole record inside the payload of another.
            13 => log.extend_from_slice(&encode_record(sequence, 1, 3, &encode_record(sequence, 1, 3, data))),
            _ => log.extend_from_slice(&encode_record(u64::MAX - sequence, u64::MAX, 3, b"\xff")),
        }
        if log.len() > 1 << 20 {
            break;
        }
    }
    log
}

/// A sound header in front of something else than it says.
fn header(sequence: u64, entry_type: u32, payload_len_bytes: u32, data: &[u8]) -> Vec<u8> {
    let header = WalHeader {
        sequence,
        timestamp_ns: 1,
        entry_type,
        payload_len_bytes,
        payload_crc: 0,
        reserved: [u8::from(entry_type == 15); 20],
        pad: [u8::from(entry_type == 14); 8],
    };
    [&header.encode(), data].concat()
}

fn check_extent(log: &Log, extent: &Extent) {
    match &extent.content {
        Content::Frames(frames) => {
            assert!((1..=BLOCK_RECORDS_MAX).contains(&frames.len()));
            assert!(frames.len() == 1 || extent.len_bytes <= BLOCK_SOURCE_BYTES_MAX);
            let mut at = extent.start;
            for frame in frames {
                assert_eq!(frame.offset, at);
                at += frame.total_bytes();
            }
            assert_eq!(at, extent.end());
        }
        Content::Region(region) => {
            assert!(region.kind == RegionKind::Damaged || extent.end() == log.bytes.len() as u64);
        }
    }
}

fn check_blocks(log: &Log, extents: Vec<Extent>, corruption: Corruption) {
    let policies = Policies {
        corruption,
        undecodable: Undecodable::Skip,
        out_of_range: OutOfRange::Keep,
        updates: Updates::Import,
        ..Policies::default()
    };
    let batch = log.convert(extents, policies);
    let mut node_rows = 0;
    for extent in &batch.extents {
        let entry = &extent.entry;
        if entry.region.get() != 0 {
            continue;
        }
        let bytes = &batch.bytes[extent.at..extent.at + entry.block_bytes.get() as usize];
        let block = Block::parse(AlignedBytes::from(bytes), Path::new("block"), 0).expect("a block as it was written");
        assert!(block.digest_matches());
        assert_eq!(block.digest(), entry.block_digest);
        node_rows += block.nodes().len() as u64;
        let start = entry.source_offset.get() as usize;
        let source = &log.bytes[start..start + entry.source_bytes.get() as usize];
        if block.rebuilds_source() {
            let mut rebuilt = Vec::new();
            block.append_source(&mut rebuilt);
            assert_eq!(rebuilt, source);
        }
        for (number, row) in block.rows().iter().enumerate() {
            let mut payload = Vec::new();
            block.append_payload(number as u32, &mut payload);
            let at = row.source_offset.get() as usize + HEADER_BYTES;
            assert_eq!(payload, &log.bytes[at..at + row.payload_bytes.get() as usize]);
        }
    }
    let others = batch.counts.sum();
    assert_eq!(batch.records, node_rows + others);
}
