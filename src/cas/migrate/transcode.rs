//! Changes the encoding of an object's blob during a migration (docs/source-requiem.md, "zstd"). The key stays the
//! same, because it is the key of the content.

use std::io::{Read, Write};
use std::ops::Range;

use super::converted::{Blob, ConvertScratch};
use super::large_blobs::{BlobStaging, FileWriter, StagedBlob};
use crate::cas::format::digest::{CAS_PREFIX, ContentHasher, blake3_key};
use crate::cas::format::encoding::{Compress, Encoding};
use crate::cas::format::frame::{DecodeError, compress_stream, decode};
use crate::cas::format::key::{Algorithm, Key};
use crate::cas::format::record::ObjectRecord;
use crate::cas::source::bytes::{Bytes, BytesReader, ReadFault};
use crate::cas::source::reader::INLINE_BYTES_MAX;
use crate::migration::Error;
use crate::pipeline::{StopToken, start_thread};

/// How far a batch may grow beyond the memory that it was admitted with. Content may be longer than its frames, which
/// the reader cannot know.
const OVERDRAFT_BYTES: u64 = 8 << 20;

/// Gives blobs the encoding that a run asks for.
pub struct Transcoder<'a> {
    /// How blobs are encoded in the target.
    pub compress: Compress,
    /// Where large blobs go; `None` in a dry run, which only hashes them.
    pub staging: Option<&'a BlobStaging>,
    /// Looked at inside of large blobs.
    pub stop: &'a StopToken,
}

impl Transcoder<'_> {
    /// Returns true if a blob of that encoding stays as it is.
    pub fn keeps(&self, encoding: Encoding) -> bool {
        match self.compress {
            Compress::AsStored => true,
            Compress::Identity => encoding == Encoding::Identity,
            Compress::Zstd(_) => false,
        }
    }

    /// Transcodes the blob `stored` to the end of `bytes`. The new blob takes its place if the content is small and the
    /// batch, which was admitted with `memory_bytes`, has the memory; else it goes into the file of item `number`.
    pub fn in_memory(
        &self,
        scratch: &mut ConvertScratch,
        bytes: &mut Vec<u8>,
        stored: Range<usize>,
        record: ObjectRecord,
        number: u64,
        memory_bytes: u64,
    ) -> Result<(ObjectRecord, Blob), Error> {
        if record.original_size > INLINE_BYTES_MAX - CAS_PREFIX.len() as u64 {
            let blob = bytes.split_off(stored.start);
            return self.through_a_file(&blob, record, number);
        }
        let mut blob = Vec::new();
        let content = match record.encoding {
            Encoding::Identity => &bytes[stored.clone()],
            Encoding::Zstd => &scratch.identify.decoded[CAS_PREFIX.len()..],
        };
        let encoding = match self.compress {
            Compress::Zstd(level) => {
                scratch.compressor.compress(content, level, &mut blob);
                Encoding::Zstd
            }
            Compress::AsStored | Compress::Identity => {
                blob.extend_from_slice(content);
                Encoding::Identity
            }
        };
        bytes.truncate(stored.start);
        let (stored_size, stored_blob_hash) = (blob.len() as u64, blake3_key(&blob));
        let record = ObjectRecord { encoding, stored_size, stored_blob_hash, ..record };
        Ok((record, self.keep(bytes, &blob, number, memory_bytes)?))
    }

    /// Puts a new blob after the others of its batch or, if the batch is beyond its memory, into a file.
    fn keep(&self, bytes: &mut Vec<u8>, blob: &[u8], number: u64, memory_bytes: u64) -> Result<Blob, Error> {
        let start = bytes.len();
        if (start + blob.len()) as u64 <= memory_bytes + OVERDRAFT_BYTES {
            bytes.extend_from_slice(blob);
            return Ok(Blob::Bytes(start..bytes.len()));
        }
        let Some(staging) = self.staging else { return Ok(Blob::Hashed) };
        let staged = staging.create(number)?;
        staged.file.write_all_at(0, blob)?;
        Ok(staged.into_blob())
    }

    /// Transcodes a blob of any length into a file.
    pub fn through_a_file(
        &self,
        stored: &dyn Bytes,
        record: ObjectRecord,
        number: u64,
    ) -> Result<(ObjectRecord, Blob), Error> {
        let staged = self.staging.map(|staging| staging.create(number)).transpose()?;
        let mut out = Hashing {
            hasher: ContentHasher::new(&[Algorithm::Blake3]),
            file: staged.as_ref().map(|staged| FileWriter::new(&*staged.file)),
            stop: self.stop,
        };
        let encoding = match self.compress {
            Compress::Zstd(level) => {
                compress(stored, &record, level, &mut out)?;
                Encoding::Zstd
            }
            Compress::AsStored | Compress::Identity => {
                write_content(stored, &record, &mut out)?;
                Encoding::Identity
            }
        };
        let (stored_size, stored_blob_hash) = out.finish()?;
        let blob = staged.map_or(Blob::Hashed, StagedBlob::into_blob);
        Ok((ObjectRecord { encoding, stored_size, stored_blob_hash, ..record }, blob))
    }
}

