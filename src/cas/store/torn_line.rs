//! An index whose last line was cut short, as a writer that died leaves it.

use std::path::Path;

use crate::cas::format::key::Key;
use crate::cas::format::record::{ObjectRecord, parse};
use crate::cas::paths::{INDEX_NAME, blob_path, sidecar_path};
use crate::durable::{Disk, for_each_chunk, read_file};
use crate::migration::Error;

/// The longest tail of an index that is looked into.
const TAIL_BYTES_MAX: u64 = 64 << 10;
/// Longer sidecars are none.
const SIDECAR_BYTES_MAX: u64 = 64 << 10;

/// Copies the whole lines of the store's index. A last line that was cut short is replaced by that of its object, if it
/// still says which.
pub fn copy_index(disk: &dyn Disk, store: &Path, mut out: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let path = store.join(INDEX_NAME);
    let file = disk.open_for_read(&path)?;
    let tail_start = torn_tail_start(disk, &path)?;
    for_each_chunk(0..tail_start, |offset, chunk| Ok(file.read_exact_at(offset, chunk)?), |_, chunk| out(chunk))?;
    if let Some(record) = torn_record(disk, store)? {
        let mut line = Vec::with_capacity(320);
        record.push_json(&mut line);
        line.push(b'\n');
        out(&line)?;
    }
    Ok(())
}

/// What the last line of the store's index says, if it was cut short and its object is there all the same.
pub fn torn_record(disk: &dyn Disk, store: &Path) -> Result<Option<ObjectRecord>, Error> {
    let path = store.join(INDEX_NAME);
    let tail_start = torn_tail_start(disk, &path)?;
    let file = disk.open_for_read(&path)?;
    let mut tail = vec![0; usize::try_from(file.len()? - tail_start).expect("a tail is short")];
    file.read_exact_at(tail_start, &mut tail)?;
    Ok(digest_in(&tail).and_then(|key| sidecar_record(disk, store, key)))
}

/// Fails if the index of the store is none whose end can be found.
pub fn check_index(disk: &dyn Disk, store: &Path) -> Result<(), Error> {
    torn_tail_start(disk, &store.join(INDEX_NAME)).map(|_| ())
}

/// Where the last line begins if it is not ended, else the length of the file.
pub fn torn_tail_start(disk: &dyn Disk, path: &Path) -> Result<u64, Error> {
    let file = disk.open_for_read(path)?;
    let len_bytes = file.len()?;
    let start = len_bytes.saturating_sub(TAIL_BYTES_MAX);
    let mut tail = vec![0; usize::try_from(len_bytes - start).expect("a tail is short")];
    file.read_exact_at(start, &mut tail)?;
    match tail.iter().rposition(|&byte| byte == b'\n') {
        Some(at) => Ok(start + at as u64 + 1),
        None if start == 0 => Ok(0),
        None => Err(Error::Corrupt {
            path: path.to_path_buf(),
            offset: start,
            what: "no line ends in the last 64 KiB".into(),
            next: "run `haul cas verify --repair` on the target first".into(),
            source: None,
        }),
    }
}

/// The key that a line names, also where the line is cut short behind it.
fn digest_in(line: &[u8]) -> Option<Key> {
    let text = line.strip_prefix(br#"{"digest":""#)?;
    Key::parse(text.get(..64)?).filter(|_| text.get(64) == Some(&b'"'))
}

fn sidecar_record(disk: &dyn Disk, store: &Path, key: Key) -> Option<ObjectRecord> {
    disk.kind(&blob_path(store, key)).ok()??;
    let bytes = read_file(disk, &sidecar_path(store, key), SIDECAR_BYTES_MAX).ok()?;
    parse(&bytes).ok().map(|parsed| parsed.record).filter(|record| record.digest == key)
}
