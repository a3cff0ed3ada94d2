//! The checkpoint: what a run has made durable, in a file that is either whole or refused.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 8 | magic `HAULCKPT` |
//! | 8 | 4 | format version, little-endian: 2 |
//! | 12 | 8 | kind: which store's checkpoint it is, ASCII padded with zeros |
//! | 20 | 8 | length of the payload in bytes, little-endian |
//! | 28 | 32 | BLAKE3 of the 28 bytes above followed by the payload |
//! | 60 | | payload: bincode, little-endian, fixed-width integers |
//!
//! The digest is checked before a byte of the payload is decoded, and the payload must be consumed to its end.
//! This is the only module that uses bincode; types derive [`Encode`] and [`Decode`] as named here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What a type must derive to be held by a checkpoint.
pub use bincode::{Decode, Encode};

use super::error::{Cause, Error};
use crate::durable::{Attributes, Disk, read_file, temporary_name, write_synced_file};

/// Which store's checkpoint a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// In the file: ASCII, padded with zeros, as in `*b"space\0\0\0"`.
    pub tag: [u8; 8],
    /// How to start over, for the message that refuses a checkpoint: only the store knows what that leaves untouched.
    pub restart: &'static str,
}

/// Name of the current checkpoint in the run directory.
pub const FILE_NAME: &str = "checkpoint.bin";
/// Name of the checkpoint before it.
pub const PREVIOUS_FILE_NAME: &str = "checkpoint.prev";
/// The longest payload that is written or read.
pub const PAYLOAD_BYTES_MAX: u64 = 64 << 20;

/// The first bytes of the file.
pub const MAGIC: &[u8] = b"HAULCKPT";
const FORMAT_VERSION: u32 = 2;
const FIELDS_BYTES: usize = 28;
const HEADER_BYTES: usize = FIELDS_BYTES + 32;
/// What decoding may claim in memory. More than a payload's length, because values may be wider than their encoding.
const DECODED_BYTES_MAX: usize = 4 * PAYLOAD_BYTES_MAX as usize;
// True of every store: what a restart does to what was migrated differs, and the `status` of each store tells.

fn payload_config() -> impl bincode::config::Config {
    bincode::config::standard().with_little_endian().with_fixed_int_encoding().with_limit::<DECODED_BYTES_MAX>()
}

/// The bytes of a checkpoint file that holds `value`. `path` is for the error alone.
pub fn encode<T: Encode>(kind: Kind, path: &Path, value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; HEADER_BYTES];
    let refused = |what| Error::State {
        path: path.to_path_buf(),
        what,
        next: "report this as a defect".into(),
        damaged: false,
        source: None,
    };
    bincode::encode_into_std_write(value, &mut bytes, payload_config())
        .map_err(|e| refused(format!("the checkpoint cannot be encoded: {e}")))?;
    let payload_bytes = (bytes.len() - HEADER_BYTES) as u64;
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(refused(format!("a checkpoint of {payload_bytes} bytes is over the limit of {PAYLOAD_BYTES_MAX}")));
    }
    bytes[0..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&kind.tag);
    bytes[20..28].copy_from_slice(&payload_bytes.to_le_bytes());
    let digest = digest(&bytes);
    bytes[FIELDS_BYTES..HEADER_BYTES].copy_from_slice(&digest);
    Ok(bytes)
}

/// The value in a checkpoint file's `bytes`. Whatever is not exactly what [`encode`] writes for this `kind` is refused
/// with its reason; `path` is for the error alone.
pub fn decode<T: Decode<()>>(kind: Kind, path: &Path, bytes: &[u8]) -> Result<T, Error> {
    let payload = checked_payload(kind, path, bytes)?;
    if bytes[12..20] != kind.tag {
        let what = format!("checkpoint of another kind: {}, expected {}", name(&bytes[12..20]), name(&kind.tag));
        let next = format!("use the command that wrote it, or {}", kind.restart);
        return Err(Error::State { path: path.to_path_buf(), what, next, damaged: false, source: None });
    }
    decode_payload(kind, path, payload)
}

/// The kind of store whose checkpoint `bytes` are, and what its payload begins with: for those who look at any store.
pub fn decode_head<T: Decode<()>>(path: &Path, bytes: &[u8]) -> Result<(String, T), Error> {
    let any = Kind { tag: [0; 8], restart: "see what its own `status` says" };
    let payload = checked_payload(any, path, bytes)?;
    let (head, _) = bincode::decode_from_slice(payload, payload_config())
        .map_err(|error| not_decoded(any, path, error.to_string(), Some(Box::new(error) as Cause)))?;
    Ok((name(&bytes[12..20]), head))
}

