use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};

use proptest::prelude::*;

use super::*;
use crate::durable::{
    AttributesNotKept, CopyMeans, CopyMethod, DiskEntry, DiskFile, DiskFileSystem, DiskRoot, EntryKind, LockGuard,
    SimulatedDisk, SourceFile, StopCheck,
};
use crate::pipeline::remove_run_files;

/// Where the run files are made.
const DIRECTORY: &str = "/scratch";

/// A simulated disk whose operations, reads too, fail once `operations_left` is used up.
#[derive(Clone)]
struct ToyDisk {
    inner: SimulatedDisk,
    operations_left: Arc<AtomicU64>,
    files_peak: Arc<AtomicU64>,
}

struct ToyFile {
    disk: ToyDisk,
    inner: Arc<dyn DiskFile>,
}

impl ToyDisk {
    fn new(operations: u64) -> Self {
        let operations_left = Arc::new(AtomicU64::new(operations));
        let inner = SimulatedDisk::with_directories(&[Path::new(DIRECTORY)]);
        Self { inner, operations_left, files_peak: Arc::default() }
    }

    fn names(&self) -> Vec<PathBuf> {
        let entries = self.inner.list(Path::new(DIRECTORY)).expect("it is there");
        entries.into_iter().map(|entry| Path::new(DIRECTORY).join(entry.name)).collect()
    }

    fn spend(&self, operation: &'static str) -> Result<(), DiskError> {
        let left = self.operations_left.fetch_update(Atomic::Relaxed, Atomic::Relaxed, |left| left.checked_sub(1));
        let full = || DiskError::new(operation, Path::new(DIRECTORY), io::ErrorKind::StorageFull.into());
        left.map(drop).map_err(|_| full())
    }

    fn file(&self, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(ToyFile { disk: self.clone(), inner })
    }
}

impl Disk for ToyDisk {
    fn create_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.spend("create file")?;
        let file = self.file(self.inner.create_file(path)?);
        self.files_peak.fetch_max(self.names().len() as u64, Atomic::Relaxed);
        Ok(file)
    }

    fn create_file_like(&self, path: &Path, like: &Path) -> Result<(Arc<dyn DiskFile>, AttributesNotKept), DiskError> {
        self.inner.create_file_like(path, like)
    }

    fn write_new_file(&self, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
        self.inner.write_new_file(path, bytes)
    }

    fn copy_new_file(
        &self,
        source: &SourceFile,
        target: &Path,
        means: CopyMeans,
        stop: StopCheck<'_>,
    ) -> Result<CopyMethod, DiskError> {
        self.inner.copy_new_file(source, target, means, stop)
    }

    fn can_reflink(&self, source: &SourceFile, directory: &Path) -> Result<bool, DiskError> {
        self.inner.can_reflink(source, directory)
    }

    fn open_file(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.spend("open file")?;
        Ok(self.file(self.inner.open_file(path)?))
    }

    fn open_for_read(&self, path: &Path) -> Result<Arc<dyn DiskFile>, DiskError> {
        self.spend("open file")?;
        Ok(self.file(self.inner.open_for_read(path)?))
    }

    /// Works when everything else fails, so that a test sees what is not even tried.
    fn remove_file(&self, path: &Path) -> Result<(), DiskError> {
        self.inner.remove_file(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<DiskEntry>, DiskError> {
        self.inner.list(path)
    }

    fn create_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.inner.create_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.inner.sync_directory(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.inner.rename(from, to)
    }

    fn rename_exclusive(&self, from: &Path, to: &Path) -> Result<(), DiskError> {
        self.inner.rename_exclusive(from, to)
    }

    fn exchange(&self, a: &Path, b: &Path) -> Result<(), DiskError> {
        self.inner.exchange(a, b)
    }

    fn hard_link(&self, source: &Path, target: &Path) -> Result<(), DiskError> {
        self.inner.hard_link(source, target)
    }

    fn remove_directory(&self, path: &Path) -> Result<(), DiskError> {
        self.inner.remove_directory(path)
    }

    fn kind(&self, path: &Path) -> Result<Option<EntryKind>, DiskError> {
        self.inner.kind(path)
    }

    fn mode(&self, path: &Path) -> Result<u32, DiskError> {
        self.inner.mode(path)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), DiskError> {
        self.inner.set_mode(path, mode)
    }

    fn file_system(&self, path: &Path) -> Result<Arc<dyn DiskFileSystem>, DiskError> {
        self.inner.file_system(path)
    }

    fn root(&self, path: &Path) -> Result<Arc<dyn DiskRoot>, DiskError> {
        self.inner.root(path)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64, DiskError> {
        self.inner.free_bytes(path)
    }

    fn free_inodes(&self, path: &Path) -> Result<Option<u64>, DiskError> {
        self.inner.free_inodes(path)
    }

    fn try_lock(&self, path: &Path, owner: &str) -> Result<Result<LockGuard, String>, DiskError> {
        self.inner.try_lock(path, owner)
    }
}

impl DiskFile for ToyFile {
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.disk.spend("write file")?;
        assert_eq!(offset, self.inner.len()?, "runs are written front to back");
        self.inner.write_all_at(offset, bytes)
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.disk.spend("read file")?;
        self.inner.read_exact_at(offset, buffer)
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.inner.set_len(len)
    }

    fn preallocate(&self, offset: u64, len: u64) -> Result<(), DiskError> {
        self.inner.preallocate(offset, len)
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }

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
    let mut runs = SortedRuns::new(Arc::new(disk.clone()), PathBuf::from(DIRECTORY), memory_bytes);
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
    let (disk, directory) = (ToyDisk::new(u64::MAX), PathBuf::from(DIRECTORY));
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
    let (disk, directory) = (ToyDisk::new(u64::MAX), Path::new(DIRECTORY));
    for name in ["run-000000", "run-1000000", "run-", "run-notes", "run-12", "other"] {
        disk.create_file(&directory.join(name)).expect("no fault");
    }
    remove_run_files(&disk, directory).expect("no fault");
    assert_eq!(disk.names(), ["other", "run-", "run-12", "run-notes"].map(|name| directory.join(name)));
}

#[test]
fn a_foreign_file_is_an_error_and_stays() {
    let disk = ToyDisk::new(u64::MAX);
    disk.create_file(&Path::new(DIRECTORY).join("run-000000")).expect("no fault");
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
