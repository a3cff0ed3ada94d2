//! What cannot be read is not absent, and a device that fails is no store full of bad objects.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use super::repair::{copied, damaged, files, mirrored, repair_on};
use crate::support::store_runs::with;
use crate::support::v2_store::{OBJECTS, V2Store};
use haul::cas::migrate::migrate;
use haul::cas::options::MigrateOptions;
use haul::cas::paths::{TargetPaths, sidecar_path};
use haul::cas::repair::{RepairEnd, repair_store};
use haul::cas::validate::{ValidateEnd, validate};
use haul::cas::verify::{VerifyEnd, VerifyRequest, verify_store};
use haul::durable::{Disk, FailingSource, RealDisk, SimulatedDisk, SourceFault, SourceOperation};
use haul::migration::{Error, RunOptions};

const OPERATIONS: [SourceOperation; 4] =
    [SourceOperation::Open, SourceOperation::List, SourceOperation::Read, SourceOperation::Stat];
const BAD: SourceFault = SourceFault { operation: SourceOperation::Read, after: 0, failing: 2, code: libc::EIO };

/// One thread, so that objects are read in the order of their keys.
fn in_order() -> MigrateOptions {
    let run = RunOptions { parallel_workers: NonZeroUsize::MIN, ..RunOptions::default() };
    MigrateOptions { run, ..MigrateOptions::default() }
}

/// Verifies a store of which so many reads fail, after so many.
fn verify(store: &V2Store, after: u64, failing: u64) -> Result<VerifyEnd, Error> {
    let failing = FailingSource::new(&store.root().join("objects"), SourceFault { after, failing, ..BAD });
    let end = with(|control| verify_store(&store.root(), &VerifyRequest::WHOLE, &in_order(), control));
    assert!(failing.has_failed());
    end
}

#[test]
fn one_bad_sector_is_one_fault_and_a_failing_device_ends_the_verification() {
    let store = V2Store::new();
    // At the first object, which has no neighbour before it, and at the last one.
    let reads = (0..).find(|after| {
        let failing = FailingSource::new(&store.root().join("objects"), SourceFault { after: *after, ..BAD });
        with(|control| verify_store(&store.root(), &VerifyRequest::WHOLE, &in_order(), control)).unwrap();
        !failing.has_failed()
    });
    for after in [0, 1, reads.unwrap() - 2] {
        assert_eq!(verify(&store, after, 1).unwrap().errors, 0, "what is read at the second time is no fault");
        let end = verify(&store, after, 2).unwrap();
        assert_eq!((end.errors, end.objects_ok), (1, OBJECTS as u64 - 1), "after {after}");
        assert_eq!(end.faults_count["unreadable"], 1);
    }
    let error = verify(&store, 0, u64::MAX).unwrap_err();
    assert!(matches!(&error, Error::Disk(_)), "{error}");
    assert!(error.next_step().unwrap().contains("check the device"), "{error}");
}

#[test]
fn an_index_that_cannot_be_read_is_not_missing() {
    let store = V2Store::new();
    for code in [libc::EACCES, libc::EIO, libc::EMFILE] {
        let fault = SourceFault { operation: SourceOperation::Open, code, ..BAD };
        let failing = FailingSource::new(&store.index(), fault);
        let result = with(|control| verify_store(&store.root(), &VerifyRequest::WHOLE, &in_order(), control));
        assert!(failing.has_failed());
        assert!(matches!(&result, Err(Error::Disk(error)) if error.path == store.index()), "{result:?}");
    }
}

/// A repair either ends before it changes the index, or writes what an undisturbed one writes.
#[test]
fn a_repaired_index_leaves_out_nothing_that_cannot_be_read() {
    let store = damaged();
    let as_disk = |disk: &SimulatedDisk| -> Arc<dyn Disk> { Arc::new(disk.clone()) };
    let undisturbed = mirrored(&store);
    repair_on(&as_disk(&undisturbed), &store.root()).unwrap();
    let (index, name) = (fs::read(store.index()).unwrap(), Path::new("index.ndjson"));
    let (mut ended, mut tolerated) = (0, 0);
    for operation in OPERATIONS {
        for code in [libc::EACCES, libc::EIO, libc::EMFILE] {
            for after in (0..).step_by(5) {
                let disk = mirrored(&store);
                let fault = SourceFault { operation, after, failing: 2, code };
                let failing = FailingSource::new(&store.root(), fault);
                let result = repair_on(&as_disk(&disk), &store.root());
                if !failing.has_failed() {
                    break;
                }
                let is_unchanged = || files(&disk, &store)[name] == index;
                match result {
                    Err(_) => {
                        ended += 1;
                        assert!(is_unchanged(), "{fault:?}");
                    }
                    // What may be whole and cannot be read is said, and keeps its line.
                    Ok(end) if !end.left.is_empty() => {
                        assert!(is_unchanged() && !end.index_replaced, "{fault:?}: {end:?}");
                    }
                    Ok(end) => {
                        tolerated += 1;
                        assert!(files(&disk, &store) == files(&undisturbed, &store), "{fault:?}: {end:?}");
                    }
                }
            }
        }
    }
    assert!(ended > 20, "{ended} ended, {tolerated} tolerated");
}

#[test]
fn another_copy_gives_no_object_whose_time_cannot_be_read() {
    const LOST: usize = 4;
    let store = V2Store::new();
    let (_place, other) = copied(&store.root());
    let line = store.line(LOST) + "\n";
    store.replace(&store.index(), &line, "");
    fs::remove_file(store.sidecar(LOST)).unwrap();
    store.edit(&store.blob(LOST), |bytes| bytes[0] ^= 1);
    let repair = || -> RepairEnd {
        let disk: Arc<dyn Disk> = Arc::new(mirrored(&store));
        with(|control| repair_store(&disk, &store.root(), Some(&other), &MigrateOptions::default(), control)).unwrap()
    };
    let failing = FailingSource::new(
        &sidecar_path(&other, V2Store::key(LOST)),
        SourceFault { operation: SourceOperation::Open, code: libc::EACCES, ..BAD },
    );
    let end = repair();
    assert!(failing.has_failed());
    assert_eq!((end.restored, end.not_found), (0, 1));
    drop(failing);
    let end = repair();
    assert_eq!((end.restored, end.not_found), (1, 0));
}

#[test]
fn a_validation_tells_bad_spots_of_the_target_from_its_device() {
    let source = V2Store::new();
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("new");
    let paths = TargetPaths::new(&target).unwrap();
    with(|control| migrate(Arc::new(RealDisk), &source.root(), &paths, &in_order(), control)).unwrap();
    let validate = |failing: u64| -> Result<ValidateEnd, Error> {
        let failing = FailingSource::new(&target, SourceFault { failing, ..BAD });
        let end = with(|control| validate(&source.root(), &target, &paths.map(), &in_order(), control));
        assert!(failing.has_failed());
        end
    };
    assert_eq!(validate(1).unwrap().errors, 0);
    let end = validate(2).unwrap();
    assert_eq!((end.errors, end.equal), (1, OBJECTS as u64 - 1), "{:?}", end.findings);
    assert!(end.findings[0].reason.contains("cannot read"), "{:?}", end.findings);
    assert!(matches!(validate(u64::MAX), Err(Error::Disk(_))));
}