/// The payload in a checkpoint file's `bytes`, if the file is whole and this version reads it.
fn checked_payload<'a>(kind: Kind, path: &Path, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
    let refused = |what: String, next: String, damaged| {
        let path = path.to_path_buf();
        Error::State { path, what, next, damaged, source: None }
    };
    let damaged = |what: String| refused(what, format!("{}, or restore the file from a copy", kind.restart), true);
    let magic_bytes = bytes.len().min(MAGIC.len());
    if bytes[..magic_bytes] != MAGIC[..magic_bytes] {
        return Err(damaged("not a checkpoint: it does not start with HAULCKPT".into()));
    }
    if bytes.len() >= 12 {
        match u32::from_le_bytes(array(bytes, 8)) {
            FORMAT_VERSION => {}
            0 => return Err(damaged("checkpoint damaged: format version 0 does not exist".into())),
            version => {
                let what = format!("checkpoint of format version {version}, this haul reads version {FORMAT_VERSION}");
                let next = match version {
                    // What decides a run was text then, which this version does not guess at.
                    ..FORMAT_VERSION => format!("finish it with the version that began it, or {}", kind.restart),
                    _ => "use the newer haul that wrote it".to_owned(),
                };
                return Err(refused(what, next, false));
            }
        }
    }
    if bytes.len() < HEADER_BYTES {
        return Err(damaged(format!("checkpoint torn: {} bytes of a header of {HEADER_BYTES}", bytes.len())));
    }
    let payload = &bytes[HEADER_BYTES..];
    let payload_bytes = u64::from_le_bytes(array(bytes, 20));
    if payload_bytes > payload.len() as u64 {
        return Err(damaged(format!("checkpoint torn: {} bytes of a payload of {payload_bytes}", payload.len())));
    }
    if payload_bytes < payload.len() as u64 {
        let trailing_bytes = payload.len() as u64 - payload_bytes;
        return Err(damaged(format!("checkpoint damaged: {trailing_bytes} trailing bytes")));
    }
    if digest(bytes) != bytes[FIELDS_BYTES..HEADER_BYTES] {
        return Err(damaged("checkpoint damaged: its digest does not match".into()));
    }
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(damaged(format!("checkpoint of {payload_bytes} bytes is over the limit of {PAYLOAD_BYTES_MAX}")));
    }
    Ok(payload)
}

/// Decodes a payload whose digest is right: what does not decode is not damage, but the words of another version.
fn decode_payload<T: Decode<()>>(kind: Kind, path: &Path, payload: &[u8]) -> Result<T, Error> {
    let refused = |why, source| not_decoded(kind, path, why, source);
    let (value, consumed_bytes) = bincode::decode_from_slice(payload, payload_config())
        .map_err(|error| refused(error.to_string(), Some(Box::new(error) as Cause)))?;
    match payload.len() - consumed_bytes {
        0 => Ok(value),
        trailing_bytes => Err(refused(format!("{trailing_bytes} trailing bytes in the payload"), None)),
    }
}

fn not_decoded(kind: Kind, path: &Path, why: String, source: Option<Cause>) -> Error {
    Error::State {
        path: path.to_path_buf(),
        what: format!("haul {} cannot decode this checkpoint: {why}", env!("CARGO_PKG_VERSION")),
        next: format!("use the version of haul that began the run, or {}", kind.restart),
        damaged: true,
        source,
    }
}

/// The digest over everything but itself. `bytes` holds at least a header.
fn digest(bytes: &[u8]) -> [u8; 32] {
    *blake3::Hasher::new().update(&bytes[..FIELDS_BYTES]).update(&bytes[HEADER_BYTES..]).finalize().as_bytes()
}

fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[offset..offset + N]);
    field
}

fn name(kind: &[u8]) -> String {
    let len = kind.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
    kind[..len].escape_ascii().to_string()
}

/// The checkpoint of one run: the current file and the one before it, in the run directory.
#[derive(Debug, Clone)]
pub struct CheckpointFile {
    directory: PathBuf,
    kind: Kind,
}

impl CheckpointFile {
    /// The checkpoint in `directory`, which must exist before [`store`](Self::store).
    pub fn new(directory: impl Into<PathBuf>, kind: Kind) -> Self {
        Self { directory: directory.into(), kind }
    }

