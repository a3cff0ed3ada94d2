//! An index whose last line was cut short, as a writer that crashed leaves it.

use std::path::Path;

use super::sidecar::{Sidecar, read_sidecar};
use crate::cas::format::key::Key;
use crate::cas::format::record::ObjectRecord;
use crate::cas::paths::{INDEX_NAME, blob_path, sidecar_path};
use crate::durable::{Disk, for_each_chunk};
use crate::migration::Error;
use crate::pipeline::StopToken;

/// The longest end of an index that is searched for a newline.
const TAIL_BYTES_MAX: u64 = 64 << 10;

/// Copies the complete lines of the store's index. A torn last line is replaced by the line of its object, if it still
/// has the key.
pub fn copy_index(
    disk: &dyn Disk,
    store: &Path,
    stop: &StopToken,
    mut out: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let path = store.join(INDEX_NAME);
    let file = disk.open_for_read(&path)?;
    let tail_start = torn_tail_start(disk, &path)?;
    let read = |offset, chunk: &mut [u8]| Ok(file.read_exact_at(offset, chunk)?);
    for_each_chunk(0..tail_start, &stop.check(), read, |_, chunk| out(chunk))?;
    if let Some(record) = torn_record(disk, store)? {
        let mut line = Vec::with_capacity(320);
        record.push_json(&mut line);
        line.push(b'\n');
        out(&line)?;
    }
    Ok(())
}

/// Returns the record of a torn last line, if its object is complete all the same. The object was durable before its
/// line was appended, so a crash that tore the line has usually not lost the object.
pub fn torn_record(disk: &dyn Disk, store: &Path) -> Result<Option<ObjectRecord>, Error> {
    let path = store.join(INDEX_NAME);
    let tail_start = torn_tail_start(disk, &path)?;
    let file = disk.open_for_read(&path)?;
    let mut tail = vec![0; usize::try_from(file.len()? - tail_start).expect("a tail is short")];
    file.read_exact_at(tail_start, &mut tail)?;
    digest_in(&tail).map_or(Ok(None), |key| sidecar_record(disk, store, key))
}

/// Fails if the index of the store has no line end that can be found.
pub fn check_index(disk: &dyn Disk, store: &Path) -> Result<(), Error> {
    torn_tail_start(disk, &store.join(INDEX_NAME)).map(|_| ())
}

/// Returns where the last line begins if it is torn, else the length of the file.
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

/// Returns the key in a line that may be cut short after it.
fn digest_in(line: &[u8]) -> Option<Key> {
    let text = line.strip_prefix(br#"{"digest":""#)?;
    Key::parse(text.get(..64)?).filter(|_| text.get(64) == Some(&b'"'))
}

fn sidecar_record(disk: &dyn Disk, store: &Path, key: Key) -> Result<Option<ObjectRecord>, Error> {
    if disk.kind(&blob_path(store, key))?.is_none() {
        return Ok(None);
    }
    Ok(match read_sidecar(disk, &sidecar_path(store, key))? {
        Sidecar::Parsed(parsed) => Some(parsed.record).filter(|record| record.digest == key),
        Sidecar::Faulty { .. } | Sidecar::Missing | Sidecar::NotAFile => None,
    })
}
