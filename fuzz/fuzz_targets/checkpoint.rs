//! Whatever bytes a checkpoint file holds: they are refused, or they are what encoding the value writes.
#![no_main]

use std::path::Path;

use haul::migration::Counts;
use haul::migration::checkpoint::{Kind, decode, encode};
use libfuzzer_sys::fuzz_target;

const KIND: Kind = *b"fuzz\0\0\0\0";

type Value = (u64, Vec<String>, Option<[u8; 32]>, Vec<(String, bool, i64)>, Counts);

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    check(&framed(bytes));
});

fn check(bytes: &[u8]) {
    let path = Path::new("checkpoint.bin");
    if let Ok(value) = decode::<Value>(KIND, path, bytes) {
        assert_eq!(encode(KIND, path, &value).unwrap(), bytes);
    }
}

/// A file that is whole, so that the payload is what gets decoded.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"HAULCKPT".to_vec();
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(&KIND);
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    let digest = blake3::Hasher::new().update(&bytes).update(payload).finalize();
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
