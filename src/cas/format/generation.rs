//! The generations of the reference, and how each stored an object: key, blob and sidecar (docs/source-requiem.md,
//! "Generations").

use std::fmt;

use super::digest::{Content, key_of};
use super::encoding::Encoding;
use super::key::{Algorithm, Key};
use super::record::ObjectRecord;

/// A format version of stores, named by the version of the reference that began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[repr(u8)]
pub enum Generation {
    /// SHA-256 keys; neither sidecars nor compression.
    #[serde(rename = "v0.2")]
    V0_2,
    /// BLAKE2s-256 keys and blob hashes; sidecars without `created_at`.
    #[serde(rename = "v0.5")]
    V0_5,
    /// BLAKE3 keys; sidecars without `created_at`.
    #[serde(rename = "v0.7")]
    V0_7,
    /// BLAKE3 `cas:` keys; sidecars without `created_at`.
    #[serde(rename = "v1.3-noindex")]
    V1_3NoIndex,
    /// BLAKE3 `cas:` keys; sidecars with `created_at`, and a line in the index. The generation of today.
    #[serde(rename = "v2")]
    V2,
}

/// An object as a generation stored it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedObject {
    /// The name of the object.
    pub key: Key,
    /// The bytes of the blob.
    pub blob: Vec<u8>,
    /// The bytes of the sidecar, in generations with sidecars.
    pub sidecar: Option<Vec<u8>>,
}

impl Generation {
    /// All generations, the oldest first.
    pub const ALL: [Self; 5] = [Self::V0_2, Self::V0_5, Self::V0_7, Self::V1_3NoIndex, Self::V2];

    /// Returns the name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::V0_2 => "v0.2",
            Self::V0_5 => "v0.5",
            Self::V0_7 => "v0.7",
            Self::V1_3NoIndex => "v1.3-noindex",
            Self::V2 => "v2",
        }
    }

    /// Returns how keys were made.
    pub fn algorithm(self) -> Algorithm {
        match self {
            Self::V0_2 => Algorithm::Sha256,
            Self::V0_5 => Algorithm::Blake2s,
            Self::V0_7 => Algorithm::Blake3,
            Self::V1_3NoIndex | Self::V2 => Algorithm::Cas,
        }
    }

    /// Returns how the `stored_blob_hash` of sidecars was made; `None` if there were no sidecars.
    pub fn blob_hash_algorithm(self) -> Option<Algorithm> {
        match self {
            Self::V0_2 => None,
            Self::V0_5 => Some(Algorithm::Blake2s),
            Self::V0_7 | Self::V1_3NoIndex | Self::V2 => Some(Algorithm::Blake3),
        }
    }

    /// Returns true if blobs could be zstd.
    pub fn compresses(self) -> bool {
        self != Self::V0_2
    }

    /// Returns true if each object was listed in `index.ndjson`.
    pub fn is_indexed(self) -> bool {
        self == Self::V2
    }

    /// Returns an object as the generation stored it: `content` itself, or `zstd` frames of it.
    ///
    /// # Panics
    /// If `zstd` is given and the generation had no compression.
    pub fn encode(self, content: Content<'_>, zstd: Option<Vec<u8>>, created_at: u64) -> EncodedObject {
        assert!(zstd.is_none() || self.compresses(), "{self} had no zstd");
        let key = content.key(self.algorithm());
        let encoding = if zstd.is_some() { Encoding::Zstd } else { Encoding::Identity };
        let blob = zstd.unwrap_or_else(|| content.bytes().to_vec());
        let sidecar = self.blob_hash_algorithm().map(|algorithm| {
            self.sidecar(&ObjectRecord {
                digest: key,
                encoding,
                original_size: content.bytes().len() as u64,
                stored_size: blob.len() as u64,
                stored_blob_hash: key_of(algorithm, &blob),
                created_at,
            })
        });
        EncodedObject { key, blob, sidecar }
    }

    fn sidecar(self, record: &ObjectRecord) -> Vec<u8> {
        let mut text = Vec::new();
        if self == Self::V2 {
            record.push_json(&mut text);
        } else {
            record.push_json_without_created_at(&mut text);
        }
        text
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(generation: Generation) -> EncodedObject {
        generation.encode(Content::behind_prefix(b"cas:hello"), None, 1_795_207_503)
    }

    #[test]
    fn sidecars_have_the_form_of_their_generation() {
        let text = |generation| kept(generation).sidecar.map(|sidecar| String::from_utf8(sidecar).expect("text"));
        assert_eq!(text(Generation::V0_2), None);
        let expected = r#"{"digest":"19213bacc58dee6dbde3ceb9a47cbb330b3d86f8cca8997eb00be456f140ca25","encoding":"identity","original_size":5,"stored_size":5,"stored_blob_hash":"19213bacc58dee6dbde3ceb9a47cbb330b3d86f8cca8997eb00be456f140ca25"}"#;
        assert_eq!(text(Generation::V0_5).as_deref(), Some(expected));
        let expected = r#"{"digest":"888c953ef5078f3680b54066bbb320e65bfee61773f13a8813b211a8001fb12d","encoding":"identity","original_size":5,"stored_size":5,"stored_blob_hash":"ea8f163db38682925e4491c5e58d4bb3506ef8c14eb78a86e908c5624a67200f"}"#;
        assert_eq!(text(Generation::V1_3NoIndex).as_deref(), Some(expected));
        let dated = format!(r#"{},"created_at":1795207503}}"#, expected.trim_end_matches('}'));
        assert_eq!(text(Generation::V2), Some(dated));
    }

    #[test]
    fn blobs_are_the_content_or_its_frames() {
        assert_eq!(kept(Generation::V0_2).blob, b"hello");
        let frames = Generation::V0_7.encode(Content::behind_prefix(b"cas:hello"), Some(b"frames".to_vec()), 0);
        assert_eq!((frames.key, &frames.blob[..]), (kept(Generation::V0_7).key, &b"frames"[..]));
        let sidecar: serde_json::Value = serde_json::from_slice(&frames.sidecar.expect("a sidecar")).expect("JSON");
        assert_eq!((&sidecar["original_size"], &sidecar["stored_size"]), (&5.into(), &6.into()));
        assert_eq!(sidecar["encoding"], "zstd");
    }

    #[test]
    #[should_panic(expected = "v0.2 had no zstd")]
    fn the_first_generation_had_no_zstd() {
        Generation::V0_2.encode(Content::behind_prefix(b"cas:"), Some(Vec::new()), 0);
    }

    #[test]
    fn a_generation_is_displayed_as_it_is_serialized() {
        for generation in Generation::ALL {
            assert_eq!(serde_json::to_value(generation).expect("plain data"), generation.to_string());
        }
    }
}
