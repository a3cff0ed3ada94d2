//! Random operations give the same answers and the same files on the simulated disk and on the real one.

use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;
use crate::durable::{RealDisk, read_file};

const PATHS: [&str; 7] = ["a", "b", "d", "d/a", "d/e", "d/e/a", "d/e/f"];

#[derive(Debug, Clone)]
enum Step {
    Create(usize),
    CreateDirectory(usize),
    Write(usize, u16, u8),
    SetLen(usize, u16),
    Sync(usize),
    SyncDirectory(usize),
    Rename(usize, usize),
    RenameExclusive(usize, usize),
    Exchange(usize, usize),
    RemoveFile(usize),
    RemoveDirectory(usize),
    List(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..PATHS.len();
    prop_oneof![
        3 => at().prop_map(Step::Create),
        3 => at().prop_map(Step::CreateDirectory),
        3 => (at(), 0..3000_u16, any::<u8>()).prop_map(|(a, offset, byte)| Step::Write(a, offset, byte)),
        1 => (at(), 0..3000_u16).prop_map(|(a, len)| Step::SetLen(a, len)),
        1 => at().prop_map(Step::Sync),
        1 => at().prop_map(Step::SyncDirectory),
        3 => (at(), at()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Step::RenameExclusive(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Step::Exchange(a, b)),
        1 => at().prop_map(Step::RemoveFile),
        1 => at().prop_map(Step::RemoveDirectory),
        1 => at().prop_map(Step::List),
    ]
}

/// The answer, errors by their kind alone.
fn take(disk: &dyn Disk, root: &Path, step: &Step) -> Result<String, ErrorKind> {
    let path = |index: &usize| root.join(PATHS[*index]);
    let answer = match step {
        Step::Create(a) => disk.create_file(&path(a)).map(|_| ()),
        Step::CreateDirectory(a) => disk.create_directory(&path(a)),
        Step::Write(a, offset, byte) => {
            disk.open_file(&path(a)).and_then(|file| file.write_all_at(u64::from(*offset), &[*byte; 700]))
        }
        Step::SetLen(a, len) => disk.open_file(&path(a)).and_then(|file| file.set_len(u64::from(*len))),
        Step::Sync(a) => disk.open_file(&path(a)).and_then(|file| file.sync()),
        Step::SyncDirectory(a) => disk.sync_directory(&path(a)),
        Step::Rename(a, b) => disk.rename(&path(a), &path(b)),
        Step::RenameExclusive(a, b) => disk.rename_exclusive(&path(a), &path(b)),
        Step::Exchange(a, b) => disk.exchange(&path(a), &path(b)),
        Step::RemoveFile(a) => disk.remove_file(&path(a)),
        Step::RemoveDirectory(a) => disk.remove_directory(&path(a)),
        Step::List(a) => return disk.list(&path(a)).map(|entries| format!("{entries:?}")).map_err(|e| e.kind()),
    };
    answer.map(|()| String::new()).map_err(|e| e.kind())
}

fn file_bytes(disk: &dyn Disk, root: &Path) -> Vec<Option<Vec<u8>>> {
    PATHS.iter().map(|name| read_file(disk, &root.join(name), u64::MAX).ok()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_simulated_disk_answers_like_the_real_one(steps in prop::collection::vec(step(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let (real_root, root) = (directory.path(), Path::new("/root"));
        let disk = SimulatedDisk::with_directories(&[root]);
        for step in &steps {
            prop_assert_eq!(take(&disk, root, step), take(&RealDisk, real_root, step), "{:?}", step);
        }
        let expected = file_bytes(&RealDisk, real_root);
        prop_assert_eq!(&file_bytes(&disk, root), &expected);
        // Every crash leaves some image, and if only the process died it is this one.
        for seed in 0..4 {
            disk.crash_images(CrashFault::ScatteredWrites(seed)).for_each(drop);
        }
        let image = disk.crash_image(disk.operations(), CrashFault::AllKept);
        prop_assert_eq!(&file_bytes(&image, root), &expected);
    }
}