/// Hashes the bytes and writes them, if they are kept.
struct Hashing<'a> {
    hasher: ContentHasher,
    file: Option<FileWriter<'a>>,
    stop: &'a StopToken,
}

impl Hashing<'_> {
    fn finish(mut self) -> Result<(u64, Key), Error> {
        self.flush().map_err(|_| self.error())?;
        let digests = self.hasher.finish();
        Ok((digests.len_bytes, digests.get(Algorithm::Blake3).expect("it was requested")))
    }

    /// Returns why a write failed.
    fn error(&mut self) -> Error {
        match self.file.as_mut().and_then(|file| file.fault.take()) {
            Some(error) => Error::Disk(error),
            None if self.stop.is_requested() => ReadFault::Stopped.into(),
            None => Error::Accounting { what: "a blob that was identified could not be decoded again".into() },
        }
    }
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.stop.is_requested() {
            return Err(std::io::Error::other("a stop was requested"));
        }
        self.hasher.update(bytes);
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}

fn write_content(stored: &dyn Bytes, record: &ObjectRecord, out: &mut Hashing<'_>) -> Result<(), Error> {
    let mut reader = reader(stored)?;
    let mut frame = Vec::new();
    let result = match record.encoding {
        Encoding::Identity => std::io::copy(&mut reader, out).map(|_| ()).map_err(DecodeError::Io),
        Encoding::Zstd => decode(&mut reader, &mut frame, |piece| out.write_all(piece)).map(|_| ()),
    };
    result.map_err(|_| read_error(&mut reader).unwrap_or_else(|| out.error()))
}

fn compress(stored: &dyn Bytes, record: &ObjectRecord, level: i32, out: &mut Hashing<'_>) -> Result<(), Error> {
    let mut reader = reader(stored)?;
    let result = match record.encoding {
        Encoding::Identity => compress_stream(&mut reader, record.original_size, level, &mut *out),
        Encoding::Zstd => {
            // The decoder pushes its content and the encoder pulls it. A pipe in memory with a thread at each end joins them.
            let (sender, receiver) = crossbeam_channel::bounded::<Vec<u8>>(2);
            std::thread::scope(|scope| {
                let decoding = start_thread(scope, "haul-decode", || {
                    let sender = sender;
                    let mut frame = Vec::new();
                    decode(&mut reader, &mut frame, |piece| sender.send(piece.to_vec())).map(|_| ())
                })
                .map_err(std::io::Error::other)?;
                let pieces = Pieces { receiver, piece: Vec::new(), taken: 0 };
                let compressed = compress_stream(pieces, record.original_size, level, &mut *out);
                let decoded = decoding.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                match (compressed, decoded) {
                    (Ok(bytes), Ok(())) => Ok(bytes),
                    (Err(error), _) => Err(error),
                    (_, Err(error)) => Err(std::io::Error::other(error.to_string())),
                }
            })
        }
    };
    result.map(|_| ()).map_err(|_| read_error(&mut reader).unwrap_or_else(|| out.error()))
}

/// Content that another thread decodes.
struct Pieces {
    receiver: crossbeam_channel::Receiver<Vec<u8>>,
    piece: Vec<u8>,
    taken: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.taken == self.piece.len() {
            let Ok(piece) = self.receiver.recv() else { return Ok(0) };
            (self.piece, self.taken) = (piece, 0);
        }
        let count = buffer.len().min(self.piece.len() - self.taken);
        buffer[..count].copy_from_slice(&self.piece[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

fn reader(stored: &dyn Bytes) -> Result<BytesReader<'_>, Error> {
    Ok(BytesReader::new(stored)?)
}

fn read_error(reader: &mut BytesReader<'_>) -> Option<Error> {
    reader.fault.take().map(Error::from)
}
