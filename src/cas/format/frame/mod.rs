//! The zstd of blobs (docs/source-requiem.md, "zstd"): decodes any number of frames and skippable frames as a stream,
//! and writes frames as the reference does.

mod compress;

use std::io::{self, ErrorKind, Read};

use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd::zstd_safe::{DCtx, ErrorCode, InBuffer, OutBuffer, get_error_name, get_frame_content_size};

pub use compress::{Compressor, LEVEL_DEFAULT, compress_stream, level_is_valid};

/// First bytes of every frame of content.
const FRAME_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// First bytes of every skippable frame, except for the low half of the first byte.
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2A, 0x4D, 0x18];

/// Longest header of a frame.
const HEADER_BYTES_MAX: usize = 18;

/// Stored bytes that one step reads, at most.
const STORED_STEP_BYTES: usize = 128 << 10;
/// Content that one step gives, at most: a block of zstd.
const CONTENT_STEP_BYTES: usize = 128 << 10;

/// Returns true if `bytes` begin like a frame or a skippable frame. Content that is not compressed may begin like that
/// too.
pub fn looks_like_zstd(bytes: &[u8]) -> bool {
    let Some(&magic) = bytes.first_chunk::<4>() else { return false };
    magic == FRAME_MAGIC || [magic[0] & 0xF0, magic[1], magic[2], magic[3]] == SKIPPABLE_MAGIC
}

/// Why stored bytes could not be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError<E> {
    /// The stored bytes are not zstd, or not complete.
    #[error("zstd frame at offset {offset}: {what}")]
    Frame {
        /// Where the frame begins in the stored bytes.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The sink returned an error.
    #[error(transparent)]
    Sink(E),
    /// The stored bytes could not be read.
    #[error(transparent)]
    Io(io::Error),
}

/// Gives the content of all frames in `stored` to `sink`, in pieces of 128 KiB at most, and returns its length.
///
/// Frames of any level, with or without content size and checksum, and skippable frames may follow each other in any
/// order. Skippable frames alone are empty content. Trailing garbage, a frame that ends early and no frame at all are
/// errors. `buffer` is scratch space that grows to 256 KiB. Apart from it, memory is bounded by zstd's default limit of
/// 128 MiB for the window of a frame, whatever sizes the frames claim; a frame that needs more is refused.
pub fn decode<R: Read, E>(
    mut stored: R,
    buffer: &mut Vec<u8>,
    mut sink: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, DecodeError<E>> {
    buffer.resize(STORED_STEP_BYTES + CONTENT_STEP_BYTES, 0);
    let (input, output) = buffer.split_at_mut(STORED_STEP_BYTES);
    let mut decoder = Decoder::new();
    let mut pending: &[u8] = &[];
    let mut content_bytes = 0;
    loop {
        if pending.is_empty() {
            let read = read_some(&mut stored, input).map_err(DecodeError::Io)?;
            pending = &input[..read];
            if read == 0 && !decoder.in_frame {
                decoder.check_any_frame()?;
                return Ok(content_bytes);
            }
        }
        let stored_ended = pending.is_empty();
        let content = decoder.step(&mut pending, output)?;
        if stored_ended && content.is_empty() && decoder.in_frame {
            return Err(decoder.fault("it ends early"));
        }
        content_bytes += content.len() as u64;
        sink(content).map_err(DecodeError::Sink)?;
    }
}

/// A decoder and its position in the stored bytes.
struct Decoder {
    context: DCtx<'static>,
    taken_bytes: u64,
    in_frame: bool,
    frame_offset: u64,
    frame_content_bytes: u64,
    /// The first bytes of the frame: at least its header once the frame has ended.
    frame_head: Vec<u8>,
}

impl Decoder {
    fn new() -> Self {
        Self {
            context: DCtx::create(),
            taken_bytes: 0,
            in_frame: false,
            frame_offset: 0,
            frame_content_bytes: 0,
            frame_head: Vec::with_capacity(HEADER_BYTES_MAX),
        }
    }

    /// Decodes some of `pending`, nothing beyond the end of the frame, and returns the content that it gave, if any.
    fn step<'o, E>(&mut self, pending: &mut &[u8], output: &'o mut [u8]) -> Result<&'o [u8], DecodeError<E>> {
        let mut stored = InBuffer::around(pending);
        let mut content = OutBuffer::around(&mut *output);
        let wanted = self.context.decompress_stream(&mut content, &mut stored);
        let (taken, given) = (stored.pos(), content.pos());
        let wanted = wanted.map_err(|code| self.fault(&describe(code)))?;
        let (taken, rest) = pending.split_at(taken);
        *pending = rest;
        let head_missing = HEADER_BYTES_MAX - self.frame_head.len();
        self.frame_head.extend_from_slice(&taken[..taken.len().min(head_missing)]);
        self.taken_bytes += taken.len() as u64;
        self.frame_content_bytes += given as u64;
        self.in_frame = wanted != 0;
        if !self.in_frame {
            self.end_frame()?;
        }
        Ok(&output[..given])
    }

    /// Checks what the library does not check in a stream whose last block is empty: the content size in the frame's
    /// header.
    fn end_frame<E>(&mut self) -> Result<(), DecodeError<E>> {
        let claimed = get_frame_content_size(&self.frame_head).unwrap_or(None);
        if let Some(claimed) = claimed.filter(|&claimed| claimed != self.frame_content_bytes) {
            let given = self.frame_content_bytes;
            return Err(self.fault(&format!("it claims {claimed} bytes of content and holds {given}")));
        }
        self.frame_head.clear();
        self.frame_content_bytes = 0;
        self.frame_offset = self.taken_bytes;
        Ok(())
    }

    fn check_any_frame<E>(&self) -> Result<(), DecodeError<E>> {
        if self.taken_bytes == 0 { Err(self.fault("there are no bytes, not even an empty frame")) } else { Ok(()) }
    }

    fn fault<E>(&self, what: &str) -> DecodeError<E> {
        DecodeError::Frame { offset: self.frame_offset, what: what.into() }
    }
}

/// Returns the library's error in words, and words of our own where the library's are not clear.
fn describe(code: ErrorCode) -> String {
    let is = |known: ZSTD_ErrorCode| code == (known as usize).wrapping_neg();
    if is(ZSTD_ErrorCode::ZSTD_error_prefix_unknown) {
        "neither a frame nor a skippable frame begins here".into()
    } else if is(ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge) {
        "it needs a window of more than 128 MiB".into()
    } else {
        get_error_name(code).to_lowercase()
    }
}

fn read_some(stored: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stored.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
