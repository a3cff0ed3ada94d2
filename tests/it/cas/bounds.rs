//! Frames that stand for far more than they are.

use crate::support::old_store::OldStore;
use haul::cas::Algorithm;
use haul::cas::source::location::Shape;

const KEY: &str = "abababababababababababababababababababababababababababababababab";

/// A frame of blocks that repeat one byte: 128 KiB of content in four bytes each.
fn bomb(blocks: u32) -> Vec<u8> {
    let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 7 << 3];
    for block in 1..=blocks {
        let header = u32::from(block == blocks) | 1 << 1 | (128 << 10) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

fn store(sidecar: Option<&str>) -> OldStore {
    let store = OldStore::new();
    store.object(Algorithm::Sha256, b"good", Shape::TwoLevels);
    store.file(&format!("objects/ab/ab/{KEY}"), &bomb(131_072));
    if let Some(sidecar) = sidecar {
        store.file(&format!("objects/ab/ab/{KEY}.meta"), sidecar.as_bytes());
    }
    store
}

#[test]
fn half_a_megabyte_is_not_unpacked_to_sixteen_gigabytes() {
    let sidecar = r#"{"encoding":"zstd","original_size":1000}"#;
    for (sidecar, reason) in [(Some(sidecar), "longer than the 1000 bytes"), (None, "no sidecar says")] {
        let store = store(sidecar);
        store.cas("migrate --source old --target new").expect(3);
        let report = std::fs::read_to_string(store.paths().run_directory().report_path()).unwrap();
        assert!(report.contains(reason), "{report}");
    }
}
