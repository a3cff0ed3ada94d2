//! Writes the rows of a map for other programs.

use std::io::{self, Write};

use super::reader::KeyMap;
use super::row::{HEADER_LINE, MapRow};
use crate::durable::DiskError;
use crate::migration::Error;

/// Bytes that are collected before they are written.
const BUFFER_BYTES: usize = 64 << 10;

impl KeyMap {
    /// Writes one JSON object for each line, with the names of the four columns, and returns their number.
    pub fn export_jsonl(&self, out: &mut dyn Write) -> Result<u64, Error> {
        self.export(out, b"", |_, row, buffer| {
            push_json(row, buffer);
            buffer.push(b'\n');
        })
    }

    /// Writes one JSON array of the same objects and returns their number.
    pub fn export_json(&self, out: &mut dyn Write) -> Result<u64, Error> {
        let rows = self.export(out, b"[", |index, row, buffer| {
            buffer.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
            push_json(row, buffer);
        })?;
        self.hand_over(out, &mut b"\n]\n".to_vec())?;
        Ok(rows)
    }

    /// Writes the map as it is, line by line, and returns the number of rows.
    pub fn export_tsv(&self, out: &mut dyn Write) -> Result<u64, Error> {
        self.export(out, HEADER_LINE, |_, row, buffer| row.push_line(buffer))
    }

    fn export(
        &self,
        out: &mut dyn Write,
        head: &[u8],
        push: impl Fn(u64, &MapRow, &mut Vec<u8>),
    ) -> Result<u64, Error> {
        let mut buffer = head.to_vec();
        let mut rows = 0;
        for found in self.rows() {
            push(rows, &found?.row, &mut buffer);
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

fn push_json(row: &MapRow, buffer: &mut Vec<u8>) {
    serde_json::to_writer(buffer, row).expect("a buffer takes any row");
}