    /// Where the current checkpoint is.
    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE_NAME)
    }

    /// Where the checkpoint before it is.
    pub fn previous_path(&self) -> PathBuf {
        self.directory.join(PREVIOUS_FILE_NAME)
    }

    /// The last checkpoint that was stored, `None` if there was none.
    ///
    /// The previous one is taken only where the current one is absent, which is what a crash between the two renames
    /// of [`store`](Self::store) leaves. A current one that is damaged is an error: falling back from it would hide
    /// that the medium or somebody changed a durable file.
    pub fn load<T: Decode<()>>(&self, disk: &dyn Disk) -> Result<Option<T>, Error> {
        for path in [self.path(), self.previous_path()] {
            if disk.kind(&path)?.is_none() {
                continue;
            }
            return match read_file(disk, &path, HEADER_BYTES as u64 + PAYLOAD_BYTES_MAX) {
                Ok(bytes) => decode(self.kind, &path, &bytes).map(Some),
                Err(e) if e.kind() == ErrorKind::InvalidData => {
                    let what = format!("checkpoint over the limit: {}", e.source);
                    let next = self.kind.restart.to_owned();
                    Err(Error::State { path, what, next, damaged: true, source: Some(Box::new(e)) })
                }
                Err(e) => Err(e.into()),
            };
        }
        Ok(None)
    }

    /// Replaces the checkpoint by `value`, durably. What was current becomes the previous one.
    ///
    /// A crash at any point leaves a whole checkpoint where there was one before. Of the two renames, both lost: the
    /// current name is the old one. The second lost: the current name is absent and the previous one is the old one.
    /// The first lost: the current name is the new one. The new file's bytes are synced before it gets any of these
    /// names.
    pub fn store<T: Encode>(&self, disk: &dyn Disk, value: &T) -> Result<(), Error> {
        let path = self.path();
        let bytes = encode(self.kind, &path, value)?;
        let temporary = temporary_name(&path);
        write_synced_file(disk, &temporary, Attributes::OfReplaced, |file| file.write_all_at(0, &bytes))?;
        if disk.kind(&path)?.is_some() {
            disk.rename(&path, &self.previous_path())?;
        }
        disk.rename(&temporary, &path)?;
        Ok(disk.sync_directory(&self.directory)?)
    }

    /// Removes every checkpoint, damaged ones too: what `--restart` asks for.
    ///
    /// The previous one goes first and durably, so that a crash cannot bring it back in place of the current one.
    pub fn remove(&self, disk: &dyn Disk) -> Result<(), Error> {
        let path = self.path();
        for path in [temporary_name(&path), self.previous_path(), path] {
            if disk.kind(&path)?.is_some() {
                disk.remove_file(&path)?;
                disk.sync_directory(&self.directory)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::durable::{InjectedFault, SimulatedDisk};
    use crate::migration::test_disk::{bytes_of, crash_faults, disk};

    const KIND: Kind = Kind { tag: *b"probe\0\0\0", restart: "probe again" };

    #[derive(Debug, Clone, PartialEq, Encode, Decode)]
    struct Probe {
        sequence: u64,
        names: Vec<String>,
        digest: Option<[u8; 4]>,
    }

    fn probe(sequence: u64) -> Probe {
        Probe { sequence, names: vec!["a".into(), "bc".into()], digest: Some([1, 2, 3, 4]) }
    }

    fn path() -> &'static Path {
        Path::new("checkpoint.bin")
    }

    fn encoded(sequence: u64) -> Vec<u8> {
        encode(KIND, path(), &probe(sequence)).unwrap()
    }

    /// The reason and whether it counts as damage.
    fn refusal(bytes: &[u8]) -> (String, bool) {
        match decode::<Probe>(KIND, path(), bytes).unwrap_err() {
            Error::State { what, damaged, .. } => (what, damaged),
            other => panic!("not a state error: {other}"),
        }
    }

    fn rehashed(mut bytes: Vec<u8>) -> Vec<u8> {
        let digest = digest(&bytes);
        bytes[FIELDS_BYTES..HEADER_BYTES].copy_from_slice(&digest);
        bytes
    }

    #[test]
    fn bytes_are_frozen() {
        let hex: String = encoded(7).iter().map(|b| format!("{b:02x}")).collect();
        insta::assert_snapshot!(hex, @"4841554c434b50540200000070726f62650000002800000000000000a1789b289d45da312595bd01b9690b5533aed334f40b6794897c3ed3e21221f507000000000000000200000000000000010000000000000061020000000000000062630101020304");
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        assert_eq!(decode::<Probe>(KIND, path(), &encoded(7)).unwrap(), probe(7));
    }

    #[test]
    fn every_change_of_one_byte_is_refused() {
        let bytes = encoded(7);
        for at in 0..bytes.len() {
            for mask in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                refusal(&changed);
            }
        }
    }

    #[test]
    fn every_truncation_is_refused_as_torn() {
        let bytes = encoded(7);
        for len in 0..bytes.len() {
            let (what, damaged) = refusal(&bytes[..len]);
            assert!(what.contains("torn") && damaged, "{len}: {what}");
        }
    }

    #[test]
    fn each_reason_is_named() {
        let bytes = encoded(7);
        assert_eq!(refusal(b"SQLite format 3\0"), ("not a checkpoint: it does not start with HAULCKPT".into(), true));

        let mut other = bytes.clone();
        for version in [1, 3] {
            other[8] = version;
            let what = format!("checkpoint of format version {version}, this haul reads version 2");
            assert_eq!(refusal(&other), (what, false));
        }
        other[8] = 0;
        assert_eq!(refusal(&other), ("checkpoint damaged: format version 0 does not exist".into(), true));

        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(refusal(&longer), ("checkpoint damaged: 1 trailing bytes".into(), true));

        let mut flipped = bytes.clone();
        flipped[HEADER_BYTES] ^= 1;
        assert_eq!(refusal(&flipped), ("checkpoint damaged: its digest does not match".into(), true));

        let other = encode(Kind { tag: *b"cas\0\0\0\0\0", ..KIND }, path(), &probe(7)).unwrap();
        assert_eq!(refusal(&other), ("checkpoint of another kind: cas, expected probe".into(), false));

        let mut surplus = bytes.clone();
        surplus.push(0);
        let payload_bytes = (surplus.len() - HEADER_BYTES) as u64;
        surplus[20..28].copy_from_slice(&payload_bytes.to_le_bytes());
        let (what, damaged) = refusal(&rehashed(surplus));
        assert!(what.ends_with("cannot decode this checkpoint: 1 trailing bytes in the payload") && damaged, "{what}");
    }

    #[test]
    fn a_hostile_length_inside_the_payload_allocates_nothing() {
        let mut bytes = encoded(7);
        bytes[HEADER_BYTES + 8..HEADER_BYTES + 16].copy_from_slice(&u64::MAX.to_le_bytes());
        let (what, damaged) = refusal(&rehashed(bytes));
        assert!(what.contains("cannot decode") && damaged, "{what}");
    }

    #[test]
    fn a_payload_over_the_limit_is_not_written() {
        let value = vec![0u8; PAYLOAD_BYTES_MAX as usize];
        assert!(encode(KIND, path(), &value).unwrap_err().to_string().contains("over the limit"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            decode::<Probe>(KIND, path(), &bytes).unwrap_err();
        }

        #[test]
        fn arbitrary_payloads_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = encode(KIND, path(), &()).unwrap();
            bytes[20..28].copy_from_slice(&(payload.len() as u64).to_le_bytes());
            bytes.extend_from_slice(&payload);
            let bytes = rehashed(bytes);
            if let Ok(value) = decode::<Probe>(KIND, path(), &bytes) {
                prop_assert_eq!(encode(KIND, path(), &value).unwrap(), bytes);
            }
        }

        #[test]
        fn any_value_comes_back(sequence: u64, names: Vec<String>, digest: Option<[u8; 4]>) {
            let value = Probe { sequence, names, digest };
            let bytes = encode(KIND, path(), &value).unwrap();
            prop_assert_eq!(decode::<Probe>(KIND, path(), &bytes).unwrap(), value);
        }
    }

    fn stored(sequences: &[u64]) -> (SimulatedDisk, CheckpointFile) {
        let disk = disk();
        let file = CheckpointFile::new("/run", KIND);
        for &sequence in sequences {
            file.store(&disk, &probe(sequence)).unwrap();
        }
        (disk, file)
    }

    #[test]
    fn nothing_stored_is_none() {
        let (disk, file) = stored(&[]);
        assert_eq!(file.load::<Probe>(&disk).unwrap(), None);
    }

    #[test]
    fn the_last_one_stored_is_loaded_and_the_one_before_kept() {
        let (disk, file) = stored(&[1, 2, 3]);
        assert_eq!(file.load::<Probe>(&disk).unwrap(), Some(probe(3)));
        assert_eq!(bytes_of(&disk, &file.previous_path()), encoded(2));
        assert_eq!(disk.list(Path::new("/run")).unwrap().len(), 2);
    }

    #[test]
    fn the_previous_one_serves_only_where_the_current_one_is_absent() {
        let (disk, file) = stored(&[1, 2]);
        disk.remove_file(&file.path()).unwrap();
        assert_eq!(file.load::<Probe>(&disk).unwrap(), Some(probe(1)));

        let (disk, file) = stored(&[1, 2]);
        disk.open_file(&file.path()).unwrap().set_len(70).unwrap();
        let error = file.load::<Probe>(&disk).unwrap_err();
        assert!(error.to_string().contains("torn"), "{error}");
        assert!(error.next_step().unwrap().contains(KIND.restart));
        assert_eq!(error.exit_code(), crate::migration::exit::BAD_DATA);
    }

    #[test]
    fn a_file_over_the_limit_is_refused_unread() {
        let (disk, file) = stored(&[1]);
        disk.open_file(&file.path()).unwrap().set_len(PAYLOAD_BYTES_MAX + 61).unwrap();
        assert!(file.load::<Probe>(&disk).unwrap_err().to_string().contains("over the limit"));
    }

    #[test]
    fn removal_leaves_nothing_whatever_state_the_files_are_in() {
        let (disk, file) = stored(&[1, 2]);
        disk.open_file(&file.path()).unwrap().set_len(3).unwrap();
        disk.create_file(&temporary_name(&file.path())).unwrap();
        file.remove(&disk).unwrap();
        assert_eq!(file.load::<Probe>(&disk).unwrap(), None);
        assert_eq!(disk.list(Path::new("/run")).unwrap(), []);
    }

    #[test]
    fn a_store_that_fails_at_any_operation_leaves_the_old_or_the_new() {
        for fault in InjectedFault::ALL {
            for operation in 0.. {
                let (disk, file) = stored(&[1, 2]);
                disk.fail_operation(operation, fault);
                let result = file.store(&disk, &probe(3));
                if disk.fault_is_pending() {
                    result.unwrap();
                    assert!(operation >= 6, "only {operation} operations");
                    break;
                }
                result.unwrap_err();
                let loaded = file.load::<Probe>(&disk).unwrap();
                assert!(loaded == Some(probe(2)) || loaded == Some(probe(3)), "{fault:?} {operation}: {loaded:?}");
                file.store(&disk, &probe(4)).unwrap();
                assert_eq!(file.load::<Probe>(&disk).unwrap(), Some(probe(4)));
            }
        }
    }

    /// Crashes `file.store` behind each of its operations, and the next store in what each crash left, and so on.
    /// `stored` is what the disk holds; what is in `seen` was gone through before.
    fn crash_stores(
        disk: &SimulatedDisk,
        file: &CheckpointFile,
        stored: Option<u64>,
        depth: u32,
        seen: &mut BTreeSet<BTreeMap<PathBuf, Vec<u8>>>,
    ) {
        let next = stored.unwrap_or(0) + 1;
        file.store(disk, &probe(next)).unwrap();
        let operations = disk.operations();
        for fault in crash_faults() {
            for (after, image) in disk.crash_images(fault).enumerate() {
                let loaded = file.load::<Probe>(&image).unwrap().map(|probe| probe.sequence);
                let is_new = loaded == Some(next);
                assert!(is_new || loaded == stored && after < operations, "{fault:?} behind {after}: {loaded:?}");
                if depth > 1 && seen.insert(image.snapshot()) {
                    crash_stores(&image, file, loaded, depth - 1, seen);
                }
            }
        }
    }

    #[test]
    fn a_crash_at_any_operation_leaves_the_old_or_the_new() {
        let file = CheckpointFile::new("/run", KIND);
        crash_stores(&disk(), &file, None, 4, &mut BTreeSet::new());
    }

    #[test]
    fn a_crash_during_removal_leaves_the_last_one_or_none() {
        let (disk, file) = stored(&[1, 2]);
        let stored_operations = disk.operations();
        file.remove(&disk).unwrap();
        for fault in crash_faults() {
            for after in stored_operations..=disk.operations() {
                let loaded = file.load::<Probe>(&disk.crash_image(after, fault)).unwrap();
                let is_whole = loaded == Some(probe(2)) && after < disk.operations();
                assert!(is_whole || loaded.is_none(), "{fault:?} behind {after}: {loaded:?}");
            }
        }
    }
}
