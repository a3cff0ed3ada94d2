//! Decoding any bytes ends, in small steps, and compressed content is decoded to the same bytes.

use haul::cas::format::frame::{Compressor, DecodeError, compress_stream, decode, level_is_valid, looks_like_zstd};

use crate::support::edits::edited;

/// No piece of content is longer.
const PIECE_BYTES_MAX: usize = 128 << 10;
/// A few bytes can represent zeros that take minutes to decode.
const CONTENT_BYTES_MAX: usize = 8 << 20;

pub fn fuzz(bytes: &[u8]) {
    let Some((&how, rest)) = bytes.split_first() else { return };
    let level = i32::from(how >> 2) % 22 + 1;
    assert!(level_is_valid(level));
    match how & 0x03 {
        0 => _ = content_of(rest),
        1 => _ = content_of(&[&[0x28, 0xB5, 0x2F, 0xFD], rest].concat()),
        2 => check_round_trip(rest, level),
        _ => {
            let (content, script) = rest.split_at(rest.len() / 2);
            let _ = content_of(&edited(&compressed(content, level), script));
        }
    }
}

/// The content, unless it is refused or too large.
fn content_of(stored: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    let end = decode(stored, &mut Vec::new(), |piece| {
        assert!(piece.len() <= PIECE_BYTES_MAX);
        content.extend_from_slice(piece);
        if content.len() > CONTENT_BYTES_MAX { Err(()) } else { Ok(()) }
    });
    match end {
        Ok(len) => {
            assert_eq!(len, content.len() as u64);
            assert!(looks_like_zstd(stored));
            Some(content)
        }
        Err(DecodeError::Frame { offset, .. }) => {
            assert!(offset <= stored.len() as u64);
            None
        }
        Err(DecodeError::Sink(())) => None,
        Err(DecodeError::Io(error)) => panic!("memory does not fail: {error}"),
    }
}

fn compressed(content: &[u8], level: i32) -> Vec<u8> {
    let mut frame = Vec::new();
    Compressor::new().compress(content, level, &mut frame);
    frame
}

fn check_round_trip(content: &[u8], level: i32) {
    let one_shot = compressed(content, level);
    assert_eq!(content_of(&one_shot).as_deref(), Some(content));
    let mut streamed = Vec::new();
    compress_stream(content, content.len() as u64, level, &mut streamed).expect("memory does not fail");
    assert_eq!(content_of(&streamed).as_deref(), Some(content));
    let twice = [one_shot, streamed].concat();
    assert_eq!(content_of(&twice), Some(content.repeat(2)));
}
