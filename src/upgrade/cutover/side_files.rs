//! The files that SQLite keeps next to a database. They belong to the bytes of one file: applied to another one, they
//! destroy it.

use std::path::{Path, PathBuf};

use crate::durable::{Disk, DiskError};

/// What SQLite adds to the name of a database.
pub const ENDINGS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Returns the names that the side files of a database have.
pub fn names(database: &Path) -> [PathBuf; 3] {
    ENDINGS.map(|ending| {
        let mut name = database.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    })
}

/// Removes the side files of a database. Returns true if there were any; their removal is not durable yet.
pub fn remove(disk: &dyn Disk, database: &Path) -> Result<bool, DiskError> {
    let mut is_removed = false;
    for path in names(database) {
        if disk.kind(&path)?.is_some() {
            disk.remove_file(&path)?;
            is_removed = true;
        }
    }
    Ok(is_removed)
}
