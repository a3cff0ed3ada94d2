//! In any text, cut into any pieces, the same references are found and the same text results. What a map of
//! one generation rewrites, it restores byte for byte.

use std::convert::Infallible;
use std::sync::LazyLock;

use haul::cas::Algorithm;
use haul::cas::format::digest::key_of;
use haul::cas::map::{KeyMap, MapRow};
use haul::cas::references::{Direction, Reference, Resolution, Resolver, Rewriter, Scanner};

use crate::support::key_map::{disk, write};

/// Contents that the maps know; as many again are referred to that they do not.
const CONTENTS: u8 = 8;

pub fn fuzz(bytes: &[u8]) {
    let Some((&how, script)) = bytes.split_first() else { return };
    let algorithm = Algorithm::from_number(how & 3).expect("one of four");
    let (cuts, script) = script.split_at(script.len().min(usize::from(how >> 2)));
    let text = text(algorithm, script);
    let pieces = pieces(&text, cuts);

    let whole = scan(&[&text]);
    assert_eq!(scan(&pieces), whole);
    for reference in &whole {
        let found = &text[reference.offset as usize..reference.end() as usize];
        if reference.spelling.is_kept && !reference.spelling.is_upper {
            assert!(found.ends_with(&reference.key.text()), "{reference:?}");
        }
    }

    let map = &MAPS[algorithm as usize];
    let mut forward = Resolver::new(map, Direction::Forward, None).expect("a resolver");
    let mut back = Resolver::new(map, Direction::Reverse, None).expect("a resolver");
    let there = rewritten(&mut forward, &[&text]);
    assert_eq!(rewritten(&mut forward, &pieces), there);
    // A new key that was there before the migration would count as a key that the migration made.
    let is_current = |reference: &Reference| {
        forward.resolve(reference.scheme, reference.key).expect("a sound map") == Resolution::Current
    };
    let is_restored = whole.iter().all(|reference| reference.spelling.is_kept);
    if is_restored && (algorithm == Algorithm::Cas || !whole.iter().any(is_current)) {
        assert_eq!(rewritten(&mut back, &[&there]), text);
    }
}

static MAPS: LazyLock<[KeyMap; 4]> = LazyLock::new(|| Algorithm::ALL.map(map_of));

/// The map of the first contents, whose old keys are all by one algorithm.
fn map_of(algorithm: Algorithm) -> KeyMap {
    let row = |content: u8| MapRow {
        old_key: key_of(algorithm, &[content]),
        old_algorithm: algorithm,
        new_key: key_of(Algorithm::Cas, &[content]),
        size: 1,
    };
    write(&disk(), 1 << 20, &(0..CONTENTS).map(row).collect::<Vec<_>>())
}

/// The bytes of the fuzzer, in which some bytes are replaced by keys and schemes.
fn text(algorithm: Algorithm, script: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for &byte in script {
        match byte {
            0xC0..=0xCF => text.extend_from_slice(&key_of(algorithm, &[byte % (2 * CONTENTS)]).text()),
            0xD0..=0xD3 => {
                let scheme = Algorithm::from_number(byte & 3).expect("one of four");
                text.extend_from_slice(format!("{scheme}:").as_bytes());
            }
            0xD4 => text.extend_from_slice(&key_of(Algorithm::Cas, &[1]).text()),
            0xD5 => text.extend_from_slice(&[b'a'; 63]),
            _ => text.push(byte),
        }
    }
    text
}

fn pieces<'a>(text: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut rest = text;
    let mut pieces = Vec::new();
    for &cut in cuts {
        let (piece, after) = rest.split_at(usize::from(cut).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

fn scan(pieces: &[&[u8]]) -> Vec<Reference> {
    let (mut scanner, mut found) = (Scanner::new(), Vec::new());
    for piece in pieces {
        let Ok(()) = scanner.push(piece, |reference| {
            found.push(reference);
            Ok::<_, Infallible>(())
        });
    }
    found.extend(scanner.finish());
    found
}

fn rewritten(resolver: &mut Resolver<'_>, pieces: &[&[u8]]) -> Vec<u8> {
    let mut rewriter = Rewriter::new(resolver);
    let mut out = Vec::new();
    pieces.iter().for_each(|piece| rewriter.push(piece, &mut out).expect("a sound map"));
    rewriter.finish(&mut out).expect("a sound map");
    out
}
