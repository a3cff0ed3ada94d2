//! Takes the bytes of the fuzzer for a list of changes to something valid, so that most of it stays valid.

/// `template` with the changes that `script` describes, eight bytes each.
pub fn edited(template: &[u8], script: &[u8]) -> Vec<u8> {
    let mut bytes = template.to_vec();
    for edit in script.as_chunks::<8>().0 {
        apply(&mut bytes, *edit);
    }
    bytes
}

fn apply(bytes: &mut Vec<u8>, [what, place @ .., a, b, c, d]: [u8; 8]) {
    if bytes.is_empty() {
        return;
    }
    let place = u32::from_le_bytes([place[0], place[1], place[2], 0]) as usize;
    // Headers and rows stand at the front, and deserve more than their share.
    let range = if what & 0x80 == 0 { bytes.len() } else { bytes.len().min(2048) };
    let at = place % range;
    let value = u32::from_le_bytes([a, b, c, d]);
    match what & 0x07 {
        0 => bytes[at] = a,
        1 => bytes[at] ^= 1 << (a & 7),
        2 => put(bytes, at & !3, &value.to_le_bytes()),
        3 => put(bytes, at & !7, &u64::from(value).to_le_bytes()),
        4 => put(bytes, at & !7, &u64::from(value).wrapping_neg().to_le_bytes()),
        5 => bytes.truncate(at),
        6 => drop(bytes.drain(at..at.saturating_add(usize::from(a)).min(bytes.len()))),
        _ => drop(bytes.splice(at..at, [b; 16].into_iter().take(usize::from(a % 17)))),
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}
