use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};

use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::durable::{DiskEntry, DiskFile, EntryKind, LockGuard};
use crate::pipeline::remove_run_files;

type Files = Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<Vec<u8>>>>>>;

/// A disk of files in one directory, whose operations fail once `operations_left` is used up.
#[derive(Clone)]
struct ToyDisk {
    files: Files,
    operations_left: Arc<AtomicU64>,
    files_peak: Arc<AtomicU64>,
}

struct ToyFile {
    disk: ToyDisk,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl ToyDisk {
    fn new(operations: u64) -> Self {
        let operations_left = Arc::new(AtomicU64::new(operations));
        Self { files: Arc::default(), operations_left, files_peak: Arc::default() }
    }

    fn names(&self) -> Vec<PathBuf> {
        self.files.lock().keys().cloned().collect()
    }

    fn spend(&self, operation: &'static str) -> Result<(), DiskError> {
        let left = self.operations_left.fetch_update(Atomic::Relaxed, Atomic::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| error(operation, io::ErrorKind::StorageFull))
    }
}

fn error(operation: &'static str, kind: io::ErrorKind) -> DiskError {
    DiskError::new(operation, Path::new("toy"), kind.into())
}

impl Disk for ToyDisk {
    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.spend("create file")?;
        let mut files = self.files.lock();
        if files.contains_key(path) {
            return Err(error("create file", io::ErrorKind::AlreadyExists));
        }
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        files.insert(path.to_path_buf(), Arc::clone(&bytes));
        self.files_peak.fetch_max(files.len() as u64, Atomic::Relaxed);
        Ok(Arc::new(ToyFile { disk: self.clone(), bytes }))
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.spend("open file")?;
        let bytes = self.files.lock().get(path).cloned().ok_or(error("open file", io::ErrorKind::NotFound))?;
        Ok(Arc::new(ToyFile { disk: self.clone(), bytes }))
    }

    /// Works when everything else fails, so that a test sees what is not even tried.
    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        let removed = self.files.lock().remove(path);
        removed.map(drop).ok_or(error("remove file", io::ErrorKind::NotFound))
    }

    fn list(&self, directory: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        let name = |path: &PathBuf| path.strip_prefix(directory).expect("one directory").as_os_str().to_owned();
        Ok(self.files.lock().keys().map(|path| DiskEntry { name: name(path), kind: EntryKind::File }).collect())
    }

    fn open_file(&self, _: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        unimplemented!()
    }
    fn create_directory(&self, _: &Path) -> Result<(), DiskError> {
        unimplemented!()
    }
    fn sync_directory(&self, _: &Path) -> Result<(), DiskError> {
        unimplemented!()
    }
    fn rename(&self, _: &Path, _: &Path) -> Result<(), DiskError> {
        unimplemented!()
    }
    fn rename_exclusive(&self, _: &Path, _: &Path) -> Result<(), DiskError> {
        unimplemented!()
    }
    fn exchange(&self, _: &Path, _: &Path) -> Result<(), DiskError> {
        unimplemented!()
    }
    fn remove_directory(&self, _: &Path) -> Result<(), DiskError> {
        unimplemented!()
    }
    fn kind(&self, _: &Path) -> Result<Option<EntryKind>, DiskError> {
        unimplemented!()
    }
    fn free_bytes(&self, _: &Path) -> Result<u64, DiskError> {
        unimplemented!()
    }
    fn try_lock(&self, _: &Path, _: &str) -> Result<Result<LockGuard, String>, DiskError> {
        unimplemented!()
    }
}

