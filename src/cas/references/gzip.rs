//! Unpacks gzip files within limits, and packs a text like the one it replaces.

use std::io::{self, BufReader, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder, GzHeader};

use super::failure::RewriteFailure;
use super::original::Original;
use super::windows::{first_bytes, read_at};
use crate::durable::{DiskError, DiskFile, WindowError};
use crate::pipeline::StopToken;

/// The first bytes of a gzip file whose data are deflated.
pub(super) const GZIP_START: [u8; 3] = [0x1F, 0x8B, 8];
/// Where the header says how hard the compression tried, and what it says there.
const EFFORT_AT: usize = 8;
const EFFORT_BEST: u8 = 2;
const EFFORT_FAST: u8 = 4;
/// Bytes of one read or write.
const PIECE_BYTES: usize = 256 << 10;
/// A gzip file may unpack to this many bytes, or to this many times its length if that is more. A few kilobytes can stand
/// for gigabytes that nobody wrote.
const UNPACKED_BYTES_MIN: u64 = 16 << 20;
const UNPACKED_RATIO_MAX: u64 = 200;

/// A gzip file to unpack.
pub(super) struct Unpacking<'a> {
    original: &'a dyn Original,
    stop: &'a StopToken,
    unpacked_bytes_max: u64,
}

impl<'a> Unpacking<'a> {
    /// Limits what a file unpacks to by its length.
    pub(super) fn of(original: &'a dyn Original, stop: &'a StopToken) -> Self {
        let unpacked_bytes_max = UNPACKED_BYTES_MIN.max(original.len_bytes().saturating_mul(UNPACKED_RATIO_MAX));
        Self { original, stop, unpacked_bytes_max }
    }

    /// Passes pieces of the unpacked text to `take` until that returns false, and returns the header of the first member.
    pub(super) fn each(
        &self,
        take: &mut dyn FnMut(&[u8]) -> Result<bool, RewriteFailure>,
    ) -> Result<Option<GzHeader>, RewriteFailure> {
        let bytes = OriginalBytes { original: self.original, offset: 0, stop: self.stop, fault: None };
        let mut decoder = MultiGzDecoder::new(BufReader::with_capacity(PIECE_BYTES, bytes));
        let (mut piece, mut unpacked_bytes) = (vec![0; PIECE_BYTES], 0);
        // The decoder forgets the header of a member at its end.
        let mut header = None;
        loop {
            // Little to read can be much to unpack.
            if self.stop.is_requested() {
                return Err(RewriteFailure::Stopped);
            }
            let read = match decoder.read(&mut piece) {
                Ok(0) => return Ok(header),
                Ok(read) => read,
                Err(error) => {
                    let fault = decoder.get_mut().get_mut().fault.take();
                    let damaged = || RewriteFailure::Refused(format!("not a whole gzip file: {error}"));
                    return Err(fault.unwrap_or_else(damaged));
                }
            };
            header = header.or_else(|| decoder.header().cloned());
            unpacked_bytes += read as u64;
            if unpacked_bytes > self.unpacked_bytes_max {
                let max = self.unpacked_bytes_max;
                return Err(RewriteFailure::Refused(format!(
                    "it unpacks to more than {max} bytes; unpack it, rewrite the text, and pack it again"
                )));
            }
            if !take(&piece[..read])? {
                return Ok(header);
            }
        }
    }
}

/// Packs a text into a new file.
pub(super) struct Packer<'f> {
    encoder: GzEncoder<FileOut<'f>>,
    stop: &'f StopToken,
    text: blake3::Hasher,
    text_bytes: u64,
}

impl<'f> Packer<'f> {
    /// Packs like another file: with the name, the time and the comment of its first member, and as hard.
    pub(super) fn like(
        original: &dyn Original,
        stop: &'f StopToken,
        target: &'f dyn DiskFile,
    ) -> Result<Self, RewriteFailure> {
        let level = match first_bytes(original, EFFORT_AT as u64 + 1)?.last() {
            Some(&EFFORT_BEST) => Compression::best(),
            Some(&EFFORT_FAST) => Compression::fast(),
            _ => Compression::default(),
        };
        let header = Unpacking::of(original, stop).each(&mut |_| Ok(false))?;
        let builder = header.map_or_else(GzBuilder::new, |header| builder_like(&header));
        let out = FileOut { file: target, offset: 0, fault: None };
        Ok(Self { encoder: builder.write(out, level), stop, text: blake3::Hasher::new(), text_bytes: 0 })
    }

    /// Appends a piece of the text.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), RewriteFailure> {
        self.text.update(piece);
        self.text_bytes += piece.len() as u64;
        self.encoder.write_all(piece).map_err(|error| self.encoder.get_mut().failure(&error))
    }

    /// Writes what is left, and unpacks the new file to prove that it has the text.
    pub(super) fn finish(mut self) -> Result<(), RewriteFailure> {
        self.encoder.try_finish().map_err(|error| self.encoder.get_mut().failure(&error))?;
        let out = self.encoder.get_ref();
        let written = Written { file: out.file, len_bytes: out.offset };
        let mut unpacked = blake3::Hasher::new();
        let unpacking = Unpacking { original: &written, stop: self.stop, unpacked_bytes_max: self.text_bytes };
        unpacking.each(&mut |piece| {
            unpacked.update(piece);
            Ok(true)
        })?;
        if unpacked.finalize() != self.text.finalize() {
            return Err(RewriteFailure::Refused("the new file does not unpack to what was packed".into()));
        }
        Ok(())
    }
}

/// Returns a header with what another one says.
fn builder_like(header: &GzHeader) -> GzBuilder {
    let mut builder = GzBuilder::new().mtime(header.mtime()).operating_system(header.operating_system());
    if let Some(name) = header.filename() {
        builder = builder.filename(name);
    }
    if let Some(comment) = header.comment() {
        builder = builder.comment(comment);
    }
    if let Some(extra) = header.extra() {
        builder = builder.extra(extra);
    }
    builder
}

/// A file that is written from its start to its end.
struct FileOut<'f> {
    file: &'f dyn DiskFile,
    offset: u64,
    fault: Option<DiskError>,
}

impl FileOut<'_> {
    fn failure(&mut self, error: &io::Error) -> RewriteFailure {
        match self.fault.take() {
            Some(fault) => fault.into(),
            None => RewriteFailure::Refused(format!("cannot compress: {error}")),
        }
    }
}

impl Write for FileOut<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(fault) = self.file.write_all_at(self.offset, bytes) {
            self.fault = Some(fault);
            return Err(io::Error::other("a write failed"));
        }
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file that was just written, which nobody else knows.
struct Written<'a> {
    file: &'a dyn DiskFile,
    len_bytes: u64,
}

impl Original for Written<'_> {
    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn names(&self) -> u64 {
        1
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), WindowError> {
        Ok(self.file.read_exact_at(offset, buffer)?)
    }

    fn check_unchanged(&self) -> Result<(), WindowError> {
        Ok(())
    }
}

/// The bytes of a file as a stream that looks for a stop.
struct OriginalBytes<'a> {
    original: &'a dyn Original,
    offset: u64,
    stop: &'a StopToken,
    fault: Option<RewriteFailure>,
}

impl Read for OriginalBytes<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.original.len_bytes() - self.offset;
        let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = match self.stop.is_requested() {
            true => Err(RewriteFailure::Stopped),
            false => read_at(self.original, self.offset, &mut buffer[..len]).map_err(RewriteFailure::from),
        };
        if let Err(fault) = read {
            self.fault = Some(fault);
            return Err(io::Error::other("a read failed"));
        }
        self.offset += len as u64;
        Ok(len)
    }
}
