//! Random operations give the same answers and the same files on the simulated disk and on the real one.

use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;
use crate::durable::{RealDisk, read_file};

const PATHS: [&str; 7] = ["a", "b", "d", "d/a", "d/e", "d/e/a", "d/e/f"];

/// With bits that no new file has, whatever the process takes away from new files.
const MODES: [u32; 3] = [0o700, 0o711, 0o600];

#[derive(Debug, Clone)]
enum Step {
    Create(usize),
    WriteNewFile(usize, u16),
    CreateDirectory(usize),
    Write(usize, u16, u8),
    SetLen(usize, u16),
    Sync(usize),
    SyncDirectory(usize),
    Rename(usize, usize),
    RenameExclusive(usize, usize),
    Exchange(usize, usize),
    HardLink(usize, usize),
    SetMode(usize, u32),
    Mode(usize),
    FileSystem(usize),
    RemoveFile(usize),
    RemoveDirectory(usize),
    List(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..PATHS.len();
    prop_oneof![
        3 => at().prop_map(Step::Create),
        1 => (at(), 0..3000_u16).prop_map(|(a, len)| Step::WriteNewFile(a, len)),
        3 => at().prop_map(Step::CreateDirectory),
        3 => (at(), 0..3000_u16, any::<u8>()).prop_map(|(a, offset, byte)| Step::Write(a, offset, byte)),
        1 => (at(), 0..3000_u16).prop_map(|(a, len)| Step::SetLen(a, len)),
        1 => at().prop_map(Step::Sync),
        1 => at().prop_map(Step::SyncDirectory),
        3 => (at(), at()).prop_map(|(a, b)| Step::Rename(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Step::RenameExclusive(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Step::Exchange(a, b)),
        2 => (at(), at()).prop_map(|(a, b)| Step::HardLink(a, b)),
        1 => (at(), prop::sample::select(&MODES)).prop_map(|(a, mode)| Step::SetMode(a, mode)),
        1 => at().prop_map(Step::Mode),
        1 => at().prop_map(Step::FileSystem),
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
        Step::WriteNewFile(a, len) => disk.write_new_file(&path(a), &vec![1; usize::from(*len)]),
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
        Step::HardLink(a, b) => disk.hard_link(&path(a), &path(b)),
        Step::SetMode(a, mode) => disk.set_mode(&path(a), *mode),
        Step::Mode(a) => return disk.mode(&path(a)).map(|mode| format!("{:o}", mode & 0o111)).map_err(|e| e.kind()),
        Step::FileSystem(a) => disk.file_system(&path(a)).map(|_| ()),
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

    #[test]
    fn nothing_is_lost_of_what_a_file_system_has_synced(steps in prop::collection::vec(step(), 1..60), seed in any::<u64>()) {
        let root = Path::new("/root");
        let disk = SimulatedDisk::with_directories(&[root]);
        for step in &steps {
            _ = take(&disk, root, step);
        }
        disk.file_system(root).unwrap().sync().unwrap();
        let scattered = [CrashFault::ScatteredWrites(seed), CrashFault::ScatteredNames(seed)];
        for fault in CrashFault::ALL.into_iter().chain(scattered) {
            let image = disk.crash_image(disk.operations(), fault);
            for name in PATHS {
                let path = root.join(name);
                prop_assert_eq!(image.kind(&path).unwrap(), disk.kind(&path).unwrap());
                prop_assert_eq!(image.mode(&path).ok(), disk.mode(&path).ok());
            }
            prop_assert_eq!(file_bytes(&image, root), file_bytes(&disk, root));
        }
    }
}
