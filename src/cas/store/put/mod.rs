//! Puts one object into a v2 store, durable on return (docs/source-requiem.md, "Writing an object").
//!
//! The steps, in this order: take the lock of everything in haul that writes to the store
//! ([`StorePaths::run_directory`], or the store itself where this user may not write next to it); create the empty index and the directories of a new store; write the content under
//! a temporary name and hash it; sync it, rename it to the blob and sync its directory; do the same for the sidecar;
//! append the line to the index and sync it. After a crash, the same put completes the object.
//!
//! Temporary files are `objects/.tmp_0` to `.tmp_2`. Only one put writes at a time, so the next put knows the names
//! that a crashed one left, and removes the files.

mod append;
mod existing;
mod incoming;
mod options;
mod prepare;

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::append::{append_line, read_index_tail};
use self::existing::existing_object;
use self::incoming::{ReceivedContent, receive};
use self::prepare::{check_store, create_store};
use crate::cas::format::encoding::Compress;
use crate::cas::format::record::ObjectRecord;
use crate::cas::paths::StorePaths;
use crate::durable::{Attributes, Disk, DiskError, NewModes, create_directory_durable, write_synced_file};
use crate::migration::{Error, StoreLock};

pub use self::options::PutOptions;

/// What a put found and did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PutEnd {
    /// The object as the store has it now. An object that existed keeps its encoding and its time.
    #[serde(flatten)]
    pub record: ObjectRecord,
    /// False if the blob existed and is intact.
    pub blob_written: bool,
    /// False if the sidecar existed and is right.
    pub sidecar_written: bool,
    /// False if the index listed the object as it is.
    pub index_line_written: bool,
    /// True if the index ended without a newline and was completed.
    pub index_tail_ended: bool,
}

/// Puts all `content`, which errors call `name`, into the store in `root`. A store that does not exist is created.
///
/// # Errors
/// [`Error::Conflict`] if the key has other content, [`Error::Usage`] if `root` is not a store, [`Error::Verification`]
/// if it has objects and no index, [`Error::Locked`] if another run writes to it.
pub fn put(
    disk: &dyn Disk,
    root: &Path,
    content: &mut dyn Read,
    name: &Path,
    options: PutOptions,
) -> Result<PutEnd, Error> {
    let paths = StorePaths::new(root);
    // An object that an administrator puts belongs to the store's owner, like the others.
    let limited = disk.limited(NewModes::ANY.like(&paths.objects(), &paths.index()));
    let disk = limited.as_deref().unwrap_or(disk);
    // Checked before the lock, so that nothing is created next to a directory that is not a store, and again under the
    // lock.
    check_store(disk, &paths)?;
    let run = paths.run_directory()?;
    let _lock = StoreLock::take(disk, &run, root)?;
    check_store(disk, &paths)?;
    create_store(disk, &paths)?;
    let opened = paths.opened(disk)?;
    let disk = opened.as_deref().unwrap_or(disk);
    remove_temporary_files(disk, &paths)?;
    let end = receive(disk, &Temporary::Content.path(&paths), content, name)
        .and_then(|incoming| put_received(disk, &paths, &incoming, options));
    match end {
        Ok(end) => remove_temporary_files(disk, &paths).map(|()| end).map_err(Error::from),
        Err(error) => {
            // The reason for the failure matters more than the temporary files, which the next put removes.
            let _ = remove_temporary_files(disk, &paths);
            Err(error)
        }
    }
}

/// The temporary files of a put.
#[derive(Clone, Copy)]
enum Temporary {
    Content,
    Compressed,
    Sidecar,
}

impl Temporary {
    fn path(self, paths: &StorePaths) -> PathBuf {
        paths.objects().join(format!(".tmp_{}", self as u8))
    }
}

fn remove_temporary_files(disk: &dyn Disk, paths: &StorePaths) -> Result<(), DiskError> {
    for temporary in [Temporary::Content, Temporary::Compressed, Temporary::Sidecar] {
        let path = temporary.path(paths);
        if disk.kind(&path)?.is_some() {
            disk.remove_file(&path)?;
        }
    }
    Ok(())
}

fn put_received(
    disk: &dyn Disk,
    paths: &StorePaths,
    incoming: &ReceivedContent,
    options: PutOptions,
) -> Result<PutEnd, Error> {
    let tail = read_index_tail(disk, &paths.index(), incoming.key)?;
    let (record, blob_written, sidecar_written) = match existing_object(disk, paths, incoming, &tail, options)? {
        Some(existing) => (existing.record, false, !existing.sidecar_is_right),
        None => (write_blob(disk, paths, incoming, options)?, true, true),
    };
    if sidecar_written {
        write_sidecar(disk, paths, &record)?;
    }
    // Also for an object that existed: its writer may have crashed before the sync.
    create_directory_durable(disk, &paths.shard(record.digest))?;
    disk.sync_directory(&paths.shard(record.digest))?;
    let index_line_written = append_line(disk, &paths.index(), &tail, &record)?;
    Ok(PutEnd { record, blob_written, sidecar_written, index_line_written, index_tail_ended: tail.is_torn() })
}

fn write_blob(
    disk: &dyn Disk,
    paths: &StorePaths,
    incoming: &ReceivedContent,
    options: PutOptions,
) -> Result<ObjectRecord, Error> {
    let content = Temporary::Content.path(paths);
    let (record, blob) = match options.compress {
        Compress::AsStored | Compress::Identity => (incoming.identity_record(options.created_at), content),
        Compress::Zstd(level) => {
            let compressed = Temporary::Compressed.path(paths);
            (incoming.compress(disk, &content, &compressed, level, options.created_at)?, compressed)
        }
    };
    disk.open_file(&blob)?.sync()?;
    create_directory_durable(disk, &paths.shard(record.digest))?;
    disk.rename(&blob, &paths.blob(record.digest))?;
    disk.sync_directory(&paths.shard(record.digest))?;
    Ok(record)
}

fn write_sidecar(disk: &dyn Disk, paths: &StorePaths, record: &ObjectRecord) -> Result<(), DiskError> {
    let mut text = Vec::new();
    record.push_json(&mut text);
    let temporary = Temporary::Sidecar.path(paths);
    write_synced_file(disk, &temporary, Attributes::OfReplaced, |file| file.write_all_at(0, &text))?;
    disk.rename(&temporary, &paths.sidecar(record.digest))
}

#[cfg(test)]
mod tests;
