//! Writes zstd frames as the reference writes them: with the content size, without a checksum.

use std::io::{self, Read, Write};

use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective::{ZSTD_e_continue, ZSTD_e_end};
use zstd::zstd_safe::{CCtx, CParameter, ErrorCode, InBuffer, OutBuffer, compress_bound, get_error_name};

/// The level of the reference.
pub const LEVEL_DEFAULT: i32 = 3;
const LEVEL_MAX: i32 = 22;

/// Content that is handed to the library at once. It influences the bytes of the frame, so it must not change.
const CONTENT_STEP_BYTES: usize = 128 << 10;
const STORED_STEP_BYTES: usize = 128 << 10;

/// Returns true for the levels 1 to 22.
pub fn level_is_valid(level: i32) -> bool {
    (1..=LEVEL_MAX).contains(&level)
}

/// Compresses contents one after the other. Keep one for each thread: its tables cost more than compressing a small
/// content.
pub struct Compressor(CCtx<'static>);

impl Compressor {
    /// Creates a compressor, which has no tables yet.
    pub fn new() -> Self {
        Self(CCtx::create())
    }

    /// Replaces `out` by one frame of `content`, made in one call, with the content size and without a checksum.
    pub fn compress(&mut self, content: &[u8], level: i32, out: &mut Vec<u8>) {
        out.clear();
        out.reserve(compress_bound(content.len()));
        self.0.compress(out, content, level).expect("the output has room for any content");
    }
}

impl Default for Compressor {
    fn default() -> Self {
        Self::new()
    }
}

/// Writes one frame of the `len_bytes` of `content` to `out`, with the content size and without a checksum, and returns
/// the length of the frame. For content that should not be held in memory. The bytes may differ from those of
/// [`Compressor::compress`], and are always the same for the same content and level. Content that is shorter or longer
/// is an `InvalidData` error.
pub fn compress_stream(mut content: impl Read, len_bytes: u64, level: i32, mut out: impl Write) -> io::Result<u64> {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::CompressionLevel(level)).map_err(library_error)?;
    context.set_pledged_src_size(Some(len_bytes)).map_err(library_error)?;
    let mut piece = Vec::with_capacity(CONTENT_STEP_BYTES);
    let mut stored = vec![0; STORED_STEP_BYTES];
    let (mut taken_bytes, mut stored_bytes) = (0, 0);
    loop {
        piece.clear();
        // Pieces are filled completely, whatever `content` returns at once: the same content must always give the same
        // frame.
        let wanted = (len_bytes - taken_bytes).min(CONTENT_STEP_BYTES as u64);
        content.by_ref().take(wanted).read_to_end(&mut piece)?;
        taken_bytes += piece.len() as u64;
        if (piece.len() as u64) < wanted {
            return Err(wrong_length(format!("content of {len_bytes} bytes ends after {taken_bytes}")));
        }
        let is_last = taken_bytes == len_bytes;
        stored_bytes += compress_piece(&mut context, &piece, is_last, &mut stored, &mut out)?;
        if is_last {
            break;
        }
    }
    if content.by_ref().take(1).read_to_end(&mut piece)? > 0 {
        return Err(wrong_length(format!("content continues after {len_bytes} bytes")));
    }
    Ok(stored_bytes)
}

fn compress_piece(
    context: &mut CCtx<'_>,
    piece: &[u8],
    is_last: bool,
    stored: &mut [u8],
    out: &mut impl Write,
) -> io::Result<u64> {
    let mut piece = InBuffer::around(piece);
    let mut stored_bytes = 0;
    loop {
        let mut step = OutBuffer::around(&mut *stored);
        let directive = if is_last { ZSTD_e_end } else { ZSTD_e_continue };
        let left = context.compress_stream2(&mut step, &mut piece, directive).map_err(library_error)?;
        let given = step.pos();
        out.write_all(&stored[..given])?;
        stored_bytes += given as u64;
        let is_done = if is_last { left == 0 } else { piece.pos() == piece.src.len() };
        if is_done {
            return Ok(stored_bytes);
        }
    }
}

fn library_error(code: ErrorCode) -> io::Error {
    io::Error::other(get_error_name(code).to_lowercase())
}

fn wrong_length(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
