//! Reads single records of the source again: for comparing duplicates and naming ids.

use super::layout::RowKind;
use super::replay_key::Candidate;
use crate::migration::Error;
use crate::space::log::bincode_reader::RangeCheck;
use crate::space::log::episode::{EpisodeView, same_fields};
use crate::space::log::memory::MemoryView;
use crate::space::log::source::WalSource;
use crate::space::log::wal::{HEADER_BYTES, WalHeader};

/// Random access to the records of a source.
pub struct RecordLookup<'a> {
    source: &'a WalSource,
}

impl<'a> RecordLookup<'a> {
    /// Access to the records of `source`.
    pub fn new(source: &'a WalSource) -> Self {
        Self { source }
    }

    /// Returns the name of a source file.
    pub fn file_name(&self, file: u32) -> &str {
        &self.source.names()[file as usize]
    }

    /// Returns the bytes of header and payload.
    pub fn total_bytes(&self, record: &Candidate) -> Result<u64, Error> {
        Ok(HEADER_BYTES as u64 + u64::from(self.header(record)?.payload_len_bytes))
    }

    /// Returns the id string of a record.
    pub fn id_of(&self, record: &Candidate) -> Result<String, Error> {
        let payload = self.payload(record)?;
        let id = match record.kind {
            RowKind::Delete => std::str::from_utf8(&payload).ok().map(str::to_owned),
            RowKind::Memory => MemoryView::parse(&payload, RangeCheck::Keep).ok().map(|view| view.id.to_owned()),
            _ => EpisodeView::parse(&payload, RangeCheck::Keep).ok().map(|view| view.id.to_owned()),
        };
        id.ok_or_else(|| self.changed(record))
    }

    /// Returns true if two episodes have equal fields, maps compared by key.
    pub fn same_fields(&self, a: &Candidate, b: &Candidate) -> Result<bool, Error> {
        let (a_bytes, b_bytes) = (self.payload(a)?, self.payload(b)?);
        if a_bytes == b_bytes {
            return Ok(true);
        }
        let a_view = EpisodeView::parse(&a_bytes, RangeCheck::Keep).map_err(|_| self.changed(a))?;
        let b_view = EpisodeView::parse(&b_bytes, RangeCheck::Keep).map_err(|_| self.changed(b))?;
        Ok(same_fields(&a_view, &b_view))
    }

    /// Returns the payload of a record.
    pub fn payload(&self, record: &Candidate) -> Result<Vec<u8>, Error> {
        let header = self.header(record)?;
        let file = &self.source.files()[record.file as usize];
        // The header was framed: its payload lies within the file.
        let mut payload = vec![0; header.payload_len_bytes as usize];
        file.read_exact_at(record.offset + HEADER_BYTES as u64, &mut payload)?;
        Ok(payload)
    }

    fn header(&self, record: &Candidate) -> Result<WalHeader, Error> {
        let file = &self.source.files()[record.file as usize];
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(record.offset, &mut bytes)?;
        let header = WalHeader::parse(&bytes).map_err(|_| self.changed(record))?;
        let payload_end = record.offset + HEADER_BYTES as u64 + u64::from(header.payload_len_bytes);
        if payload_end > file.identity().len_bytes {
            return Err(self.changed(record));
        }
        Ok(header)
    }

    fn changed(&self, record: &Candidate) -> Error {
        Error::SourceChanged {
            path: self.source.directory().join(self.file_name(record.file)),
            what: format!("the record at offset {} is not what it was", record.offset),
        }
    }
}
