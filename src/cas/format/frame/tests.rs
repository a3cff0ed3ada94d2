use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

const EMPTY_AT_LEVEL_3: [u8; 9] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0x00, 0x01, 0x00, 0x00];

fn decoded(stored: impl Read) -> Result<Vec<u8>, DecodeError<Infallible>> {
    let mut content = Vec::new();
    let len = decode(stored, &mut Vec::new(), |piece| {
        assert!(piece.len() <= CONTENT_STEP_BYTES);
        content.extend_from_slice(piece);
        Ok(())
    })?;
    assert_eq!(len, content.len() as u64);
    Ok(content)
}

fn fault(stored: &[u8]) -> (u64, String) {
    match decoded(stored) {
        Err(DecodeError::Frame { offset, what }) => (offset, what),
        other => panic!("{other:?}"),
    }
}

fn compressed(content: &[u8], level: i32) -> Vec<u8> {
    let mut out = b"what was there".to_vec();
    Compressor::new().compress(content, level, &mut out);
    out
}

fn streamed(content: &[u8], level: i32) -> Vec<u8> {
    let mut out = Vec::new();
    let len = compress_stream(content, content.len() as u64, level, &mut out).unwrap();
    assert_eq!(len, out.len() as u64);
    out
}

fn skippable(nibble: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    [&[0x50 | nibble, 0x2A, 0x4D, 0x18][..], &len.to_le_bytes(), payload].concat()
}

/// A frame with a checksum and without content size, as `zstd` writes it from a pipe.
fn piped(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.include_contentsize(false).unwrap();
    io::copy(&mut &*content, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

/// Reads one byte at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(1);
        self.0.read(&mut buffer[..len])
    }
}

#[test]
fn both_magics_are_known() {
    assert!(looks_like_zstd(&EMPTY_AT_LEVEL_3));
    for nibble in 0..16 {
        assert!(looks_like_zstd(&skippable(nibble, b"")));
    }
    for other in [&b""[..], b"\x28\xB5\x2F", b"\x28\xB5\x2F\xFC", b"\x60\x2A\x4D\x18", b"(not zstd)"] {
        assert!(!looks_like_zstd(other), "{other:x?}");
    }
}

#[test]
fn empty_content_is_the_frame_of_the_specification() {
    assert_eq!(compressed(b"", LEVEL_DEFAULT), EMPTY_AT_LEVEL_3);
    assert_eq!(streamed(b"", LEVEL_DEFAULT), EMPTY_AT_LEVEL_3);
    assert_eq!(decoded(&EMPTY_AT_LEVEL_3[..]).unwrap(), b"");
}

#[test]
fn frames_carry_their_content_size_and_no_checksum() {
    for content in [noise(0), noise(1), noise(300), noise(300_000), vec![0; 3 << 20]] {
        for stored in [compressed(&content, 3), streamed(&content, 3)] {
            let size = zstd::zstd_safe::get_frame_content_size(&stored).unwrap();
            assert_eq!(size, Some(content.len() as u64));
            assert_eq!(stored[4] & 0x04, 0, "a checksum");
            assert_eq!(decoded(&*stored).unwrap(), content);
        }
    }
}

#[test]
fn frames_of_every_kind_follow_each_other() {
    let text = b"text ".repeat(60_000);
    let random = noise(300_000);
    let parts = [
        (skippable(0, b"in front"), &b""[..]),
        (compressed(&text, 22), &*text),
        (piped(&random), &*random),
        (skippable(15, &noise(200_000)), b""),
        (streamed(&text, 1), &*text),
        (EMPTY_AT_LEVEL_3.to_vec(), b""),
        (skippable(7, b""), b""),
    ];
    let stored: Vec<u8> = parts.iter().flat_map(|(stored, _)| stored.clone()).collect();
    let content: Vec<u8> = parts.iter().flat_map(|(_, content)| content.to_vec()).collect();
    assert_eq!(decoded(&*stored).unwrap(), content);
    assert_eq!(decoded(Drip(&stored)).unwrap(), content);
    assert_eq!(decoded(&*skippable(3, b"alone")).unwrap(), b"");
}

