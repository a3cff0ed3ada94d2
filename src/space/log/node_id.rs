//! From the string id of an Engram record to the id of its node.
//!
//! The rule is spelt out here instead of left to a library, so that the ids of migrated nodes never change with an
//! update (docs/source-engram.md, "Node ids").

use uuid::Uuid;

/// Returns the node id of a record's id, taken exactly as it is: the UUID that it spells in one of four forms, else the
/// name-based UUID of its bytes.
///
/// The forms are 8-4-4-4-12 hexadecimal digits, 32 digits without hyphens, the hyphenated form in braces, and the
/// hyphenated form after `urn:uuid:`; digits and prefix in any case, of any version.
#[inline]
pub fn node_id(id: &str) -> Uuid {
    spelt_uuid(id.as_bytes()).unwrap_or_else(|| uuid_v5_of(id))
}

/// Returns the version 5 UUID of the id's UTF-8 bytes in the OID namespace, whatever the id looks like.
pub fn uuid_v5_of(id: &str) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes())
}

/// Returns whether the id spells a UUID itself, so that [`node_id`] does not depend on a name-based one.
pub fn spells_uuid(id: &str) -> bool {
    spelt_uuid(id.as_bytes()).is_some()
}

/// Returns the first 16 bytes of the BLAKE3 digest of the id's exact bytes: tells apart ids that share a node id.
#[inline]
pub fn id_digest(id: &str) -> [u8; 16] {
    let mut digest = [0; 16];
    digest.copy_from_slice(&blake3::hash(id.as_bytes()).as_bytes()[..16]);
    digest
}

fn spelt_uuid(id: &[u8]) -> Option<Uuid> {
    match id {
        [b'{', inner @ .., b'}'] if id.len() == 38 => hyphenated(inner),
        _ if id.len() == 36 => hyphenated(id),
        _ if id.len() == 32 => Some(Uuid::from_bytes(hex(id)?)),
        _ if id.len() == 45 && id[..9].eq_ignore_ascii_case(b"urn:uuid:") => hyphenated(&id[9..]),
        _ => None,
    }
}

/// Decodes exactly 36 bytes with hyphens where they belong.
fn hyphenated(text: &[u8]) -> Option<Uuid> {
    if [text[8], text[13], text[18], text[23]] != *b"----" {
        return None;
    }
    let mut digits = [0; 32];
    digits[..8].copy_from_slice(&text[..8]);
    digits[8..12].copy_from_slice(&text[9..13]);
    digits[12..16].copy_from_slice(&text[14..18]);
    digits[16..20].copy_from_slice(&text[19..23]);
    digits[20..].copy_from_slice(&text[24..]);
    hex(&digits).map(Uuid::from_bytes)
}

/// Decodes exactly 32 hexadecimal digits.
fn hex(digits: &[u8]) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    let mut seen = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let (high, low) = (HEX[usize::from(pair[0])], HEX[usize::from(pair[1])]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen & NOT_HEX == 0).then_some(bytes)
}

const NOT_HEX: u8 = 0x80;

/// The value of each byte as a hexadecimal digit, or [`NOT_HEX`].
const HEX: [u8; 256] = {
    let mut table = [NOT_HEX; 256];
    let mut value = 0;
    while value < 16 {
        table[b"0123456789abcdef"[value] as usize] = value as u8;
        table[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SPELT: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

    #[test]
    fn four_forms_spell_one_uuid() {
        let expected = Uuid::from_u128(0xf47a_c10b_58cc_4372_a567_0e02_b2c3_d479);
        let simple = SPELT.replace('-', "");
        for form in [
            SPELT.to_owned(),
            SPELT.to_uppercase(),
            simple.clone(),
            simple.to_uppercase(),
            format!("{{{SPELT}}}"),
            format!("urn:uuid:{SPELT}"),
            format!("URN:UUID:{SPELT}"),
            format!("uRn:Uuid:{}", SPELT.to_uppercase()),
        ] {
            assert_eq!(node_id(&form), expected, "{form}");
            assert!(spells_uuid(&form));
        }
        assert_eq!(node_id("00000000-0000-0000-0000-000000000000"), Uuid::nil());
        assert_eq!(node_id("FFFFFFFF-ffff-ffff-ffff-ffffffffffff"), Uuid::max());
        assert_eq!(
            node_id("12345678901234567890123456789012"),
            Uuid::from_u128(0x1234_5678_9012_3456_7890_1234_5678_9012)
        );
    }

    #[test]
    fn anything_else_is_named_by_its_bytes() {
        for (id, expected) in [
            ("episode_000123", "6b1165e6-2ff4-5aa1-84ba-aacf6131db8a"),
            ("", "0a68eb57-c88a-5f34-9e9d-27f85e68af4f"),
            ("42", "ba293c61-ad33-57b9-9671-f3319f57d789"),
            ("a\0b", "7b3b400f-4415-5958-a230-454632df1c5d"),
            ("ünïcödé/記憶/🧠", "c849bc7a-086f-55f9-b593-fb4ff4b16aa8"),
            (" f47ac10b-58cc-4372-a567-0e02b2c3d479", "3d43e2c2-6587-5626-b988-d5323f66e0d8"),
        ] {
            assert_eq!(node_id(id).to_string(), expected, "{id:?}");
        }
        let simple = SPELT.replace('-', "");
        for id in [
            format!("{SPELT}\n"),
            format!("{{{simple}}}"),
            format!("urn:uuid:{simple}"),
            format!("{{{SPELT}"),
            format!("{SPELT}}}"),
            format!("urn-uuid:{SPELT}"),
            simple[1..].to_owned(),
            SPELT.replace('c', "g"),
            SPELT.replace('-', "_"),
            "f47ac10b58cc-4372-a567-0e02-b2c3d479".to_owned(),
            "é".repeat(18),
            "é".repeat(16),
        ] {
            assert!(!spells_uuid(&id), "{id:?}");
            assert_eq!(node_id(&id), uuid_v5_of(&id));
        }
    }

    #[test]
    fn digests_tell_spellings_apart() {
        assert_ne!(id_digest(SPELT), id_digest(&SPELT.to_uppercase()));
        assert_eq!(id_digest("")[..4], [0xaf, 0x13, 0x49, 0xb9]);
    }

    proptest! {
        #[test]
        fn the_library_agrees(id in "(urn:uuid:|\\{)?[0-9a-fA-F]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}\\}?") {
            prop_assert_eq!(spelt_uuid(id.as_bytes()), Uuid::parse_str(&id).ok());
        }

        #[test]
        fn arbitrary_ids_never_panic(id in "\\PC{0,50}") {
            prop_assert_eq!(spells_uuid(&id), Uuid::parse_str(&id).is_ok());
        }
    }
}
