//! Checksums that other runners keep of their files.

use sha2::{Digest, Sha256, Sha384};

use super::forms::Sum;

/// Returns true if `recorded` is the checksum of `text`, which has LF at its line ends; the file may have had CR LF.
pub(super) fn is_of(sum: Sum, recorded: &str, text: &str) -> bool {
    let with_both_ends = |digest: fn(&[u8]) -> String| {
        let recorded = recorded.to_ascii_lowercase();
        digest(text.as_bytes()) == recorded || digest(text.replace('\n', "\r\n").as_bytes()) == recorded
    };
    match sum {
        // haul compares its own with that of the whole migration.
        Sum::None | Sum::Haul => true,
        Sum::FlywayCrc32 => recorded == flyway_crc32(text).to_string(),
        Sum::Sha256 => with_both_ends(|bytes| hex(&Sha256::digest(bytes))),
        Sum::Sha384 => with_both_ends(|bytes| hex(&Sha384::digest(bytes))),
    }
}

/// Returns the CRC-32 of all lines without their ends, as the signed number that Flyway stores.
fn flyway_crc32(text: &str) -> i32 {
    let mut crc = crc32fast::Hasher::new();
    text.lines().for_each(|line| crc.update(line.as_bytes()));
    crc.finalize().cast_signed()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_other_runners_do_without_line_ends() {
        let text = "CREATE TABLE a (x INT);\n-- end\n";
        // The CRC-32 of the text "123456789" is 0xCBF43926 by its definition.
        assert_eq!(flyway_crc32("1234\n56789\n"), 0xCBF4_3926_u32.cast_signed());
        let crlf = hex(&Sha384::digest(text.replace('\n', "\r\n").as_bytes()));
        assert!(is_of(Sum::Sha384, &crlf, text) && is_of(Sum::Sha384, &crlf.to_uppercase(), text));
        assert!(is_of(Sum::Sha256, &hex(&Sha256::digest(text.as_bytes())), text));
        for sum in [Sum::FlywayCrc32, Sum::Sha256, Sum::Sha384] {
            assert!(!is_of(sum, "0", text), "{sum:?}");
        }
    }
}