#[test]
fn a_small_blob_of_many_zeros_comes_in_steps() {
    let zeros = 1 << 28;
    let stored = {
        let mut out = Vec::new();
        compress_stream(io::repeat(0).take(zeros), zeros, 3, &mut out).unwrap();
        out
    };
    assert!(stored.len() < 32 << 10);
    let mut buffer = Vec::new();
    let len = decode(&*stored, &mut buffer, |piece| {
        assert!(piece.len() <= CONTENT_STEP_BYTES && piece.iter().all(|&byte| byte == 0));
        Ok::<_, Infallible>(())
    });
    assert_eq!(len.unwrap(), zeros);
    assert_eq!(buffer.len(), STORED_STEP_BYTES + CONTENT_STEP_BYTES);
}

#[test]
fn faults_name_the_frame() {
    let first = compressed(b"first", 3);
    let second = piped(&noise(1000));
    let at = first.len() as u64;
    assert_eq!(fault(b"").0, 0);
    assert!(fault(b"").1.contains("there are no bytes"));
    assert!(fault(b"plain content").1.contains("neither a frame"));

    for garbage in [&b"\0"[..], b"garbage", b"\0\0\0\0"] {
        let (offset, what) = fault(&[&first, garbage].concat());
        assert_eq!(offset, at, "{what}");
    }
    for cut in 1..second.len() {
        let (offset, what) = fault(&[&first, &second[..cut]].concat());
        assert_eq!((offset, &*what), (at, "it ends early"), "cut at {cut}");
    }
    let mut flipped = [&*first, &second].concat();
    *flipped.last_mut().unwrap() ^= 1;
    let (offset, what) = fault(&flipped);
    assert!(offset == at && what.contains("checksum"), "{offset} {what}");
    assert_eq!(fault(&skippable(0, b"cut")[..9]), (0, "it ends early".into()));
}

#[test]
fn sizes_in_a_frame_allocate_nothing() {
    let claims_exabytes = [&FRAME_MAGIC[..], &[0xC0, 0x38], &(1_u64 << 60).to_le_bytes(), &[1, 0, 0]].concat();
    assert_eq!(fault(&claims_exabytes), (0, format!("it claims {} bytes of content and holds 0", 1_u64 << 60)));
    let huge_window = [&FRAME_MAGIC[..], &[0x00, (28 - 10) << 3], &[1, 0, 0]].concat();
    assert_eq!(fault(&huge_window), (0, "it needs a window of more than 128 MiB".into()));
    let allowed_window = [&FRAME_MAGIC[..], &[0x00, (27 - 10) << 3], &[1, 0, 0]].concat();
    assert_eq!(decoded(&*allowed_window).unwrap(), b"");
}

#[test]
fn errors_of_both_sides_come_through() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    assert!(matches!(decoded(Broken), Err(DecodeError::Io(e)) if e.to_string() == "broken"));
    let refusing = decode(&*compressed(b"content", 3), &mut Vec::new(), |_| Err("full"));
    assert!(matches!(refusing, Err(DecodeError::Sink("full"))));
}

#[test]
fn content_of_another_length_is_refused() {
    for len in [0, 4, 6, 1 << 20] {
        let error = compress_stream(&b"hello"[..], len, 3, io::sink()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{len}: {error}");
    }
}

#[test]
fn the_stream_does_not_depend_on_how_content_is_read() {
    let content = [noise(200_000), b"text ".repeat(40_000)].concat();
    let mut dripped = Vec::new();
    compress_stream(Drip(&content), content.len() as u64, 3, &mut dripped).unwrap();
    assert!(dripped == streamed(&content, 3));
}

#[test]
fn levels_end_at_22() {
    let valid: Vec<i32> = (-5..30).filter(|&level| level_is_valid(level)).collect();
    assert_eq!(valid, (1..=22).collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn content_comes_back(content: Vec<u8>, repeats in 1_usize..500, level in 1..=22) {
        let content = content.repeat(repeats);
        let stored = compressed(&content, level);
        prop_assert!(looks_like_zstd(&stored));
        prop_assert_eq!(decoded(&*stored).unwrap(), &*content);
        prop_assert_eq!(decoded(&*streamed(&content, level)).unwrap(), content);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = decoded(&*bytes);
        let _ = decoded(&*[&FRAME_MAGIC[..], &bytes].concat());
    }
}
