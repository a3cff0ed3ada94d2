//! The rows of a map as text for other programs.

use std::io::{self, Write};

use super::reader::KeyMap;
use super::row::{HEADER_LINE, MapRow};
use crate::durable::DiskError;
use crate::migration::Error;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 64 << 10;

impl KeyMap {
    /// Writes one JSON object a line, with the names of the four columns, and returns how many.
    pub fn export_jsonl(&self, out: &mut dyn Write) -> Result<u64, Error> {
        self.export(out, b"", |row, buffer| {
            serde_json::to_writer(&mut *buffer, row).expect("a buffer takes any row");
            buffer.push(b'\n');
        })
    }

    /// Writes the map as it is, line by line, and returns the number of rows.
    pub fn export_tsv(&self, out: &mut dyn Write) -> Result<u64, Error> {
        self.export(out, HEADER_LINE, MapRow::push_line)
    }

    fn export(&self, out: &mut dyn Write, head: &[u8], push: impl Fn(&MapRow, &mut Vec<u8>)) -> Result<u64, Error> {
        let mut buffer = head.to_vec();
        let mut rows = 0;
        for found in self.rows() {
            push(&found?.row, &mut buffer);
            rows += 1;
            if buffer.len() >= BUFFER_BYTES {
                self.hand_over(out, &mut buffer)?;
            }
        }
        self.hand_over(out, &mut buffer)?;
        Ok(rows)
    }

    fn hand_over(&self, out: &mut dyn Write, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let failed = |e: io::Error| DiskError::new("write out the rows of", self.path(), e);
        out.write_all(buffer).and_then(|()| out.flush()).map_err(failed)?;
        buffer.clear();
        Ok(())
    }
}
