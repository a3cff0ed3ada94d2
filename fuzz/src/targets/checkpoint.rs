//! Whatever bytes a checkpoint file holds: they are refused, or they are what encoding the value writes.

use std::path::Path;

use haul::migration::checkpoint::{Decode, Encode, Kind, decode, encode};
use haul::space::outcome::Counts;
use haul::space::state::{CHECKPOINT_KIND, RunState};

const KIND: Kind = *b"fuzz\0\0\0\0";

type Value = (u64, Vec<String>, Option<[u8; 32]>, Vec<(String, bool, i64)>, Counts);

pub fn fuzz(bytes: &[u8]) {
    check::<Value>(KIND, bytes);
    check::<RunState>(CHECKPOINT_KIND, bytes);
    check::<Value>(KIND, &framed(KIND, bytes));
    check::<RunState>(CHECKPOINT_KIND, &framed(CHECKPOINT_KIND, bytes));
}

fn check<T: Encode + Decode<()>>(kind: Kind, bytes: &[u8]) {
    let path = Path::new("checkpoint.bin");
    if let Ok(value) = decode::<T>(kind, path, bytes) {
        assert_eq!(encode(kind, path, &value).unwrap(), bytes);
    }
}

/// A file that is whole, so that the payload is what gets decoded.
fn framed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = b"HAULCKPT".to_vec();
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(&kind);
    bytes.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    let digest = blake3::Hasher::new().update(&bytes).update(payload).finalize();
    bytes.extend_from_slice(digest.as_bytes());
    bytes.extend_from_slice(payload);
    bytes
}
