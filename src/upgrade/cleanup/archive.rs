//! An archive of rows: JSON lines, with the digest of the file in its manifest.

use std::path::{Path, PathBuf};

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::durable::{Attributes, Disk, DiskFile, NEVER, file_digest, replace_file_with};
use crate::migration::Error;

const BUFFER_BYTES: usize = 64 << 10;

/// A whole archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The file.
    pub path: PathBuf,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of it.
    pub bytes: u64,
    /// BLAKE3 of it.
    pub blake3: String,
}

/// Writes rows into an archive.
pub struct ArchiveWriter<'a> {
    file: &'a dyn DiskFile,
    buffer: Vec<u8>,
    offset: u64,
    rows: u64,
}

impl ArchiveWriter<'_> {
    /// Writes a file with what `fill` puts into it, in one step that is durable on return. Who may read `database` may
    /// read it.
    pub fn write(
        disk: &dyn Disk,
        path: &Path,
        database: &Path,
        fill: impl FnOnce(&mut ArchiveWriter<'_>) -> Result<(), Error>,
    ) -> Result<Archive, Error> {
        let mut rows = 0;
        replace_file_with(disk, path, Attributes::Of(database), |file| -> Result<(), Error> {
            let mut writer = ArchiveWriter { file, buffer: Vec::new(), offset: 0, rows: 0 };
            fill(&mut writer)?;
            writer.flush()?;
            rows = writer.rows;
            Ok(())
        })?;
        let (blake3, bytes) = digest_of(disk, path)?;
        Ok(Archive { path: path.to_path_buf(), rows, bytes, blake3 })
    }

    /// Adds a row: an object with the columns by name. Bytes are `{"blob": "hex"}`; secrets are left out.
    pub fn row(&mut self, kind: &str, row: &Row<'_>, columns: &[String], secret: &[String]) -> Result<(), Error> {
        let mut object = Map::new();
        for (index, column) in columns.iter().enumerate() {
            let value = row.get_ref(index).map_or(Value::Null, json);
            let value = if secret.contains(column) { Value::String("***".into()) } else { value };
            object.insert(column.clone(), value);
        }
        let line = serde_json::json!({ kind: object });
        self.buffer.extend_from_slice(line.to_string().as_bytes());
        self.buffer.push(b'\n');
        self.rows += 1;
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.file.write_all_at(self.offset, &self.buffer)?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => serde_json::Number::from_f64(number).map_or(Value::Null, Value::Number),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
        ValueRef::Blob(bytes) => {
            serde_json::json!({ "blob": bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>() })
        }
    }
}

fn digest_of(disk: &dyn Disk, path: &Path) -> Result<(String, u64), Error> {
    let found = file_digest(disk, path, NEVER)?;
    Ok((blake3::Hash::from_bytes(found.digest).to_hex().to_string(), found.len_bytes))
}

/// Reads an archive again. Fails if it is not what was written.
pub fn check(disk: &dyn Disk, archive: &Archive) -> Result<(), Error> {
    if digest_of(disk, &archive.path)? == (archive.blake3.clone(), archive.bytes) {
        return Ok(());
    }
    Err(Error::Verification {
        what: format!("cleanup: {} is not what was written to it", archive.path.display()),
        next: "check the disk, then `haul upgrade cleanup` again; nothing was deleted".into(),
        source: None,
    })
}
