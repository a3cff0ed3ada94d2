//! The record of an object and its text.

use crate::cas::format::encoding::Encoding;
use crate::cas::format::key::Key;

/// The record of one object of a v2 store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ObjectRecord {
    /// The key.
    pub digest: Key,
    /// How the blob is encoded.
    pub encoding: Encoding,
    /// Length of the content.
    pub original_size: u64,
    /// Length of the blob.
    pub stored_size: u64,
    /// BLAKE3 of the blob without a prefix.
    pub stored_blob_hash: Key,
    /// Unix time in seconds; 0 if it is not known.
    pub created_at: u64,
}

impl ObjectRecord {
    /// Appends the bytes of the sidecar: members in their fixed order, no white space, no newline at the end.
    pub fn push_json(&self, out: &mut Vec<u8>) {
        self.push_all_but_created_at(out);
        out.extend_from_slice(b",\"created_at\":");
        out.extend_from_slice(NumberText::default().digits(self.created_at));
        out.push(b'}');
    }

    /// Appends the bytes of the sidecar as they were before there was a `created_at`.
    pub fn push_json_without_created_at(&self, out: &mut Vec<u8>) {
        self.push_all_but_created_at(out);
        out.push(b'}');
    }

    fn push_all_but_created_at(&self, out: &mut Vec<u8>) {
        let mut number = NumberText::default();
        out.extend_from_slice(b"{\"digest\":\"");
        out.extend_from_slice(&self.digest.text());
        out.extend_from_slice(b"\",\"encoding\":\"");
        out.extend_from_slice(self.encoding.name().as_bytes());
        out.extend_from_slice(b"\",\"original_size\":");
        out.extend_from_slice(number.digits(self.original_size));
        out.extend_from_slice(b",\"stored_size\":");
        out.extend_from_slice(number.digits(self.stored_size));
        out.extend_from_slice(b",\"stored_blob_hash\":\"");
        out.extend_from_slice(&self.stored_blob_hash.text());
        out.push(b'"');
    }
}

/// Writes the digits of a number without an allocation for each: a migration writes several for each object.
#[derive(Default)]
pub(super) struct NumberText([u8; 20]);

impl NumberText {
    pub(super) fn digits(&mut self, mut number: u64) -> &[u8] {
        let mut start = self.0.len();
        loop {
            start -= 1;
            self.0[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return &self.0[start..];
            }
        }
    }
}
