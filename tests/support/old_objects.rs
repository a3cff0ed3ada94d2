//! Old stores laid out object by object.

use std::fs;
use std::path::PathBuf;

use haul::cas::format::digest::{CAS_PREFIX, Content, blake3_key, key_of};
use haul::cas::format::encoding::Encoding;
use haul::cas::format::frame::{Compressor, LEVEL_DEFAULT};
use haul::cas::format::generation::Generation;
use haul::cas::format::record::ObjectRecord;
use haul::cas::source::location::Shape;
use haul::cas::{Algorithm, Key};

use super::old_store::OldStore;

/// How a generation encodes an object.
#[derive(Clone, Copy)]
pub struct Keeping {
    pub generation: Generation,
    pub zstd: bool,
    pub created_at: u64,
}

impl OldStore {
    /// A store with an empty directory of objects.
    pub fn new() -> Self {
        let store = Self::in_directory(tempfile::tempdir().expect("a temporary directory"));
        fs::create_dir_all(store.root().join("objects")).expect("a directory of objects");
        store
    }

    /// An object that is stored as its content.
    pub fn object(&self, algorithm: Algorithm, content: &[u8], layout: Shape) -> &Self {
        self.stored(algorithm, content, content, layout)
    }

    /// An object that is stored as `blob`, under the key of its content.
    pub fn stored(&self, algorithm: Algorithm, content: &[u8], blob: &[u8], layout: Shape) -> &Self {
        self.file(&object_path(algorithm, content, layout), blob)
    }

    /// The sidecar of an object that is stored as its content.
    pub fn sidecar(&self, algorithm: Algorithm, content: &[u8], layout: Shape, created_at: u64) -> &Self {
        self.sidecar_of(algorithm, content, content, layout, created_at)
    }

    /// The sidecar of an object that is stored as `blob`.
    pub fn sidecar_of(
        &self,
        algorithm: Algorithm,
        content: &[u8],
        blob: &[u8],
        layout: Shape,
        created_at: u64,
    ) -> &Self {
        let record = ObjectRecord {
            digest: key_of(algorithm, content),
            encoding: if content == blob { Encoding::Identity } else { Encoding::Zstd },
            original_size: content.len() as u64,
            stored_size: blob.len() as u64,
            stored_blob_hash: blake3_key(blob),
            created_at,
        };
        let mut bytes = Vec::new();
        record.push_json(&mut bytes);
        self.file(&format!("{}.meta", object_path(algorithm, content, layout)), &bytes)
    }

    /// Writes `content` into `AB/CD/` as its generation did. Returns the path of its blob and its key.
    pub fn keep(&self, keeping: Keeping, content: &[u8]) -> (PathBuf, Key) {
        let prefixed = [&CAS_PREFIX, content].concat();
        let zstd = keeping.zstd.then(|| zstd(content));
        let kept = keeping.generation.encode(Content::behind_prefix(&prefixed), zstd, keeping.created_at);
        let name = kept.key.to_string();
        let relative = format!("objects/{}/{}/{name}", &name[..2], &name[2..4]);
        if let Some(sidecar) = &kept.sidecar {
            self.file(&format!("{relative}.meta"), sidecar);
        }
        self.file(&relative, &kept.blob);
        (self.root().join(relative), kept.key)
    }

    /// Like [`keep`](Self::keep), for a generation and without other options.
    pub fn keep_plain(&self, generation: Generation, content: &[u8]) -> (PathBuf, Key) {
        self.keep(Keeping { generation, zstd: false, created_at: 1_700_000_000 }, content)
    }
}

/// Path of an object in a store.
pub fn object_path(algorithm: Algorithm, content: &[u8], layout: Shape) -> String {
    let key = key_of(algorithm, content).to_string();
    let (ab, cd, rest) = (&key[..2], &key[2..4], &key[2..]);
    match layout {
        Shape::Flat => format!("objects/{key}"),
        Shape::OneLevel => format!("objects/{ab}/{key}"),
        Shape::SplitName => format!("objects/{ab}/{rest}"),
        Shape::TwoLevels => format!("objects/{ab}/{cd}/{key}"),
    }
}

/// One zstd frame, as the reference writes it.
pub fn zstd(content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Compressor::new().compress(content, LEVEL_DEFAULT, &mut frame);
    frame
}

/// Content that a number decides; text of few letters if it is to compress well.
pub fn content(number: u64, len: usize, is_text: bool) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut bytes);
    if is_text {
        bytes.iter_mut().for_each(|byte| *byte = b"etaoin shrdlu.,\n"[usize::from(*byte % 16)]);
    }
    bytes
}