impl DiskFile for ToyFile {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.spend("write file")?;
        let mut content = self.bytes.lock();
        assert_eq!(offset, content.len() as u64, "runs are written front to back");
        content.extend_from_slice(bytes);
        Ok(())
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.disk.spend("read file")?;
        let content = self.bytes.lock();
        let start = offset as usize;
        let bytes = content.get(start..start + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(error("read file", io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn len(&self) -> Result<u64, DiskError> {
        Ok(self.bytes.lock().len() as u64)
    }
    fn set_len(&self, _: u64) -> Result<(), DiskError> {
        unimplemented!()
    }
    fn preallocate(&self, _: u64, _: u64) -> Result<(), DiskError> {
        unimplemented!()
    }
    fn start_writeback(&self, _: u64, _: u64) {}
    fn sync(&self) -> Result<(), DiskError> {
        panic!("run files are not synced")
    }
}

fn push_all<const N: usize>(runs: &mut SortedRuns<N>, records: &[[u8; N]]) -> Result<(), DiskError> {
    records.iter().try_for_each(|record| runs.push(*record))
}

fn drain<const N: usize>(mut merged: Merged<N>) -> Result<Vec<[u8; N]>, DiskError> {
    let mut records = Vec::new();
    while let Some(record) = merged.next()? {
        records.push(record);
    }
    assert!(merged.next()?.is_none(), "the end stays the end");
    Ok(records)
}

fn sort_on<const N: usize>(disk: &ToyDisk, memory_bytes: u64, records: &[[u8; N]]) -> Result<Vec<[u8; N]>, DiskError> {
    let mut runs = SortedRuns::new(Arc::new(disk.clone()), PathBuf::from("scratch"), memory_bytes);
    push_all(&mut runs, records)?;
    assert!(runs.resident_bytes() <= memory_bytes.max(N as u64));
    let merged = runs.finish()?;
    assert_eq!(merged.records(), records.len() as u64);
    drain(merged)
}

fn shuffled(records: u32) -> Vec<[u8; 12]> {
    let record = |number: u32| {
        let mut record = [7; 12];
        record[8..].copy_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
        record
    };
    (0..records).map(record).collect()
}

fn sorted<const N: usize>(records: &[[u8; N]]) -> Vec<[u8; N]> {
    let mut sorted = records.to_vec();
    sorted.sort();
    sorted
}

#[test]
fn nothing_is_created_while_it_fits() {
    let (disk, records) = (ToyDisk::new(0), shuffled(5000));
    assert_eq!(sort_on(&disk, 5000 * 12, &records).expect("no disk is touched"), sorted(&records));
    assert!(sort_on::<12>(&disk, 0, &[]).expect("no disk is touched").is_empty());
    let mut runs = SortedRuns::in_memory();
    push_all(&mut runs, &records).expect("no disk at all");
    assert_eq!(drain(runs.finish().expect("no disk at all")).expect("no disk at all"), sorted(&records));
}

#[test]
fn many_runs_are_merged_in_passes_and_removed() {
    // Three records fit: a merge reads from two runs at a time.
    for (records, runs) in [(4, 2), (6, 2), (7, 3), (300, 100), (301, 101)] {
        let (disk, records) = (ToyDisk::new(u64::MAX), shuffled(records));
        assert_eq!(sort_on(&disk, 36, &records).expect("no fault"), sorted(&records));
        assert!(disk.names().is_empty());
        assert!(disk.files_peak.load(Atomic::Relaxed) <= runs + 1, "one more than there were runs");
    }
}

#[test]
fn run_files_are_removed_whenever_it_ends() {
    let (disk, directory) = (ToyDisk::new(u64::MAX), PathBuf::from("scratch"));
    let filled = || {
        let mut runs = SortedRuns::new(Arc::new(disk.clone()), directory.clone(), 120);
        push_all(&mut runs, &shuffled(15)).expect("no fault");
        runs
    };
    let runs = filled();
    assert_eq!(disk.names(), [directory.join("run-000000")], "the rest is in memory");
    drop(runs);
    assert!(disk.names().is_empty());
    let mut merged = filled().finish().expect("no fault");
    assert_eq!(disk.names().len(), 2);
    merged.next().expect("no fault");
    drop(merged);
    assert!(disk.names().is_empty());
}

#[test]
fn what_a_killed_process_left_is_removed_and_nothing_else() {
    let (disk, directory) = (ToyDisk::new(u64::MAX), Path::new("scratch"));
    for name in ["run-000000", "run-1000000", "run-", "run-notes", "run-12", "other"] {
        disk.create_file(&directory.join(name)).expect("no fault");
    }
    remove_run_files(&disk, directory).expect("no fault");
    assert_eq!(disk.names(), ["other", "run-", "run-12", "run-notes"].map(|name| directory.join(name)));
}

#[test]
fn a_foreign_file_is_an_error_and_stays() {
    let disk = ToyDisk::new(u64::MAX);
    disk.create_file(Path::new("scratch/run-000000")).expect("no fault");
    let error = sort_on(&disk, 36, &shuffled(10)).expect_err("the name is taken");
    assert_eq!((error.kind(), disk.names().len()), (io::ErrorKind::AlreadyExists, 1));
}

#[test]
fn every_failure_is_an_error_and_leaves_nothing_behind() {
    let records = shuffled(40);
    let mut operations = 0;
    loop {
        let disk = ToyDisk::new(operations);
        let result = sort_on(&disk, 60, &records);
        assert!(disk.names().is_empty(), "after {operations} operations");
        match result {
            Ok(records_sorted) => break assert_eq!(records_sorted, sorted(&records)),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
        }
        operations += 1;
    }
    assert!(operations > 50, "there was something to fail");
}

#[test]
fn the_buffer_grows_by_doubling_to_its_limit() {
    for records_max in [1, 1000, 1024, 2047, 2048, 100_000, 1 << 20] {
        let mut capacity = 0;
        while capacity < records_max {
            let next = next_capacity(capacity, records_max);
            assert!(next >= 2 * capacity && next > capacity && next <= records_max);
            assert!(capacity > 0 || next < 2 * RECORDS_INITIAL + 1);
            capacity = next;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_records_in_any_memory_come_out_sorted(
        records in prop::collection::vec(any::<[u8; 3]>(), 0..300),
        memory_bytes in 3..1200_u64,
    ) {
        let disk = ToyDisk::new(u64::MAX);
        prop_assert_eq!(sort_on(&disk, memory_bytes, &records).expect("no fault"), sorted(&records));
        prop_assert!(disk.names().is_empty());
    }

    #[test]
    fn the_order_is_that_of_byte_strings(a in any::<[u8; 10]>(), b in any::<[u8; 10]>(), shared in 0..=10_usize) {
        let mut b = b;
        b[..shared].copy_from_slice(&a[..shared]);
        prop_assert_eq!(compare(&a, &b), a.as_slice().cmp(b.as_slice()));
    }
}
